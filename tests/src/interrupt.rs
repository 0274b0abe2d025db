//! Processes that are killed at a chosen system call, and not at a time that is hoped to be right.

use std::fs;
use std::thread;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc::SYS_bpf;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// `bpf(BPF_OBJ_PIN, ...)`: a map, a link or a program is pinned (linux/bpf.h).
pub const OBJECT_PIN: u64 = 6;

/// `bpf(BPF_LINK_UPDATE, ...)`: an attached program is replaced (linux/bpf.h).
pub const LINK_UPDATE: u64 = 29;

/// Kills a process, which any thread may have started, before the `nth` call of `bpf` with this command; the first is 1.
pub(crate) fn kill_before(process: u32, command: u64, nth: usize) -> Result<()> {
    let process = Pid::from_raw(process.try_into()?);
    // Whoever traces is the thread, and with it ends the tracing.
    thread::scope(|scope| {
        let tracing = scope.spawn(|| trace(process, command, nth));
        match tracing.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn trace(process: Pid, command: u64, nth: usize) -> Result<()> {
    let options =
        Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
    ptrace::seize(process, options).context("cannot trace it")?;
    ptrace::interrupt(process)?;
    // Of the children, those that this thread traces.
    let mine = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let mut stops = 0;
    loop {
        let (thread, signal) = match waitpid(Pid::from_raw(-1), Some(mine))? {
            WaitStatus::PtraceSyscall(thread) => {
                stops += usize::from(is_at(thread, command)?);
                // Each call stops twice, and this one has not begun.
                if stops == 2 * nth - 1 {
                    return kill(process, Signal::SIGKILL).context("cannot kill it");
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, _, _) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::Exited(ended, _) | WaitStatus::Signaled(ended, _, _)
                if ended == process =>
            {
                bail!("it ended before call {nth} of bpf({command})");
            }
            _ => continue,
        };
        match ptrace::syscall(thread, signal) {
            // It has ended meanwhile.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a stopped thread is in this call.
fn is_at(thread: Pid, command: u64) -> Result<bool> {
    // The number, and the arguments: "321 0x1d 0x7ffd...".
    let call = fs::read_to_string(format!("/proc/{thread}/syscall"))?;
    let mut words = call.split_whitespace();
    let number = words.next().and_then(|word| word.parse().ok());
    let first = words.next().and_then(|word| word.strip_prefix("0x"));
    let first = first.and_then(|word| u64::from_str_radix(word, 16).ok());
    Ok(number == Some(SYS_bpf) && first == Some(command))
}
