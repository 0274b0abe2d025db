//! What a daemon takes of the machine, seen from outside: processors, memory, writes to its state directory; and what
//! the disk costs by itself.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Milliseconds in one unit of `utime` and `stime` (`USER_HZ` is 100 on every architecture that this runs on).
const TICK_MS: f64 = 10.0;

/// How soon the watch over a state directory that nobody writes to ends when it shall.
const END_INTERVAL_MS: u8 = 100;

/// What was used between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ms: f64,
    pub(crate) saves: u64,
}

/// What a process has used of the processors so far, milliseconds.
pub(crate) fn cpu_ms(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("no process {pid}"))?;
    ticks(&stat)
        .map(|ticks| ticks as f64 * TICK_MS)
        .with_context(|| format!("/proc/{pid}/stat is not understood: {stat}"))
}

/// `utime` and `stime`, behind a name that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut words = behind.split_whitespace().skip(11);
    let mut next = || words.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// What a process has in memory, MiB.
pub(crate) fn rss_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("a process without VmRSS")? / 1024.0)
}

/// Counts how often a state directory is written to.
///
/// A save is a file that takes another's place (a rename), or a write to a file that stays in place. The parts of one
/// save do not count: a file that is yet to be renamed (`.new`), and the one before, which is kept (`.previous`).
pub(crate) struct Saves {
    count: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Saves {
    pub(crate) fn watch(directory: &Path) -> Result<Saves> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify
            .add_watch(
                directory,
                AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO,
            )
            .with_context(|| format!("cannot watch {}", directory.display()))?;
        let count = Arc::new(AtomicU64::new(0));
        let ended = Arc::new(AtomicBool::new(false));
        let (counted, over) = (Arc::clone(&count), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                // At once: the kernel makes one event of writes that nobody has read yet.
                let mut ready = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut ready, END_INTERVAL_MS);
                let events = match inotify.read_events() {
                    Ok(events) => events,
                    Err(Errno::EAGAIN | Errno::EINTR) => continue,
                    Err(errno) => {
                        eprintln!("saves are no longer counted: {errno}");
                        return;
                    }
                };
                let saves = events.iter().filter(|event| {
                    let name = event.name.as_deref().unwrap_or_default().to_string_lossy();
                    is_save(&name, event.mask.contains(AddWatchFlags::IN_MOVED_TO))
                });
                counted.fetch_add(saves.count() as u64, Ordering::Relaxed);
            }
        });
        Ok(Saves {
            count,
            ended,
            thread: Some(thread),
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Saves {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn is_save(name: &str, moved: bool) -> bool {
    match moved {
        true => !name.ends_with(".previous"),
        false => !name.ends_with(".new") && name != "lock",
    }
}

/// What the disk takes for 4 KiB that are written and made durable, milliseconds, each of so many times.
pub(crate) fn fsync_ms(directory: &Path, times: usize) -> Result<Vec<f64>> {
    let place: PathBuf = directory.join("fsync.new");
    let mut samples = Vec::new();
    for _ in 0..times {
        let started = Instant::now();
        let mut file = File::create(&place)?;
        file.write_all(&[0x5a; 4_096])?;
        file.sync_all()?;
        samples.push(started.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(&place)?;
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_processors_stands_behind_a_name_with_spaces() {
        let stat = "42 (l b) d) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(12));
        assert_eq!(ticks("42"), None);
    }

    #[test]
    fn a_save_is_counted_once_whether_it_renames_or_appends() {
        let of_rename = [
            ("state.new", false),
            ("state.previous", true),
            ("state", true),
        ];
        let saves = |events: &[(&str, bool)]| {
            let saves = events.iter().filter(|(name, moved)| is_save(name, *moved));
            saves.count()
        };
        assert_eq!(saves(&of_rename), 1);
        assert_eq!(saves(&[("journal", false)]), 1);
        assert_eq!(saves(&[("lock", false)]), 0);
    }
}
