//! What the data plane is to hold.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::overlay;
use crate::{
    model::{
        AddressMap, BackendId, Encapsulation, HashPolicy, Health, IdSet, ServiceId, ServiceKey,
    },
    state::{ServiceState, State},
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

/// The next hop of each address that has one.
pub type NextHops = AddressMap<NextHop>;

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

/// What a plan has of some services, and what it has of them once they are planned anew. What else it has stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// What packets meet of these services.
    pub before: Plan,
    /// What they are to meet; nothing of services that are gone.
    pub after: Plan,
}

/// The whole content of the data plane's maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every backend that a table names.
    pub backends: BTreeMap<BackendId, BackendRecord>,
    /// The tables with the overlay of health on them, and what packets have met before in their histories.
    pub tables: BTreeMap<ServiceId, Arc<Table>>,
    /// Which table packets use, and how.
    pub services: BTreeMap<ServiceKey, ServiceRecord>,
}

impl Plan {
    /// Plans some services anew, and gives what changes by it. Each is told as the plan has it, and as it is to be: `None` of one
    /// that is new, or gone. What else the plan has stays, and is not looked at.
    ///
    /// A slot's history begins with who owned it in this plan, as far as that backend has kept its address: packets have met it.
    pub fn update<'a>(
        &mut self,
        services: impl IntoIterator<Item = (Option<&'a ServiceState>, Option<&'a ServiceState>)>,
        health: &dyn Fn(BackendId) -> Health,
        next_hops: &NextHops,
    ) -> PlanChange {
        let (mut before, mut after) = (Plan::default(), Plan::default());
        for (was, is) in services {
            if let Some(service) = was {
                self.give_up(service, &mut before);
            }
            if let Some(service) = is {
                // What an earlier daemon left is told by nobody.
                self.give_up(service, &mut before);
                after.put(service, health, next_hops);
            }
        }
        let after = after.after(&before);
        self.backends.extend(&after.backends);
        let tables = after.tables.iter();
        self.tables
            .extend(tables.map(|(&id, table)| (id, Arc::clone(table))));
        self.services.extend(&after.services);
        PlanChange { before, after }
    }

    /// Moves what the plan has of a service to `to`.
    fn give_up(&mut self, service: &ServiceState, to: &mut Plan) {
        let backends = service.ids.values();
        to.backends
            .extend(backends.filter_map(|id| self.backends.remove_entry(id)));
        to.tables.extend(self.tables.remove_entry(&service.id));
        to.services
            .extend(self.services.remove_entry(&service.service.key));
    }

    /// Adds what the data plane is to hold of a service.
    fn put(
        &mut self,
        service: &ServiceState,
        health: &dyn Fn(BackendId) -> Health,
        next_hops: &NextHops,
    ) {
        for (&address, &id) in &service.ids {
            let record = BackendRecord {
                address,
                encapsulation: service.service.encapsulation,
                next_hop: next_hops.get(&address).copied(),
            };
            self.backends.insert(id, record);
        }
        let table = overlay(service, health, next_hops);
        self.tables.insert(service.id, table);
        let record = ServiceRecord {
            id: service.id,
            hash: service.service.hash,
        };
        self.services.insert(service.service.key, record);
    }

    /// The same plan for packets that have met `before`: who owned a slot there, and does no more, is in the slot's history.
    ///
    /// Health and next hops leave no trace in base tables. Without this, a connection that was opened on a substitute
    /// would be lost when the owner of the base table comes back.
    pub fn after(mut self, before: &Plan) -> Plan {
        let address = |plan: &Plan, id: &BackendId| plan.backends.get(id).map(|of| of.address);
        let same: IdSet = (self.backends.keys())
            .filter(|id| address(&self, id) == address(before, id))
            .copied()
            .collect();
        for (id, table) in &mut self.tables {
            let Some(previous) = before.tables.get(id) else {
                continue;
            };
            let next = Table::clone(table).after(previous, &|id| same.contains(id));
            *table = match next == **previous {
                true => Arc::clone(previous),
                false => Arc::new(next),
            };
        }
        self
    }
}

/// The plan for a state, the health of its backends and the next hops that are known.
pub fn plan(state: &State, health: &dyn Fn(BackendId) -> Health, next_hops: &NextHops) -> Plan {
    let mut plan = Plan::default();
    for service in state.services.values() {
        plan.put(service, health, next_hops);
    }
    plan
}
