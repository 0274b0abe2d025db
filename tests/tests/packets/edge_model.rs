//! The edge's tables in user space, made from its configuration as the daemon makes its maps.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use balancer_common::abi::{self, HistoryRow, Service, ServiceKey, Slot, outer};
use balancer_common::echo::Reply;
use balancer_common::edge::{self, Alternates, Choice, Tables};
use balancer_common::flow::HashKey;
use balancer_common::fragments::{Datagram, First, Fragments};
use balancer_common::frame::{WithFrags, swap_macs};
use balancer_common::outer::{Carrying as _, GueIpv4, GueIpv6, Ipv4, Ipv6, Outer};
use balancer_common::slow_path::{self, Fate};
use balancer_common::tags::Tags;
use balancer_common::too_large::{self, Notice, QUOTE};
use balancer_common::{Address, Frame as _, FrameMut as _, Reason, alternates};
use balancer_config::EdgeConfig;
use balancer_core::model::{self, HashPolicy, Health, ServiceId};
use balancer_core::reconcile::{self, NextHops, Plan};
use balancer_core::state::{Change, State};
use balancer_edge::image::Image;

use crate::counts::Counts;
use crate::run::{FirstBuffer, Ran, Verdict, with_frags};
use crate::tally::Row;

/// A decision and its frame, as the program would make them, and what it would count.
pub(crate) struct Decided {
    pub(crate) ran: Ran,
    pub(crate) counted: Counts,
    pub(crate) row: Row,
    /// What became of it, in words.
    pub(crate) name: String,
}

impl Decided {
    pub(crate) fn met(reason: Reason, frame: Vec<u8>) -> Decided {
        Decided {
            ran: Ran {
                verdict: Verdict::of(reason),
                frame,
            },
            counted: Counts::reason(reason),
            row: Row::Reason(reason),
            name: reason.name().to_owned(),
        }
    }

    /// The same, if this came of the frame because too many senders were told lately: only the program's clock knows that.
    pub(crate) fn held_back(self, frame: &[u8], came: &Ran) -> Decided {
        let silent = Decided::met(Reason::TooLarge, frame.to_vec());
        match self.row == Row::Reason(Reason::ToldTooLarge) && silent.ran == *came {
            true => silent,
            false => self,
        }
    }
}

/// What the edge's maps hold.
pub(crate) struct EdgeModel {
    key: HashKey,
    state: State,
    ingress: u32,
    pub(crate) first: Option<FirstBuffer>,
    plan: Plan,
    image: Image,
    /// First fragments that came by.
    fragments: RefCell<BTreeMap<Datagram, First>>,
    /// Service and address of each backend, as counters name them, and the service's table.
    names: BTreeMap<u16, (String, String, ServiceId)>,
}

impl EdgeModel {
    /// `config` is the edge's configuration, `ingress` the index of its interface, and `next_hops`
    /// what it should find out.
    pub(crate) fn new(config: &str, ingress: u32, next_hops: &NextHops) -> Result<EdgeModel> {
        let config = EdgeConfig::parse(config, "edge.toml")?;
        let key = config.hash_key.context("the site has a key")?;
        let apply = Change::Apply {
            services: config.services,
            force: true,
        };
        let mut model = EdgeModel {
            key: HashKey::expand(key),
            state: State::new(key),
            ingress,
            first: None,
            plan: Plan::default(),
            image: Image::default(),
            fragments: RefCell::default(),
            names: BTreeMap::new(),
        };
        model.follow(&apply, next_hops)?;
        Ok(model)
    }

    /// Makes a change, as the daemon makes it.
    pub(crate) fn follow(&mut self, change: &Change, next_hops: &NextHops) -> Result<()> {
        self.state = self.state.change(change, 0)?.0;
        let plan = reconcile::plan(&self.state, &|_| Health::Unknown, next_hops).after(&self.plan);
        self.image = Image::of(&plan);
        self.names.clear();
        for (name, service) in self.state.services.iter() {
            for (address, id) in &service.ids {
                let name = (name.to_string(), address.to_string(), service.id);
                self.names.insert(id.0, name);
            }
        }
        self.plan = plan;
        Ok(())
    }

    /// How many slots each backend of each service owns.
    pub(crate) fn slots(&self) -> BTreeMap<(String, String), usize> {
        let mut slots = BTreeMap::new();
        for (id, (service, address, table)) in &self.names {
            let owners = self.plan.tables[table].owners().iter();
            let owned = owners.filter(|owner| owner.0 == *id).count();
            slots.insert((service.clone(), address.clone()), owned);
        }
        slots
    }

    /// One more than the largest id of a backend.
    pub(crate) fn ids(&self) -> u16 {
        self.names.keys().last().map_or(0, |last| last + 1)
    }

    /// What the program should make of a frame.
    pub(crate) fn decide(&self, frame: &[u8]) -> Decided {
        let packet = with_frags(frame, self.first);
        let fast = edge::choose(packet, self, &self.key);
        let (fate, came) = match fast {
            Err(reason) if slow_path::needs_slow_path(packet, reason) => {
                let tags = Tags::read(packet);
                (slow_path::judge(packet, &tags, self, &self.key), tags)
            }
            fast => (fast.map(Fate::Sent), Tags::NONE),
        };
        match fate {
            Ok(Fate::Answered(reply)) => {
                Decided::met(Reason::EchoAnswered, answered(frame, &came, &reply))
            }
            Ok(Fate::Sent(choice)) => {
                self.check_owner(&choice);
                let carried = match choice.moved {
                    Some(moved) => edge::alternates(self, &choice, moved),
                    None => Ok([None; 3]),
                };
                match carried {
                    Ok(carried) => self.sent(frame, &choice, &carried, &came),
                    Err(Reason::TooLarge) => self.too_large(frame, packet),
                    Err(reason) => Decided::met(reason, frame.to_vec()),
                }
            }
            Err(Reason::TooLarge) => self.too_large(frame, packet),
            Err(reason) => Decided::met(reason, frame.to_vec()),
        }
    }

