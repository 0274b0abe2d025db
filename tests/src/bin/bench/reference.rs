//! What has to become of a frame, by the pure functions over tables in user space.

use std::collections::HashSet;
use std::net::IpAddr;

use anyhow::{Context, Result};
use balancer_common::abi::outer;
use balancer_common::agent::{self, Evidence, Fate as Opened, Instance, Segment};
use balancer_common::edge;
use balancer_common::flow::HashKey;
use balancer_common::icmp_error::Quote;
use balancer_common::reason::Verdict as Fate;
use balancer_common::{Address, Reason, alternates};
use balancer_config::EdgeConfig;
use balancer_core::model::{BackendId, Health};
use balancer_core::reconcile::{self, NextHop, NextHops, Plan};
use balancer_core::state::{Change, State};
use balancer_core::table::Table;
use balancer_edge::image::Image;

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
        let mut owners: HashSet<&BackendId> = HashSet::new();
        for (key, service) in tables.image.services() {
            let here = (first..first + count).contains(&number(key.vip));
            if here && (key.port_and_protocol as u16).to_ne_bytes() == case.port.to_be_bytes() {
                let table = tables.image.table(service.table);
                owners.extend(table.map(Table::owners).unwrap_or_default());
            }
        }
        owners.len()
    }

    /// The ids of every backend.
    pub(crate) fn backends(&self) -> Vec<u16> {
        match self {
            Reference::Edge(tables) => tables.image.ids().collect(),
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

/// What the edge's maps have to hold, made from its configuration as the daemon makes them.
pub(crate) struct EdgeTables {
    key: HashKey,
    image: Image,
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
        Ok(EdgeTables {
            key: HashKey::expand(key),
            image: Image::of(&plan),
        })
    }

    fn of(&self, frame: &[u8]) -> Expected {
        let choice = match edge::choose(frame, &self.image, &self.key) {
            Ok(choice) => choice,
            Err(reason) => return met(reason),
        };
        let carried = match choice
            .moved
            .map(|moved| edge::alternates(&self.image, &choice, moved))
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

fn next_hops(state: &State, way: &Way) -> NextHops {
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
