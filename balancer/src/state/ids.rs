//! Numbers for services and backends.

use std::collections::BTreeSet;

use super::State;
use crate::model::{BackendId, ServiceId};

/// The numbers that are free, handed out in turn.
pub(super) struct Ids {
    services: Turn,
    backends: Turn,
}

/// Numbers from `first` to `last`, tried from `next` on.
struct Turn {
    first: u16,
    last: u16,
    next: u16,
    taken: BTreeSet<u16>,
}

impl Ids {
    /// The most services of an edge.
    pub(super) const MAX_SERVICES: usize = 4_096;
    /// The most backends of an edge, over all services.
    pub(super) const MAX_BACKENDS: usize = 32_767;

    /// What is free in `state`. A number that its change gives back is not free before the next change, so
    /// that the data plane never has one number with two meanings while it goes from one state to the other.
    pub(super) fn free(state: &State) -> Ids {
        let services = state.services.values();
        Ids {
            services: Turn {
                first: 0,
                last: Self::MAX_SERVICES as u16 - 1,
                next: state.next_service_id,
                taken: services.clone().map(|service| service.id.0).collect(),
            },
            backends: Turn {
                first: 1,
                last: Self::MAX_BACKENDS as u16,
                next: state.next_backend_id,
                taken: services
                    .flat_map(|service| service.ids.values())
                    .map(|id| id.0)
                    .collect(),
            },
        }
    }

    /// A number for a service, or `None` when all are taken.
    pub(super) fn service(&mut self) -> Option<ServiceId> {
        self.services.take().map(ServiceId)
    }

    /// A number for a backend, or `None` when all are taken.
    pub(super) fn backend(&mut self) -> Option<BackendId> {
        self.backends.take().map(BackendId)
    }

    /// Tells `state` where the next search begins.
    pub(super) fn remember(&self, state: &mut State) {
        state.next_service_id = self.services.next;
        state.next_backend_id = self.backends.next;
    }
}

impl Turn {
    fn take(&mut self) -> Option<u16> {
        let next = self.next.clamp(self.first, self.last);
        let free = (next..=self.last)
            .chain(self.first..next)
            .find(|number| !self.taken.contains(number))?;
        self.taken.insert(free);
        self.next = if free == self.last {
            self.first
        } else {
            free + 1
        };
        Some(free)
    }
}
