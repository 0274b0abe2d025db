//! How backends and services go: by draining to an end.

use std::net::IpAddr;

use super::{ServiceState, transition::Draft};
use crate::model::{AdminState, ServiceName};

impl Draft<'_> {
    /// Takes out what has drained.
    pub(super) fn end_drains(&mut self) {
        let now_unix_ms = self.now_unix_ms;
        let services = self.services.now().iter();
        let over: Vec<(ServiceName, IpAddr)> = services
            .flat_map(|(name, state)| {
                let deadlines = state.drain_deadline_unix_ms.iter();
                let over = deadlines.filter(|&(_, &deadline)| deadline <= now_unix_ms);
                over.map(|(&address, _)| (name.clone(), address))
            })
            .collect();
        for (name, address) in over {
            if let Some(state) = self.services.get_mut(&name) {
                state.forget(address);
            }
            self.notes.push(format!(
                "{address} of service `{name}` has drained and went"
            ));
        }
        let services = self.services.now().iter();
        let empty: Vec<ServiceName> = services
            .filter(|(_, state)| state.removed_when_drained && state.service.backends.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for name in empty {
            self.services.remove(&name);
            self.notes
                .push(format!("service `{name}` has drained and went"));
        }
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
