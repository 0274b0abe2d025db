//! An edge with services to try changes on.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    model::{
        AdminState, Backend, BackendId, Encapsulation, HashPolicy, Protocol, Service, ServiceKey,
        ServiceName, Weight,
    },
    state::{Change, Outcome, Refusal, ServiceState, State},
};

/// When changes happen, in milliseconds since 1970.
pub(super) const NOW: u64 = 1_700_000_000_000;

pub(super) fn name(name: &str) -> ServiceName {
    name.parse().unwrap()
}

/// Backend number `n`.
pub(super) fn address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 1, 0, n).into()
}

pub(super) fn backend(n: u8) -> Backend {
    Backend {
        address: address(n),
        weight: Weight::default(),
        admin: AdminState::Active,
    }
}

/// A service at 198.51.100.`vip` with backends of weight 1.
pub(super) fn service(called: &str, vip: u8, backends: &[u8]) -> Service {
    let vip = Ipv4Addr::new(198, 51, 100, vip).into();
    Service {
        name: name(called),
        key: ServiceKey {
            vip,
            port: 8000,
            protocol: Protocol::Tcp,
        },
        encapsulation: Encapsulation::Gue,
        hash: HashPolicy::Flow,
        check: None,
        drain_timeout_ms: 30_000,
        backends: backends.iter().map(|&n| (address(n), backend(n))).collect(),
    }
}

/// An edge with these services.
pub(super) fn edge(services: &[Service]) -> State {
    let add = |state: State, service: &Service| state.done(&Change::AddService(service.clone())).0;
    services.iter().fold(State::new(7), add)
}

pub(super) fn add(n: u8) -> Change {
    Change::AddBackend {
        service: name("web"),
        backend: backend(n),
    }
}

pub(super) fn drain(n: u8) -> Change {
    Change::Drain {
        service: name("web"),
        address: address(n),
        force: false,
    }
}

pub(super) fn remove(n: u8) -> Change {
    let (service, address) = (name("web"), address(n));
    Change::RemoveBackend {
        service,
        address,
        now: false,
        force: false,
    }
}

pub(super) fn remove_now(n: u8, force: bool) -> Change {
    Change::RemoveBackend {
        service: name("web"),
        address: address(n),
        now: true,
        force,
    }
}

pub(super) fn weight(n: u8, weight: u16) -> Change {
    let weight = weight.try_into().unwrap();
    Change::SetWeight {
        service: name("web"),
        address: address(n),
        weight,
        force: false,
    }
}

pub(super) fn remove_service(now: bool, force: bool) -> Change {
    Change::RemoveService {
        name: name("web"),
        now,
        force,
    }
}

pub(super) fn apply(services: &[Service], force: bool) -> Change {
    Change::Apply {
        services: services.to_vec(),
        force,
    }
}

impl State {
    /// A change that is not refused.
    pub(super) fn done(&self, change: &Change) -> (State, Outcome) {
        self.change(change, NOW)
            .unwrap_or_else(|refusal| panic!("{change:?}: {refusal}"))
    }

    /// A change that is refused.
    pub(super) fn refused(&self, change: &Change) -> Refusal {
        self.change(change, NOW).expect_err("a refusal")
    }

    /// The service `web`.
    pub(super) fn web(&self) -> &ServiceState {
        &self.services[&name("web")]
    }

    /// Of `web`.
    pub(super) fn backend(&self, n: u8) -> &Backend {
        &self.web().service.backends[&address(n)]
    }

    /// Of `web`.
    pub(super) fn id(&self, n: u8) -> BackendId {
        self.web().ids[&address(n)]
    }

    /// How many slots of `web` a backend has.
    pub(super) fn share(&self, n: u8) -> usize {
        self.web()
            .table
            .shares()
            .get(&self.id(n))
            .copied()
            .unwrap_or(0)
    }

    /// Whether nothing of `web` names `id`.
    pub(super) fn forgot(&self, id: BackendId) -> bool {
        let ServiceState { table, ids, .. } = self.web();
        !table.owners().contains(&id)
            && !table.history().as_flattened().contains(&id)
            && !ids.values().any(|&known| known == id)
    }
}
