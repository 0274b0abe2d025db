//! What a world leaves when its owner is killed: processes that outlive daemons by design, and cgroups. Somebody has to
//! outlive the owner for a moment to end them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{program, wait_for};

/// Below this, in every hierarchy, are the cgroups that worlds name themselves, a directory for each world.
pub const CGROUPS: &str = "balancer-test";

/// Where hierarchies are mounted, or the only one is.
const MOUNTS: &str = "/sys/fs/cgroup";

const PATIENCE: Duration = Duration::from_secs(10);

/// A process in a world that sweeps when the world ends, or its owner does.
pub(crate) struct Sweeper(Child);

impl Sweeper {
    /// Starts it in the calling thread's world. `name` is the directory below [`CGROUPS`].
    pub(crate) fn start(name: &str) -> Result<Sweeper> {
        let child = Command::new(program("sweeper")?)
            .args([&id().to_string(), name])
            // It ends when this one does, or is dropped.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // What a terminal sends to the owner is not for the sweeper.
            .process_group(0)
            .spawn()
            .context("cannot start the sweeper")?;
        Ok(Sweeper(child))
    }
}

impl Drop for Sweeper {
    /// Waits until all is swept.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Waits until standard input ends; then ends all processes in this one's mount namespace but `owner`, and all in the
/// cgroups of the world `name`, and removes the cgroups that they were in.
pub fn sweep(owner: u32, name: &str) -> Result<()> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let place = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = place(id()).context("/proc is mounted")?;
    let mut emptied: BTreeSet<PathBuf> = BTreeSet::new();
    wait_for("the world to be empty", PATIENCE, || {
        let mut left = BTreeSet::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?.file_name().to_string_lossy().parse();
            if let Ok(pid) = pid
                && pid != id()
                && pid != owner
                && place(pid).as_ref() == Some(&own)
            {
                left.insert(pid);
                emptied.extend(cgroups_of(pid));
            }
        }
        for root in roots() {
            for cgroup in below(&root.join(CGROUPS).join(name)) {
                left.extend(processes(&cgroup));
                emptied.insert(cgroup);
            }
        }
        for &pid in &left {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid.try_into()?), Signal::SIGKILL);
        }
        // The deepest first. One that others are in stays: its removal fails.
        for cgroup in emptied.iter().rev() {
            let mut cgroup = cgroup.as_path();
            while fs::remove_dir(cgroup).is_ok() {
                cgroup = cgroup.parent().unwrap_or(cgroup);
            }
        }
        ensure!(left.is_empty(), "{left:?} still run");
        let mut stay = emptied.iter().filter(|cgroup| cgroup.is_dir());
        ensure!(stay.all(|cgroup| is_others(cgroup)), "cgroups stay");
        Ok(())
    })
}

/// The cgroups of every world, in every hierarchy.
pub(crate) fn cgroups() -> Vec<PathBuf> {
    roots()
        .iter()
        .flat_map(|root| directories(&root.join(CGROUPS)))
        .collect()
}

/// Whether somebody is in a cgroup or below it.
fn is_others(cgroup: &Path) -> bool {
    below(cgroup).iter().any(|part| !processes(part).is_empty())
}

fn roots() -> Vec<PathBuf> {
    let mut roots = directories(Path::new(MOUNTS));
    roots.push(MOUNTS.into());
    roots
}

/// The directories in a directory; none if it is missing.
fn directories(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    // Two names of hierarchies that are mounted together are links.
    paths
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect()
}

/// A directory and all below it.
fn below(place: &Path) -> Vec<PathBuf> {
    if !place.is_dir() {
        return Vec::new();
    }
    let children = directories(place);
    let deeper = children.iter().flat_map(|child| below(child));
    deeper.chain([place.to_owned()]).collect()
}

fn processes(cgroup: &Path) -> Vec<u32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The cgroups that a process is in, but for the roots.
pub(crate) fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let paths = text
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2)?.strip_prefix('/'));
    let paths: BTreeSet<&str> = paths.filter(|path| !path.is_empty()).collect();
    let everywhere = roots().into_iter().flat_map(|root| {
        let join = move |path: &&str| root.join(path);
        paths.iter().map(join).collect::<Vec<_>>()
    });
    everywhere.filter(|cgroup| cgroup.is_dir()).collect()
}
