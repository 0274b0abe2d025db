//! What has to become of a frame, by the pure functions over tables in user space.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use anyhow::{Context, Result};
use balancer_common::abi::{self, HistoryRow, Service, ServiceKey, Slot, outer};
use balancer_common::agent::{self, Evidence, Fate as Opened, Instance, Segment};
use balancer_common::edge::{self, Tables};
use balancer_common::flow::HashKey;
use balancer_common::icmp_error::Quote;
use balancer_common::reason::Verdict as Fate;
use balancer_common::{Address, Reason, alternates};
use balancer_config::EdgeConfig;
use balancer_core::model::{BackendId, Encapsulation, HashPolicy, Health};
use balancer_core::reconcile::{self, NextHop, Plan};
use balancer_core::state::{Change, State};

use crate::cases::{Case, Verdict};
use crate::counts::Row;

/// What has to become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) row: Row,
    pub(crate) verdict: Verdict,
    pub(crate) growth: i32,
}

/// Who knows it.
pub(crate) enum Reference {
    Edge(EdgeTables),
    Agent(Serving),
}

impl Reference {
    /// What has to become of this frame.
    pub(crate) fn of(&self, frame: &[u8]) -> Expected {
        match self {
            Reference::Edge(tables) => tables.of(frame),
            Reference::Agent(serving) => serving.of(frame),
        }
    }

    /// How many backends own slots of a case's services.
    pub(crate) fn backends_of(&self, case: &Case) -> usize {
        let Reference::Edge(tables) = self else {
            return 0;
        };
        let vip: Option<IpAddr> = case.vip.parse().ok();
        let Some(vip) = vip else { return 0 };
        let count = u128::from(case.services);
        let number = |address: Address| u128::from_be_bytes(address.octets());
        let first = number(vip.into());
        let mut owners = HashSet::new();
        for (key, service) in &tables.services {
            let here = (first..first + count).contains(&number(key.vip));
            if here && (key.port_and_protocol as u16).to_ne_bytes() == case.port.to_be_bytes() {
                owners.extend(
                    tables.tables[&service.table]
                        .iter()
                        .map(|row| row.0.owner()),
                );
            }
        }
        owners.len()
    }

    /// The ids of every backend.
    pub(crate) fn backends(&self) -> Vec<u16> {
        match self {
            Reference::Edge(tables) => tables.backends.keys().copied().collect(),
            Reference::Agent(_) => Vec::new(),
        }
    }
}

fn met(reason: Reason) -> Expected {
    Expected {
        row: Row::Reason(reason as u32),
        verdict: match reason.verdict() {
            Fate::Pass => Verdict::Pass,
            Fate::Drop => Verdict::Drop,
            Fate::Answer => Verdict::Transmit,
        },
        growth: 0,
    }
}

/// The edge's tables, made from its configuration as the daemon makes its maps.
pub(crate) struct EdgeTables {
    key: HashKey,
    vips: HashSet<Address>,
    services: HashMap<ServiceKey, Service>,
    tables: HashMap<u32, Vec<(Slot, HistoryRow)>>,
    backends: BTreeMap<u16, abi::Backend>,
}

/// Every backend's next hop: the edge's only interface.
pub(crate) struct Way {
    pub(crate) interface: u32,
    pub(crate) mtu: u32,
}

impl EdgeTables {
    /// Reads the configuration, then makes one change after another.
    pub(crate) fn new(config: &EdgeConfig, changes: &[Change], way: &Way) -> Result<EdgeTables> {
        let key = config.hash_key.context("the configuration has a key")?;
        let apply = Change::Apply {
            services: config.services.clone(),
            force: true,
        };
        let mut state = State::new(key);
        let mut plan = Plan::default();
        for change in [&apply].into_iter().chain(changes) {
            state = state.change(change, 0)?.0;
            let next_hops = next_hops(&state, way);
            plan = reconcile::plan(&state, &|_| Health::Unknown, &next_hops).after(&plan);
        }
        let mut tables = EdgeTables {
            key: HashKey::expand(key),
            vips: plan.services.keys().map(|key| key.vip.into()).collect(),
            services: HashMap::new(),
            tables: HashMap::new(),
            backends: BTreeMap::new(),
        };
        for (id, record) in &plan.backends {
            let kind = match (record.encapsulation, record.address) {
                (Encapsulation::Gue, IpAddr::V4(_)) => outer::GUE_IPV4,
                (Encapsulation::Gue, IpAddr::V6(_)) => outer::GUE_IPV6,
                (Encapsulation::Ipip, _) => outer::IPV4,
                (Encapsulation::Ip6ip6 | Encapsulation::Ip4in6, _) => outer::IPV6,
            };
            let backend = abi::Backend::new(kind, Address::default(), record.address.into());
            let backend = backend.via(way.interface, [0; 6], [0; 6], way.mtu);
            tables.backends.insert(id.0, backend);
        }
        for (key, record) in &plan.services {
            let table = &plan.tables[&record.id];
            let by_source = record.hash == HashPolicy::Source;
            let service = Service::new(u32::from(record.id.0), table.slots(), by_source);
            tables.services.insert(service_key(key), service);
            let rows = table.owners().iter().zip(table.history()).map(slot);
            tables.tables.insert(service.table, rows.collect());
        }
        Ok(tables)
    }

