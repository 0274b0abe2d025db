//! Whose each counter row is.
//!
//! A row outlives its backend, so that a service's total never shrinks, and is cleared for the next backend with its number.

use std::collections::{BTreeMap, BTreeSet};

use balancer_common::abi::Traffic;

use balancer_core::model::{BackendId, ServiceName};

/// The counter rows that backends use, or have used.
#[derive(Debug, Default)]
pub(super) struct Rows {
    live: BTreeSet<BackendId>,
    /// Rows of backends that are gone, and their services.
    standing: BTreeMap<BackendId, ServiceName>,
    past: BTreeMap<ServiceName, Past>,
}

/// What the backends of a service that are gone were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// The rows that still say it.
    pub(super) rows: BTreeSet<BackendId>,
    /// The sum of those that have been cleared.
    pub(super) retired: Traffic,
}

impl Rows {
    /// Whether the row of this number is a backend's already: others are to be cleared before they [begin](Rows::begin).
    pub(super) fn is_live(&self, id: BackendId) -> bool {
        self.live.contains(&id)
    }

    /// Gives a backend its row, from which `sent` was cleared.
    pub(super) fn begin(&mut self, id: BackendId, sent: Traffic) {
        self.live.insert(id);
        let Some(service) = self.standing.remove(&id) else {
            return;
        };
        let past = self.past.entry(service).or_default();
        past.rows.remove(&id);
        past.retired.packets += sent.packets;
        past.retired.bytes += sent.bytes;
    }

    /// Leaves the row of a backend that is gone standing.
    pub(super) fn end(&mut self, id: BackendId, service: &ServiceName) {
        if self.live.remove(&id) {
            self.standing.insert(id, service.clone());
            let past = self.past.entry(service.clone()).or_default();
            past.rows.insert(id);
        }
    }

    /// Forgets the past of a service that is gone.
    pub(super) fn forget(&mut self, service: &ServiceName) {
        let past = self.past.remove(service).unwrap_or_default();
        for id in past.rows {
            self.standing.remove(&id);
        }
    }

    /// What backends of a service that are gone were sent.
    pub(super) fn past(&self, service: &ServiceName) -> Past {
        self.past.get(service).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(packets: u64) -> Traffic {
        Traffic { packets, bytes: 0 }
    }

    #[test]
    fn what_a_service_was_sent_stays_when_backends_go_and_their_numbers_are_used_again() {
        let (web, dns): (ServiceName, ServiceName) =
            ("web".parse().unwrap(), "dns".parse().unwrap());
        let mut rows = Rows::default();
        rows.begin(BackendId(1), sent(0));
        rows.end(BackendId(1), &web);
        assert_eq!(rows.past(&web).rows, [BackendId(1)].into());
        // Another service's backend gets the number, when the row says 7.
        assert!(!rows.is_live(BackendId(1)));
        rows.begin(BackendId(1), sent(7));
        assert!(rows.is_live(BackendId(1)));
        assert_eq!(rows.past(&web).retired, sent(7));
        assert!(rows.past(&web).rows.is_empty());
        rows.end(BackendId(1), &dns);
        rows.forget(&web);
        assert_eq!(rows.past(&web), Past::default());
        assert_eq!(rows.past(&dns).rows, [BackendId(1)].into());
    }

    #[test]
    fn a_row_of_a_service_that_is_gone_is_counted_for_nobody() {
        let web: ServiceName = "web".parse().unwrap();
        let mut rows = Rows::default();
        rows.begin(BackendId(1), sent(0));
        rows.end(BackendId(1), &web);
        rows.forget(&web);
        rows.begin(BackendId(1), sent(7));
        assert_eq!(rows.past(&web), Past::default());
    }
}
