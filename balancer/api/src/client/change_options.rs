//! How a change is to be made.

use std::fmt;

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Work out the outcome only.
    pub dry_run: bool,
    /// Even where a safety rule forbids it.
    pub force: bool,
    /// Removals only: at once, without draining.
    pub now: bool,
}

/// As the query of a path that has none yet: nothing, or `?force=true&dry_run=true`.
impl fmt::Display for ChangeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            ("now", self.now),
            ("force", self.force),
            ("dry_run", self.dry_run),
        ];
        for (nth, (flag, _)) in flags.into_iter().filter(|(_, set)| *set).enumerate() {
            write!(f, "{}{flag}=true", if nth == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}