    /// Its sender is told, if it can be: nobody was told before.
    fn too_large(&self, frame: &[u8], packet: WithFrags<'_>) -> Decided {
        let tags = Tags::read(packet);
        match too_large::notice(packet, &tags, self, &self.key) {
            Ok(notice) => Decided::met(Reason::ToldTooLarge, told(frame, &tags, &notice)),
            Err(reason) => Decided::met(reason, frame.to_vec()),
        }
    }

    /// The table itself, asked by the hash, must give the same backend.
    fn check_owner(&self, choice: &Choice<'_>) {
        let (_, _, table) = self.names[&choice.id];
        let table = &self.plan.tables[&table];
        let owner = table.owners()[table.slot_of(choice.inner.hash)];
        assert_eq!(owner.0, choice.id, "{choice:?}");
    }

    fn sent(
        &self,
        frame: &[u8],
        choice: &Choice<'_>,
        carried: &Alternates<'_>,
        came: &Tags,
    ) -> Decided {
        let leave = Tags::of(choice.backend);
        let leave =
            leave.unwrap_or_else(|| came.leaving_by(choice.backend.interface, self.ingress));
        let count = carried.iter().flatten().count();
        let private = match (count, choice.backend.kind()) {
            (0, _) => 0,
            (count, outer::GUE_IPV4) => alternates::length(count, 4),
            (count, _) => alternates::length(count, 16),
        };
        let mut out = vec![0; choice.backend.outer_length() + private + leave.length];
        out.extend_from_slice(&frame[came.length..]);
        encapsulate(&mut out[leave.length..], choice, carried);
        let [first, second] = choice.backend.macs;
        leave.write(&mut out[..], (first, second as u32));
        let (service, address, _) = &self.names[&choice.id];
        Decided {
            ran: Ran {
                verdict: match choice.backend.interface == self.ingress {
                    true => Verdict::Transmit,
                    false => Verdict::Redirect,
                },
                frame: out,
            },
            counted: Counts::backend(service, address, choice.inner.length),
            row: Row::Backend(choice.id, choice.inner.length as u64),
            name: match (count, choice.backend.destination.is_ipv4()) {
                (0, _) => "sent".to_owned(),
                (count, true) => format!("sent with {count} alternates over IPv4"),
                (count, false) => format!("sent with {count} alternates over IPv6"),
            },
        }
    }
}

/// Writes the outer header, as many alternates in it as there are.
fn encapsulate(head: &mut [u8], choice: &Choice<'_>, carried: &Alternates<'_>) {
    let (backend, inner) = (choice.backend, &choice.inner);
    match (backend.kind(), *carried) {
        (outer::GUE_IPV4, [Some(a), Some(b), Some(c)]) => {
            GueIpv4::write_carrying(head, backend, [a, b, c], inner);
        }
        (outer::GUE_IPV4, [Some(a), Some(b), None]) => {
            GueIpv4::write_carrying(head, backend, [a, b], inner);
        }
        (outer::GUE_IPV4, [Some(a), ..]) => GueIpv4::write_carrying(head, backend, [a], inner),
        (outer::GUE_IPV6, [Some(a), Some(b), Some(c)]) => {
            GueIpv6::write_carrying(head, backend, [a, b, c], inner);
        }
        (outer::GUE_IPV6, [Some(a), Some(b), None]) => {
            GueIpv6::write_carrying(head, backend, [a, b], inner);
        }
        (outer::GUE_IPV6, [Some(a), ..]) => GueIpv6::write_carrying(head, backend, [a], inner),
        (outer::GUE_IPV4, _) => GueIpv4::write(head, backend, inner),
        (outer::GUE_IPV6, _) => GueIpv6::write(head, backend, inner),
        (outer::IPV4, _) => Ipv4::write(head, backend, inner),
        (outer::IPV6, _) => Ipv6::write(head, backend, inner),
        (other, _) => panic!("no outer header {other}"),
    }
}

impl Tables for EdgeModel {
    fn is_vip(&self, address: &Address) -> bool {
        self.image.is_vip(address)
    }

    fn service(&self, key: &ServiceKey) -> Option<Service> {
        self.image.service(key)
    }

    fn slot(&self, table: u32, slot: u32) -> Option<Slot> {
        self.image.slot(table, slot)
    }

    fn backend(&self, id: u16) -> Option<&abi::Backend> {
        self.image.backend(id)
    }

    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        self.image.history(table, slot)
    }
}

impl Fragments for EdgeModel {
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
        swap_macs((frame.read(0).unwrap(), frame.read(8).unwrap())),
    );
    out.extend_from_slice(quote);
    out
}

/// The request made the reply.
fn answered(frame: &[u8], tags: &Tags, reply: &Reply) -> Vec<u8> {
    let mut out = frame.to_vec();
    reply.write(&mut out[tags.length..]);
    let (first, second) = swap_macs((frame.read(0).unwrap(), frame.read(8).unwrap()));
    out[..].write(0, first);
    out[..].write(8, second);
    out
}
