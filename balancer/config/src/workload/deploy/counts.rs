//! How much a plan does.

use super::{Action, Plan};

/// How much has to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Workloads that are created.
    pub created: u32,
    /// Workloads that are changed.
    pub changed: u32,
    /// Workloads that are destroyed.
    pub destroyed: u32,
    /// Instances that are started.
    pub started: u32,
    /// Instances that are replaced.
    pub replaced: u32,
    /// Instances that are drained and stopped.
    pub stopped: u32,
}

impl Plan {
    /// How much has to be done.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for workload in &self.workloads {
            match workload.action {
                Action::Create => counts.created += 1,
                Action::Change => counts.changed += 1,
                Action::Destroy => counts.destroyed += 1,
                Action::Unchanged => {}
            }
            for city in &workload.cities {
                for &(now, then) in city.targets.values() {
                    counts.started += then.saturating_sub(now);
                    counts.stopped += now.saturating_sub(then);
                    if city.replaces {
                        counts.replaced += now.min(then);
                    }
                }
            }
        }
        counts
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let mut actions = self.workloads.iter().map(|workload| workload.action);
        actions.all(|action| action == Action::Unchanged)
    }
}
