//! Numbers for services and backends.

use super::State;
use crate::model::{BackendId, ServiceId};

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
    /// Which are taken, by number; looked up when the first one is asked for, because most changes need none.
    taken: Option<Vec<bool>>,
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
                taken: None,
            },
            backends: Turn {
                first: 1,
                last: Self::MAX_BACKENDS as u16,
                next: state.next_backend_id,
                taken: None,
            },
        }
    }

    /// A number for a service, or `None` when all are taken.
    pub(super) fn service(&mut self) -> Option<ServiceId> {
        let services = self.state.services.values();
        let taken = services.map(|service| service.id.0);
        self.services.take(taken).map(ServiceId)
    }

    /// A number for a backend, or `None` when all are taken.
    pub(super) fn backend(&mut self) -> Option<BackendId> {
        let services = self.state.services.values();
        let taken = services.flat_map(|service| service.ids.values().map(|id| id.0));
        self.backends.take(taken).map(BackendId)
    }

    /// Where the next searches begin: for a service, and for a backend.
    pub(super) fn next(&self) -> (u16, u16) {
        (self.services.next, self.backends.next)
    }
}

impl Turn {
    fn take(&mut self, taken_before: impl Iterator<Item = u16>) -> Option<u16> {
        let taken = self.taken.get_or_insert_with(|| {
            let mut taken = vec![false; usize::from(self.last) + 1];
            taken_before.for_each(|number| taken[usize::from(number)] = true);
            taken
        });
        let next = self.next.clamp(self.first, self.last);
        let free = (next..=self.last)
            .chain(self.first..next)
            .find(|&number| !taken[usize::from(number)])?;
        taken[usize::from(free)] = true;
        self.next = if free == self.last {
            self.first
        } else {
            free + 1
        };
        Some(free)
    }
}
