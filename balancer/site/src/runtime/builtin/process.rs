//! Processes, told from later ones with the same pid by their start.

use std::{fs, path::Path, time::UNIX_EPOCH};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::record;
use crate::runtime::RuntimeError;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub(super) start_ticks: u64,
}

/// The processes of one run of a container: `process.json`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Processes {
    pub(super) supervisor: Identity,
    pub(super) main: Identity,
}

/// How a container ended: `exit.json`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) at_unix_ms: u64,
}

pub(super) const PROCESSES: &str = "process.json";
pub(super) const END: &str = "exit.json";

impl Identity {
    /// Of a process that is there and no zombie.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may have spaces and parentheses; the third field is behind it.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let start_ticks = fields.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, start_ticks })
    }

    pub(super) fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Never reaches another process that has the pid now.
    pub(super) fn signal(self, signal: Signal) {
        if self.runs() {
            // It may end in between.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

/// The processes of a container's last run.
pub(super) fn processes(container: &Path) -> Result<Option<Processes>, RuntimeError> {
    record::read(&container.join(PROCESSES))
}

/// How a container ended; `None` while it runs.
pub(super) fn end(container: &Path) -> Option<End> {
    let file = container.join(PROCESSES);
    let runs = || {
        processes(container)
            .ok()
            .flatten()
            .is_some_and(|run| run.supervisor.runs())
    };
    if runs() {
        return None;
    }
    if let Ok(Some(end)) = record::read(&container.join(END)) {
        return Some(end);
    }
    // Its supervisor was killed, and the kernel killed it for that.
    let at = fs::metadata(file).and_then(|file| file.modified()).ok();
    let at = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Some(End {
        code: 128 + Signal::SIGKILL as i32,
        at_unix_ms: at.map_or(0, |at| u64::try_from(at.as_millis()).unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_that_was_used_again_is_another_process() {
        let own = Identity::of(i32::try_from(std::process::id()).expect("a pid")).expect("we run");
        assert!(own.runs());
        let earlier = Identity {
            start_ticks: own.start_ticks - 1,
            ..own
        };
        assert!(!earlier.runs());
    }
}