    fn of(&self, frame: &[u8]) -> Expected {
        let choice = match edge::choose(frame, self, &self.key) {
            Ok(choice) => choice,
            Err(reason) => return met(reason),
        };
        let carried = match choice
            .moved
            .map(|moved| edge::alternates(self, &choice, moved))
        {
            Some(Ok(carried)) => carried.iter().flatten().count(),
            Some(Err(reason)) => return met(reason),
            None => 0,
        };
        let address_length = match choice.backend.outer {
            outer::GUE_IPV6 => 16,
            _ => 4,
        };
        let private = match carried {
            0 => 0,
            some => alternates::length(some, address_length),
        };
        Expected {
            row: Row::Backend(choice.id),
            verdict: Verdict::Transmit,
            growth: (choice.backend.outer_length() + private) as i32,
        }
    }
}

fn next_hops(state: &State, way: &Way) -> BTreeMap<IpAddr, NextHop> {
    let addresses = state
        .services
        .values()
        .flat_map(|service| service.ids.keys());
    addresses
        .map(|&address| {
            let hop = NextHop {
                interface: way.interface,
                source_mac: [0; 6],
                destination_mac: [0; 6],
                source: address,
                source_bits: 0,
                mtu: way.mtu,
                tags: [None; 2],
            };
            (address, hop)
        })
        .collect()
}

fn service_key(key: &balancer_core::model::ServiceKey) -> ServiceKey {
    ServiceKey::new(
        key.vip.into(),
        key.port.to_be_bytes(),
        key.protocol.number(),
    )
}

fn slot((owner, history): (&BackendId, &[BackendId; 3])) -> (Slot, HistoryRow) {
    let [first, second, third] = history.map(|id| id.0);
    let moved = if first == 0 { 0 } else { Slot::MOVED };
    (Slot(owner.0 | moved), [first, second, third, 0])
}

impl Tables for EdgeTables {
    fn is_vip(&self, address: &Address) -> bool {
        self.vips.contains(address)
    }

    fn service(&self, key: &ServiceKey) -> Option<Service> {
        self.services.get(key).copied()
    }

    fn slot(&self, table: u32, slot: u32) -> Option<Slot> {
        Some(self.tables.get(&table)?.get(slot as usize)?.0)
    }

    fn backend(&self, id: u16) -> Option<&abi::Backend> {
        self.backends.get(&id).or(Some(&abi::Backend::EMPTY))
    }

    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        Some(self.tables.get(&table)?.get(slot as usize)?.1)
    }
}

/// What an instance is told: its VIP, and whose packets it takes. Its sockets know every flow.
pub(crate) struct Serving {
    pub(crate) edge: Address,
    pub(crate) vip: Address,
}

impl Serving {
    fn of(&self, frame: &[u8]) -> Expected {
        match agent::open(frame, self) {
            Ok(Opened::Opened(opened)) => Expected {
                growth: -(opened.outer_length as i32),
                ..met(opened.reason)
            },
            Ok(Opened::HandedOn(hand_on)) => met(hand_on.reason),
            Err(reason) => met(reason),
        }
    }
}

impl Instance<&[u8]> for Serving {
    fn is_edge(&self, source: &Address) -> bool {
        *source == self.edge
    }

    fn is_peer(&self, _: &Address) -> bool {
        true
    }

    fn is_vip(&self, address: &Address) -> bool {
        *address == self.vip
    }

    fn knows(&self, _: &Segment<&[u8]>) -> Evidence {
        Evidence::Known
    }

    fn knows_quoted(&self, _: &Quote) -> Evidence {
        Evidence::Known
    }
}
