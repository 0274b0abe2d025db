//! What the data plane is to hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::overlay;
use crate::{
    model::{BackendId, Encapsulation, HashPolicy, Health, Protocol, ServiceId, ServiceKey},
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
    /// How many of its last bits, which are zero, vary with the flow where the outer header has no port.
    pub source_bits: u8,
    /// The largest IP packet that fits, in bytes.
    pub mtu: u32,
    /// The VLAN tags that frames leave with, whatever they came with, outermost first: protocol and control information,
    /// in wire order. None: those that a frame came with stay on the wire that they came by.
    pub tags: [Option<[u8; 4]>; 2],
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

/// What the data plane knows of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Whose table packets use.
    pub id: ServiceId,
    /// Which of their fields choose the slot.
    pub hash: HashPolicy,
}

/// The whole content of the data plane's maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every backend that a table names.
    pub backends: BTreeMap<BackendId, BackendRecord>,
    /// The tables with the overlay of health on them, and what packets have met before in their histories.
    pub tables: BTreeMap<ServiceId, Table>,
    /// Which table packets use, and how.
    pub services: BTreeMap<ServiceKey, ServiceRecord>,
}

impl Plan {
    /// The same plan for packets that have met `before`: who owned a slot there, and does no more, is in the slot's history.
    ///
    /// Health and next hops leave no trace in base tables. Without this, a connection that was opened on a substitute
    /// would be lost when the owner of the base table comes back.
    pub fn after(mut self, before: &Plan) -> Plan {
        let address = |plan: &Plan, id: &BackendId| plan.backends.get(id).map(|of| of.address);
        let same: BTreeSet<BackendId> = (self.backends.keys())
            .filter(|id| address(&self, id) == address(before, id))
            .copied()
            .collect();
        for (id, table) in &mut self.tables {
            if let Some(met) = before.tables.get(id) {
                let next = std::mem::replace(table, Table::empty(1));
                *table = next.after(met, &|id| same.contains(&id));
            }
        }
        self
    }
}

/// The port of the only service that a VIP has of a protocol, if that hashes by source: where fragments without ports go.
///
/// Beside another service they could be of either.
pub fn only_by_source(
    services: &BTreeMap<ServiceKey, ServiceRecord>,
    vip: IpAddr,
    protocol: Protocol,
) -> Option<u16> {
    let mut of = services
        .iter()
        .filter(|(key, _)| key.vip == vip && key.protocol == protocol);
    match (of.next(), of.next()) {
        (Some((key, record)), None) if record.hash == HashPolicy::Source => Some(key.port),
        _ => None,
    }
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
        let record = ServiceRecord {
            id: service.id,
            hash: service.service.hash,
        };
        plan.services.insert(service.service.key, record);
    }
    plan
}
