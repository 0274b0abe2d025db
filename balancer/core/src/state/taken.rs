//! What services have that no other may have: kept beside them, so that a change is checked without a look at all that it leaves
//! alone.

use std::{net::IpAddr, sync::Arc};

use rpds::RedBlackTreeMapSync;

use super::ServiceState;
use crate::model::{IdSet, Protocol, ServiceKey, ServiceName};

/// What the services of a state have taken. It follows from them.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    keys: RedBlackTreeMapSync<ServiceKey, ServiceName>,
    service_ids: Arc<IdSet>,
    backend_ids: Arc<IdSet>,
    /// How many backends there are.
    backends: usize,
}

impl Taken {
    /// What these services have taken.
    pub(super) fn by<'a>(services: impl Iterator<Item = &'a ServiceState>) -> Self {
        let mut taken = Self::default();
        services.for_each(|service| taken.add(service));
        taken
    }

    /// Follows services from what they were to what they are; `None` of one that was not there, or is gone.
    pub(super) fn follow<'a>(
        &mut self,
        services: impl Iterator<Item = (Option<&'a ServiceState>, Option<&'a ServiceState>)>,
    ) {
        let differs = |&(was, is): &(Option<&ServiceState>, Option<&ServiceState>)| match (was, is)
        {
            (Some(was), Some(is)) => takes(was) != takes(is),
            _ => true,
        };
        let differing: Vec<_> = services.filter(differs).collect();
        // One may have what another gave up.
        for was in differing.iter().filter_map(|(was, _)| *was) {
            self.remove(was);
        }
        for is in differing.iter().filter_map(|(_, is)| *is) {
            self.add(is);
        }
    }

    fn add(&mut self, service: &ServiceState) {
        let name = &service.service.name;
        self.keys.insert_mut(service.service.key, name.clone());
        Arc::make_mut(&mut self.service_ids).insert(service.id);
        let ids = Arc::make_mut(&mut self.backend_ids);
        service.ids.values().for_each(|&id| ids.insert(id));
        self.backends += service.service.backends.len();
    }

    fn remove(&mut self, service: &ServiceState) {
        self.keys.remove_mut(&service.service.key);
        Arc::make_mut(&mut self.service_ids).remove(service.id);
        let ids = Arc::make_mut(&mut self.backend_ids);
        service.ids.values().for_each(|&id| ids.remove(id));
        self.backends -= service.service.backends.len();
    }

    /// The services that have this VIP.
    pub(super) fn at(&self, vip: IpAddr) -> impl Iterator<Item = &ServiceName> {
        let first = ServiceKey {
            vip,
            port: 0,
            protocol: Protocol::default(),
        };
        let from = self.keys.range(first..);
        from.take_while(move |(key, _)| key.vip == vip)
            .map(|(_, name)| name)
    }

    /// The numbers of services.
    pub(super) fn service_ids(&self) -> &IdSet {
        &self.service_ids
    }

    /// The numbers of backends.
    pub(super) fn backend_ids(&self) -> &IdSet {
        &self.backend_ids
    }

    /// How many backends there are.
    pub(super) fn backends(&self) -> usize {
        self.backends
    }
}

/// What of a service [`Taken`] depends on.
fn takes(service: &ServiceState) -> impl PartialEq + '_ {
    (
        service.service.key,
        service.id,
        &service.ids,
        service.service.backends.len(),
    )
}
