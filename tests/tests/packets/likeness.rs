//! The edge's tables in user space, made from its configuration as the daemon makes its maps.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context, Result};
use balancer::config::EdgeConfig;
use balancer::model::{self, Encapsulation, HashPolicy, Health};
use balancer::reconcile::{self, BackendRecord, NextHop, Plan};
use balancer::state::{Change, State};
use balancer::table::Table;
use balancer_common::abi::{self, HistoryRow, Service, ServiceKey, Slot, outer};
use balancer_common::echo::Reply;
use balancer_common::edge::{self, Choice, Tables};
use balancer_common::flow::HashKey;
use balancer_common::fragments::{Datagram, First, Fragments};
use balancer_common::frame::turned;
use balancer_common::outer::{GueIpv4, GueIpv6, Ipv4, Ipv6, Outer};
use balancer_common::tags::Tags;
use balancer_common::too_large::{self, Notice, QUOTE};
use balancer_common::unusual::{self, Fate};
use balancer_common::{Address, Frame as _, FrameMut as _, Reason};

use crate::counts::Counts;
use crate::run::{FirstBuffer, Ran, Verdict, in_buffers};

/// A decision and its frame, as the program would make them, and what it would count.
pub(crate) struct Decided {
    pub(crate) ran: Ran,
    pub(crate) counted: Counts,
    /// `None` for a packet that is sent.
    pub(crate) reason: Option<Reason>,
}

/// What the edge's maps hold.
pub(crate) struct Likeness {
    key: HashKey,
    ingress: u32,
    pub(crate) first: Option<FirstBuffer>,
    vips: BTreeSet<Address>,
    services: BTreeMap<ServiceKey, Service>,
    plan: Plan,
    backends: BTreeMap<u16, abi::Backend>,
    /// First fragments that came by.
    fragments: RefCell<BTreeMap<Datagram, First>>,
    /// Service and address of each backend, as counters name them.
    names: BTreeMap<u16, (String, String)>,
}

impl Likeness {
    /// `config` is the edge's configuration, `ingress` the index of its interface, and `next_hops`
    /// what it should find out.
    pub(crate) fn new(
        config: &str,
        ingress: u32,
        next_hops: &BTreeMap<IpAddr, NextHop>,
    ) -> Result<Likeness> {
        let config = EdgeConfig::parse(config, "edge.toml")?;
        let key = config.hash_key.context("the site has a key")?;
        let apply = Change::Apply {
            services: config.services,
            force: true,
        };
        let (state, _) = State::new(key).change(&apply, 0)?;
        let plan = reconcile::plan(&state, &|_| Health::Unknown, next_hops);
        let mut likeness = Likeness {
            key: HashKey::expand(key),
            ingress,
            first: None,
            vips: plan.services.keys().map(|key| key.vip.into()).collect(),
            services: BTreeMap::new(),
            backends: plan
                .backends
                .iter()
                .map(|(id, record)| (id.0, backend(record)))
                .collect(),
            names: BTreeMap::new(),
            fragments: RefCell::default(),
            plan,
        };
        for (key, record) in &likeness.plan.services {
            let table = &likeness.plan.tables[&record.id];
            let key = ServiceKey::new(
                key.vip.into(),
                key.port.to_be_bytes(),
                key.protocol.number(),
            );
            let by_source = record.hash == HashPolicy::Source;
            let service = Service::new(u32::from(record.id.0), table.slots(), by_source);
            likeness.services.insert(key, service);
        }
        for (name, service) in &state.services {
            for (address, id) in &service.ids {
                let name = (name.to_string(), address.to_string());
                likeness.names.insert(id.0, name);
            }
        }
        Ok(likeness)
    }

    /// What the program should make of a frame.
    pub(crate) fn decide(&self, frame: &[u8]) -> Decided {
        let buffers = in_buffers(frame, self.first);
        let plain = edge::choose(buffers, self, &self.key);
        let (fate, came) = match plain {
            Err(reason) if unusual::is_unusual(buffers, reason) => {
                let tags = Tags::read(buffers);
                (unusual::judge(buffers, &tags, self, &self.key), tags)
            }
            plain => (plain.map(Fate::Sent), Tags::NONE),
        };
        match fate {
            Ok(Fate::Answered(reply)) => Decided {
                ran: Ran {
                    verdict: Verdict::Transmit,
                    frame: answered(frame, &came, &reply),
                },
                counted: Counts::reason(Reason::EchoAnswered),
                reason: Some(Reason::EchoAnswered),
            },
            Ok(Fate::Sent(choice)) => {
                self.check_owner(&choice);
                // Nothing has moved since the configuration was read.
                assert_eq!(choice.moved, None);
                let (service, address) = &self.names[&choice.id];
                Decided {
                    counted: Counts::backend(service, address, choice.inner.length),
                    ran: self.sent(frame, &choice, &came),
                    reason: None,
                }
            }
            Err(Reason::TooLarge) => self.too_large(frame),
            Err(reason) => Decided {
                ran: Ran {
                    verdict: Verdict::of(reason),
                    frame: frame.to_vec(),
                },
                counted: Counts::reason(reason),
                reason: Some(reason),
            },
        }
    }

    /// Its sender is told, if it can be: nobody was told before.
    fn too_large(&self, frame: &[u8]) -> Decided {
        let buffers = in_buffers(frame, self.first);
        let tags = Tags::read(buffers);
        let (reason, out) = match too_large::notice(buffers, &tags, self, &self.key) {
            Ok(notice) => (Reason::ToldTooLarge, told(frame, &tags, &notice)),
            Err(reason) => (reason, frame.to_vec()),
        };
        Decided {
            ran: Ran {
                verdict: Verdict::of(reason),
                frame: out,
            },
            counted: Counts::reason(reason),
            reason: Some(reason),
        }
    }

