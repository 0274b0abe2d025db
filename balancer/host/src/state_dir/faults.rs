//! For tests: changes of a state directory that fail as on a full disk, or from one on, as after a crash.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex},
};

/// Which of the coming changes fail. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    done: usize,
    failing: Range<usize>,
}

impl Faults {
    /// The next `changes` are made; all after them fail, as if the daemon had died.
    pub(crate) fn crash_after(&self, changes: usize) {
        self.fail(changes..usize::MAX);
    }

    /// Those in the range fail, counted from now.
    pub(crate) fn fail(&self, range: Range<usize>) {
        let mut plan = self.0.lock().unwrap();
        let from = plan.done;
        plan.failing = from + range.start..from.saturating_add(range.end);
    }

    /// Whether a change has failed.
    pub(crate) fn have_struck(&self) -> bool {
        let plan = self.0.lock().unwrap();
        plan.failing.start < plan.done
    }

    pub(super) fn next(&self) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        let number = plan.done;
        plan.done += 1;
        if plan.failing.contains(&number) {
            // EIO
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}
