//! Numbers for services and backends.

use super::State;
use crate::model::{BackendId, IdSet, ServiceId};

/// The numbers that are free in a state, handed out in turn.
///
/// A number that a change gives back is not free before the next change, so that the data plane never has one number
/// with two meanings while it goes from one state to the other.
pub(super) struct Ids<'a> {
    state: &'a State,
    services: Turn,
    backends: Turn,
}

/// Numbers from `first` to `last`, tried from `next` on.
struct Turn {
    first: u16,
    last: u16,
    next: u16,
    /// Those that this change has handed out.
    given: IdSet,
}

impl<'a> Ids<'a> {
    /// The most services of an edge.
    pub(super) const MAX_SERVICES: usize = 4_096;
    /// The most backends of an edge, over all services.
    pub(super) const MAX_BACKENDS: usize = 32_767;

    /// Those that are free in `state`.
    pub(super) fn of(state: &'a State) -> Self {
        Ids {
            state,
            services: Turn {
                first: 0,
                last: Self::MAX_SERVICES as u16 - 1,
                next: state.next_service_id,
                given: IdSet::default(),
            },
            backends: Turn {
                first: 1,
                last: Self::MAX_BACKENDS as u16,
                next: state.next_backend_id,
                given: IdSet::default(),
            },
        }
    }

    /// A number for a service, or `None` when all are taken.
    pub(super) fn service(&mut self) -> Option<ServiceId> {
        let taken = self.state.services.taken();
        self.services.take(taken.service_ids()).map(ServiceId)
    }

    /// A number for a backend, or `None` when all are taken.
    pub(super) fn backend(&mut self) -> Option<BackendId> {
        let taken = self.state.services.taken();
        self.backends.take(taken.backend_ids()).map(BackendId)
    }

    /// Where the next searches begin: for a service, and for a backend.
    pub(super) fn next(&self) -> (u16, u16) {
        (self.services.next, self.backends.next)
    }
}

impl Turn {
    fn take(&mut self, taken_before: &IdSet) -> Option<u16> {
        let next = self.next.clamp(self.first, self.last);
        let free = (next..=self.last)
            .chain(self.first..next)
            .find(|&number| !taken_before.contains(number) && !self.given.contains(number))?;
        self.given.insert(free);
        self.next = if free == self.last {
            self.first
        } else {
            free + 1
        };
        Some(free)
    }
}