    /// The table itself, asked by the hash, must give the same backend.
    fn check_owner(&self, choice: &Choice<'_>) {
        let owns = |table: &Table| {
            let slot = table.slot_of(choice.inner.hash);
            table.owners()[slot].0 == choice.id
        };
        assert!(self.plan.tables.values().any(owns), "{choice:?}");
    }

    fn table(&self, index: u32) -> Option<&Table> {
        let mut tables = self.plan.tables.iter();
        let (_, table) = tables.find(|(id, _)| u32::from(id.0) == index)?;
        Some(table)
    }

    fn sent(&self, frame: &[u8], choice: &Choice<'_>, came: &Tags) -> Ran {
        let leave = Tags::of(choice.backend);
        let leave =
            leave.unwrap_or_else(|| came.leaving_by(choice.backend.interface, self.ingress));
        let mut out = vec![0; choice.backend.outer_length() + leave.length];
        out.extend_from_slice(&frame[came.length..]);
        let head = &mut out[leave.length..];
        match choice.backend.kind() {
            outer::IPV4 => Ipv4::write(head, choice.backend, &choice.inner),
            outer::IPV6 => Ipv6::write(head, choice.backend, &choice.inner),
            outer::GUE_IPV4 => GueIpv4::write(head, choice.backend, &choice.inner),
            outer::GUE_IPV6 => GueIpv6::write(head, choice.backend, &choice.inner),
            other => panic!("no outer header {other}"),
        }
        let [first, second] = choice.backend.macs;
        leave.write(&mut out[..], (first, second as u32));
        Ran {
            verdict: match choice.backend.interface == self.ingress {
                true => Verdict::Transmit,
                false => Verdict::Redirect,
            },
            frame: out,
        }
    }
}

impl Tables for Likeness {
    fn is_vip(&self, address: &Address) -> bool {
        self.vips.contains(address)
    }

    fn service(&self, key: &ServiceKey) -> Option<Service> {
        self.services.get(key).copied()
    }

    fn slot(&self, table: u32, slot: u32) -> Option<Slot> {
        let table = self.table(table)?;
        let moved = match table.history().get(slot as usize)?[0].0 {
            0 => 0,
            _ => Slot::MOVED,
        };
        let owner = table.owners().get(slot as usize)?;
        Some(Slot(owner.0 | moved))
    }

    fn backend(&self, id: u16) -> Option<&abi::Backend> {
        self.backends.get(&id).or(Some(&abi::Backend::EMPTY))
    }

    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        let table = self.table(table)?;
        let [newest, second, third] = *table.history().get(slot as usize)?;
        Some([newest.0, second.0, third.0, 0])
    }
}

impl Fragments for Likeness {
    fn remember(&self, datagram: &Datagram, first: First) {
        self.fragments.borrow_mut().insert(*datagram, first);
    }

    fn only_by_source(&self, vip: &Address, protocol: u8) -> u16 {
        let of = |key: &&model::ServiceKey| {
            Address::from(key.vip) == *vip && key.protocol.number() == protocol
        };
        let beside: Vec<_> = self.plan.services.keys().filter(of).collect();
        match beside[..] {
            [key] if self.plan.services[key].hash == HashPolicy::Source => key.port.to_be(),
            _ => 0,
        }
    }

    fn recall(&self, datagram: &Datagram) -> Option<First> {
        self.fragments.borrow().get(datagram).copied()
    }
}

/// The message about a frame.
fn told(frame: &[u8], tags: &Tags, notice: &Notice) -> Vec<u8> {
    let head = match notice.ipv4 {
        true => Notice::IPV4,
        false => Notice::IPV6,
    };
    let quote = &frame[14 + tags.length..][..QUOTE];
    let words = quote
        .chunks(2)
        .map(|word| u16::from_ne_bytes([word[0], word[1]]));
    let mut out = vec![0; tags.length + head];
    notice.write(&mut out[tags.length..], words.map(u32::from).sum());
    tags.write(
        &mut out[..],
        turned((frame.read(0).unwrap(), frame.read(8).unwrap())),
    );
    out.extend_from_slice(quote);
    out
}

/// The request made the reply.
fn answered(frame: &[u8], tags: &Tags, reply: &Reply) -> Vec<u8> {
    let mut out = frame.to_vec();
    reply.write(&mut out[tags.length..]);
    let (first, second) = turned((frame.read(0).unwrap(), frame.read(8).unwrap()));
    out[..].write(0, first);
    out[..].write(8, second);
    out
}

fn backend(record: &BackendRecord) -> abi::Backend {
    let kind = match (record.encapsulation, record.address) {
        (Encapsulation::Gue, IpAddr::V4(_)) => outer::GUE_IPV4,
        (Encapsulation::Gue, IpAddr::V6(_)) => outer::GUE_IPV6,
        (Encapsulation::Ipip, _) => outer::IPV4,
        (Encapsulation::Ip6ip6 | Encapsulation::Ip4in6, _) => outer::IPV6,
    };
    let Some(hop) = record.next_hop else {
        return abi::Backend::new(kind, Address::default(), record.address.into());
    };
    let NextHop {
        interface,
        source_mac,
        destination_mac,
        source,
        source_bits,
        mtu,
        tags,
    } = hop;
    abi::Backend::new(kind, source.into(), record.address.into())
        .varying(source_bits)
        .via(interface, destination_mac, source_mac, mtu)
        .tagged(tags)
}
