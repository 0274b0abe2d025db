//! The backend monitor: whose each backend is, who is asked for it, and what its probes say.
//!
//! Pure: reports and states go in, transitions come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use balancer_core::{
    model::{AddressMap, BackendId, Check, Health, HealthState, ServiceId, ServiceName},
    reconcile::Warming,
    state::ServiceState,
};

use balancer_host::health::{Report, Target};

/// What is known of every backend of the desired state.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    backends: BTreeMap<BackendId, Monitored>,
    services: BTreeMap<ServiceName, Followed>,
    /// The backends that each probe speaks for.
    asked_for: BTreeMap<Target, BTreeSet<BackendId>>,
    /// The backends at each address.
    at: BTreeMap<IpAddr, BTreeSet<BackendId>>,
    /// Whom to trust before the first probe has ended.
    warming: Warming,
    /// Whether `asked_for` has other targets than were taken last.
    targets_changed: bool,
    /// The keys of `at`, as those have them who find next hops.
    addresses: AddressMap<()>,
    /// Whether they are others than were taken last.
    addresses_changed: bool,
}

/// What was last followed of a service.
#[derive(Debug)]
struct Followed {
    id: ServiceId,
    ids: BTreeMap<IpAddr, BackendId>,
    check: Option<Check>,
}

/// One backend.
#[derive(Debug)]
struct Monitored {
    service: ServiceName,
    service_id: ServiceId,
    address: IpAddr,
    check: Option<Check>,
    health: HealthState,
    /// Why its last probe failed.
    failure: Option<String>,
}

/// A backend's health that became another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) id: BackendId,
    pub(super) service: ServiceName,
    pub(super) address: IpAddr,
    pub(super) before: Health,
    pub(super) health: Health,
    /// Why the last probe failed, if it did.
    pub(super) failure: Option<String>,
}

/// What reports brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// In the order in which they happened.
    pub(super) transitions: Vec<Transition>,
    /// Services of which a backend's last failure is another one, or over.
    pub(super) retold: BTreeSet<ServiceName>,
}

impl Monitor {
    /// Follows a service to its newest state; `None` when it is gone. `known` is the health of backends that are new here.
    pub(super) fn follow(
        &mut self,
        name: &ServiceName,
        service: Option<&ServiceState>,
        known: &BTreeMap<BackendId, Health>,
    ) {
        let before = self.services.get(name);
        if let (Some(before), Some(service)) = (before, service)
            && before.id == service.id
            && before.ids == service.ids
            && before.check == service.service.check
        {
            return;
        }
        let before = self.services.remove(name);
        let mut left = self.forget(before.as_ref());
        if let Some(service) = service {
            self.add(name, service, &mut left, known);
        }
        self.targets_changed |= !left.targets.is_empty();
        for address in &left.addresses {
            self.addresses.remove(address);
            self.addresses_changed = true;
        }
        match (before, service) {
            (_, Some(service)) => self.warm(service),
            (Some(before), None) => self.warming.forget(before.id),
            (None, None) => {}
        }
    }

    /// Takes the backends of a service out.
    fn forget(&mut self, service: Option<&Followed>) -> Left {
        let mut left = Left::default();
        for id in service.iter().flat_map(|service| service.ids.values()) {
            let Some(monitored) = self.backends.remove(id) else {
                continue;
            };
            if let Some(check) = &monitored.check {
                let target = Target::of(monitored.address, check);
                left.targets
                    .extend(without(&mut self.asked_for, target, *id));
            }
            left.addresses
                .extend(without(&mut self.at, monitored.address, *id));
            left.backends.insert(*id, monitored);
        }
        left
    }

    fn add(
        &mut self,
        name: &ServiceName,
        service: &ServiceState,
        left: &mut Left,
        known: &BTreeMap<BackendId, Health>,
    ) {
        let check = &service.service.check;
        for (&address, &id) in &service.ids {
            let (health, failure) = match left.backends.remove(&id) {
                Some(monitored) => (monitored.health, monitored.failure),
                None => {
                    let known = known.get(&id).copied().unwrap_or_default();
                    (HealthState::from_known(known), None)
                }
            };
            if let Some(check) = check {
                let target = Target::of(address, check);
                let is_known = left.targets.remove(&target) || self.asked_for.contains_key(&target);
                self.targets_changed |= !is_known;
                self.asked_for.entry(target).or_default().insert(id);
            }
            left.addresses.remove(&address);
            if !self.addresses.contains_key(&address) {
                self.addresses.insert(address, ());
                self.addresses_changed = true;
            }
            self.at.entry(address).or_default().insert(id);
            let monitored = Monitored {
                service: name.clone(),
                service_id: service.id,
                address,
                check: check.clone(),
                health,
                failure,
            };
            self.backends.insert(id, monitored);
        }
        let followed = Followed {
            id: service.id,
            ids: service.ids.clone(),
            check: check.clone(),
        };
        self.services.insert(name.clone(), followed);
    }

