//! Backends that take flows before their first probe has ended.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{BackendId, Health, ServiceId},
    state::ServiceState,
};

/// The backends that are trusted until their first probe has ended: those of services of which no
/// backend's health was known.
///
/// A service whose backends are all unknown is new, has just got its check, or its edge has lost its
/// memory. Were its backends believed one by one, as their first probes end, the first one would get
/// every flow of the others for a moment, and the connections that they have open would break.
/// A backend that joins others whose health is known is not trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warming(BTreeMap<ServiceId, BTreeSet<BackendId>>);

impl Warming {
    /// Follows a service and what is known of its backends' health: to be called after each change of either.
    pub fn follow(&mut self, service: &ServiceState, health: &dyn Fn(BackendId) -> Health) {
        let unknown = |id: &BackendId| health(*id) == Health::Unknown;
        let before = self.0.remove(&service.id).unwrap_or_default();
        if service.service.check.is_none() {
            return;
        }
        let ids = || service.ids.values().copied();
        let all = ids().all(|id| unknown(&id));
        let trusted = |id: &BackendId| all || (before.contains(id) && unknown(id));
        let trusted: BTreeSet<BackendId> = ids().filter(trusted).collect();
        if !trusted.is_empty() {
            self.0.insert(service.id, trusted);
        }
    }

    /// Forgets a service that is gone.
    pub fn forget(&mut self, service: ServiceId) {
        self.0.remove(&service);
    }

    /// What the data plane takes the health of a service's backend to be.
    pub fn trusted(&self, service: ServiceId, id: BackendId, health: Health) -> Health {
        let trusted = || self.0.get(&service).is_some_and(|ids| ids.contains(&id));
        match health {
            Health::Unknown if trusted() => Health::Up,
            known => known,
        }
    }
}
