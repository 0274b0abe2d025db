//! How backends and services go: by draining to an end.

use std::{net::IpAddr, sync::Arc};

use super::{ServiceState, transition::Draft};
use crate::model::AdminState;

impl Draft<'_> {
    /// Takes out what has drained.
    pub(super) fn end_drains(&mut self) {
        let now_unix_ms = self.now_unix_ms;
        for (name, state) in &mut self.services {
            let deadlines = state.drain_deadline_unix_ms.iter();
            let over: Vec<IpAddr> = deadlines
                .filter(|&(_, &deadline)| deadline <= now_unix_ms)
                .map(|(&address, _)| address)
                .collect();
            for address in over {
                Arc::make_mut(state).forget(address);
                self.notes.push(format!(
                    "{address} of service `{name}` has drained and went"
                ));
            }
        }
        let notes = &mut self.notes;
        self.services.retain(|name, state| {
            let goes = state.removed_when_drained && state.service.backends.is_empty();
            if goes {
                notes.push(format!("service `{name}` has drained and went"));
            }
            !goes
        });
    }
}

impl ServiceState {
    /// Makes a backend draining with an end; false if it had one already.
    pub(super) fn drain_to_the_end(&mut self, address: IpAddr, now_unix_ms: u64) -> bool {
        let deadline = now_unix_ms.saturating_add(self.service.drain_timeout_ms.into());
        if let Some(backend) = self.service.backends.get_mut(&address) {
            backend.admin = AdminState::Draining;
        }
        let has_one = self.drain_deadline_unix_ms.contains_key(&address);
        self.drain_deadline_unix_ms
            .entry(address)
            .or_insert(deadline);
        !has_one
    }

    /// Takes a backend out of the declared ones.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.service.backends.remove(&address);
        self.drain_deadline_unix_ms.remove(&address);
    }
}