    /// Sees whom of a service to trust now: to be called after a transition of one of its backends.
    pub(super) fn warm(&mut self, service: &ServiceState) {
        let backends = &self.backends;
        let health = |id: BackendId| {
            let monitored = backends.get(&id);
            monitored.map_or(Health::Unknown, |monitored| monitored.health.health())
        };
        self.warming.follow(service, &health);
    }

    /// Takes reports in, in their order. Those of targets that are no longer asked say nothing.
    pub(super) fn observe(&mut self, reports: impl IntoIterator<Item = Report>) -> Observed {
        let mut observed = Observed::default();
        for Report { target, outcome } in reports {
            let Some(ids) = self.asked_for.get(target.as_ref()) else {
                continue;
            };
            for &id in ids {
                let Some(monitored) = self.backends.get_mut(&id) else {
                    continue;
                };
                let Some(check) = &monitored.check else {
                    continue;
                };
                if monitored.failure.as_ref() != outcome.as_ref().err() {
                    monitored.failure = outcome.clone().err();
                    observed.retold.insert(monitored.service.clone());
                }
                let before = monitored.health.health();
                let Some(health) = monitored.health.observe(check, outcome.is_ok()) else {
                    continue;
                };
                observed.transitions.push(Transition {
                    id,
                    service: monitored.service.clone(),
                    address: monitored.address,
                    before,
                    health,
                    failure: monitored.failure.clone(),
                });
            }
        }
        observed
    }

    /// A backend's health as its probes have it.
    pub(super) fn known(&self, id: BackendId) -> Health {
        let monitored = self.backends.get(&id);
        monitored.map_or(Health::Unknown, |monitored| monitored.health.health())
    }

    /// A backend's health as the maps are to have it.
    pub(super) fn trusted(&self, id: BackendId) -> Health {
        let Some(monitored) = self.backends.get(&id) else {
            return Health::Unknown;
        };
        let health = monitored.health.health();
        self.warming.trusted(monitored.service_id, id, health)
    }

    /// The health of every backend of which something is known.
    pub(super) fn healths(&self) -> BTreeMap<BackendId, Health> {
        let health = |(&id, monitored): (&BackendId, &Monitored)| (id, monitored.health.health());
        let healths = self.backends.iter().map(health);
        healths
            .filter(|(_, health)| *health != Health::Unknown)
            .collect()
    }

    /// Why a backend's last probe failed.
    pub(super) fn failure(&self, id: BackendId) -> Option<&str> {
        self.backends.get(&id)?.failure.as_deref()
    }

    /// The services that have a backend at one of these addresses.
    pub(super) fn services_at<'a>(
        &self,
        addresses: impl IntoIterator<Item = &'a IpAddr>,
    ) -> BTreeSet<ServiceName> {
        let ids = addresses
            .into_iter()
            .filter_map(|address| self.at.get(address));
        ids.flatten()
            .filter_map(|id| Some(self.backends.get(id)?.service.clone()))
            .collect()
    }

    /// What is to be asked; `None` while that is what was taken last.
    pub(super) fn take_targets(&mut self) -> Option<BTreeSet<Target>> {
        std::mem::take(&mut self.targets_changed).then(|| self.asked_for.keys().cloned().collect())
    }

    /// Whose next hop is to be known; `None` while that is what was taken last.
    pub(super) fn take_addresses(&mut self) -> Option<AddressMap<()>> {
        std::mem::take(&mut self.addresses_changed).then(|| self.addresses.clone())
    }
}

/// What a service leaves behind until it is added anew: backends, and what is asked for none any more.
#[derive(Default)]
struct Left {
    backends: BTreeMap<BackendId, Monitored>,
    targets: BTreeSet<Target>,
    addresses: BTreeSet<IpAddr>,
}

/// Takes an id out of a key's; gives the key if it was the last one.
fn without<K: Ord>(map: &mut BTreeMap<K, BTreeSet<BackendId>>, key: K, id: BackendId) -> Option<K> {
    let ids = map.get_mut(&key)?;
    ids.remove(&id);
    if !ids.is_empty() {
        return None;
    }
    map.remove(&key);
    Some(key)
}

#[cfg(test)]
mod tests;
