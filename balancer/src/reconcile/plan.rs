//! What the data plane is to hold.

use std::{collections::BTreeMap, net::IpAddr};

use super::overlay;
use crate::{
    model::{BackendId, Encapsulation, Health, ServiceId, ServiceKey},
    state::State,
    table::Table,
};

/// How packets leave for a backend: the first hop of the route to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The index of the interface that they leave by.
    pub interface: u32,
    /// That interface's own MAC, in wire order.
    pub source_mac: [u8; 6],
    /// The next hop's MAC, in wire order.
    pub destination_mac: [u8; 6],
    /// The outer source, of the backend's address family.
    pub source: IpAddr,
    /// The largest IP packet that fits, in bytes.
    pub mtu: u32,
}

/// What the data plane knows of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendRecord {
    /// Where encapsulated packets go.
    pub address: IpAddr,
    /// How they travel.
    pub encapsulation: Encapsulation,
    /// Where they leave; none while no route or neighbour is known.
    pub next_hop: Option<NextHop>,
}

/// The whole content of the data plane's maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every backend that a table names.
    pub backends: BTreeMap<BackendId, BackendRecord>,
    /// The tables with the overlay of health on them.
    pub tables: BTreeMap<ServiceId, Table>,
    /// Which table packets use.
    pub services: BTreeMap<ServiceKey, ServiceId>,
}

/// The plan for a state, the health of its backends and the next hops that are known.
pub fn plan(
    state: &State,
    health: &dyn Fn(BackendId) -> Health,
    next_hops: &BTreeMap<IpAddr, NextHop>,
) -> Plan {
    let mut plan = Plan::default();
    for service in state.services.values() {
        for (&address, &id) in &service.ids {
            let record = BackendRecord {
                address,
                encapsulation: service.service.encapsulation,
                next_hop: next_hops.get(&address).copied(),
            };
            plan.backends.insert(id, record);
        }
        plan.tables
            .insert(service.id, overlay(service, health, next_hops));
        plan.services.insert(service.service.key, service.id);
    }
    plan
}
