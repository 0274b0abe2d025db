//! Where packets for a VIP may go, by what way, and with whom: what an edge was told, written down without its tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Result};
use balancer_core::reconcile::{NextHop, NextHops};
use etherparse::{IpNumber, LaxIpSlice};

use super::{asks, encapsulated, ip_packet, of_first, says_too_large};
use crate::edge::Service;
use crate::moves::{Move, Step};
use crate::run::{Ran, Verdict};

/// Bytes of the headers that stand in front of a packet.
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP_GUE: usize = 12;
/// Bytes in front of alternates, and the most of them.
const HEAD: usize = 4;
const MAX_ALTERNATES: usize = 3;

/// What the edge was told.
#[derive(Default)]
pub(crate) struct Ways {
    vips: BTreeMap<(IpAddr, IpNumber), Vip>,
    /// Counts the changes, from 1.
    now: usize,
    ingress: u32,
}

/// The service of a VIP and a protocol.
struct Vip {
    name: String,
    is_gue: bool,
    ways: Vec<Way>,
}

/// The way to a backend.
#[derive(Clone, Debug)]
struct Way {
    backend: IpAddr,
    next_hop: NextHop,
    /// With which change it came; 0 if it was there at first.
    since: usize,
    /// With which it stopped to take new flows.
    until: Option<usize>,
    has_left: bool,
}

impl Ways {
    /// Of services as a site has them, before any of them changes.
    pub(crate) fn new(services: &[Service], ingress: u32, next_hops: &NextHops) -> Result<Ways> {
        let mut vips = BTreeMap::new();
        for (name, vip, encapsulation, backends) in services {
            let mut ways = Vec::new();
            for backend in *backends {
                let backend: IpAddr = backend.parse()?;
                // Nothing goes where no way leads.
                ways.extend(
                    next_hops
                        .get(&backend)
                        .map(|hop| Way::new(backend, *hop, 0)),
                );
            }
            for (protocol, number) in [("tcp", IpNumber::TCP), ("udp", IpNumber::UDP)] {
                let of = Vip {
                    name: format!("{name}-{protocol}"),
                    is_gue: *encapsulation == "gue",
                    ways: ways.clone(),
                };
                vips.insert((vip.parse()?, number), of);
            }
        }
        Ok(Ways {
            vips,
            now: 1,
            ingress,
        })
    }

    /// After a change.
    pub(crate) fn follow(
        &mut self,
        (what, service, address): &Step,
        next_hops: &NextHops,
    ) -> Result<()> {
        self.now += 1;
        let address: IpAddr = address.parse()?;
        let mut vips = self.vips.values_mut();
        let vip = vips
            .find(|vip| vip.name == *service)
            .context("no service")?;
        let way = vip.ways.iter_mut().find(|way| way.backend == address);
        match (what, way) {
            (Move::Joins, None) => {
                let hop = next_hops.get(&address).context("no way to it")?;
                vip.ways.push(Way::new(address, *hop, self.now));
            }
            (Move::Joins, Some(_)) => anyhow::bail!("{address} was there before"),
            (Move::Drains, Some(way)) => way.until = Some(self.now),
            (Move::Leaves, Some(way)) => {
                way.until = way.until.or(Some(self.now));
                way.has_left = true;
            }
            (_, None) => anyhow::bail!("{address} was never there"),
        }
        Ok(())
    }

    /// Whether a packet that was sent went to a backend of its VIP, by the way there, with earlier owners that may know its
    /// connection; and who was told that it does not fit was told what fits.
    pub(crate) fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String> {
        if ![Verdict::Transmit, Verdict::Redirect].contains(&ran.verdict) {
            return Ok(());
        }
        let packet = ip_packet(frame)?;
        if asks(packet) {
            return Ok(());
        }
        let vip = self.service(packet)?;
        let out = ip_packet(&ran.frame)?;
        if says_too_large(out) {
            return vip.judge_told(packet, out);
        }
        let way = vip.judge_way(self.ingress, out, ran)?;
        vip.judge_alternates(way, packet, &encapsulated(&ran.frame)?.private)
    }

    /// The service of a packet, or of what it quotes.
    fn service(&self, packet: &[u8]) -> Result<&Vip, String> {
        let (ip, protocol) = (network(packet)?, protocol(packet)?);
        let vip = self.vips.get(&(ip.destination_addr(), protocol));
        vip.ok_or_else(|| format!("{} has no {protocol:?}", ip.destination_addr()))
    }
}

impl Vip {
    /// The way that a packet took.
    fn judge_way(&self, ingress: u32, out: &[u8], ran: &Ran) -> Result<&Way, String> {
        let ip = network(out)?;
        let (source, to) = (ip.source_addr(), ip.destination_addr());
        let mut ways = self.ways.iter();
        let way = ways
            .find(|way| way.backend == to && way.until.is_none())
            .ok_or_else(|| format!("{to} is no backend of {} that takes flows", self.name))?;
        let hop = &way.next_hop;
        if ran.frame[..6] != hop.destination_mac || ran.frame[6..12] != hop.source_mac {
            return Err(format!("not by the next hop to {to}, {:?}", hop));
        }
        let leaves = match hop.interface == ingress {
            true => Verdict::Transmit,
            false => Verdict::Redirect,
        };
        if ran.verdict != leaves {
            return Err(format!("not out of the interface to {to}, {leaves:?}"));
        }
        // Where there is no port for a flow, bits of the source are its.
        let bits = if self.is_gue {
            0
        } else {
            hop.source_bits.min(16)
        };
        if first_bits(source, bits) != first_bits(hop.source, bits) {
            return Err(format!("from {source}, not {}/{bits}", hop.source));
        }
        if out.len() > hop.mtu as usize {
            return Err(format!("{} bytes do not fit the way to {to}", out.len()));
        }
        Ok(way)
    }

    /// Whether the private data of a packet on its way names those who may know its connection, the newest first.
    fn judge_alternates(&self, way: &Way, packet: &[u8], private: &[u8]) -> Result<(), String> {
        let travel = alternates(way.backend.is_ipv4(), private)?;
        if !belongs_to_connection(packet)? {
            return match travel.is_empty() {
                true => Ok(()),
                false => Err(format!("{travel:?} travel with what is of no connection")),
            };
        }
        let mut earlier = Vec::new();
        for address in &travel {
            let mut ways = self.ways.iter();
            let alternate = ways.find(|way| way.backend == *address && !way.has_left);
            earlier.push(alternate.ok_or_else(|| format!("{address} has never been here"))?);
        }
        for (place, newer) in earlier.iter().enumerate() {
            let is_late = |older: &&Way| newer.until.is_some_and(|until| until <= older.since);
            let older = &earlier[place + 1..];
            if newer.backend == way.backend || older.iter().any(|it| it.backend == newer.backend) {
                return Err(format!("{travel:?} name {} twice", newer.backend));
            }
            if older.iter().any(is_late) {
                return Err(format!("{travel:?} are not the newest first"));
            }
        }
        match self.chain(way) {
            Some(expected) if expected != travel => {
                Err(format!("{travel:?} travel, not {expected:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Who travels to the only backend that takes flows, if each took over from the one before: all slots moved together.
    fn chain(&self, way: &Way) -> Option<Vec<IpAddr>> {
        let mut links: Vec<&Way> = self.ways.iter().collect();
        links.sort_by_key(|link| std::cmp::Reverse(link.since));
        let took_over = |of: &[&Way]| of[1].until == Some(of[0].since + 1);
        if !self.is_gue || !links.windows(2).all(took_over) {
            return None;
        }
        let reached = |it: &&&Way| !it.has_left && it.backend.is_ipv4() == way.backend.is_ipv4();
        let before = links.iter().skip(1).take(MAX_ALTERNATES).filter(reached);
        Some(before.map(|link| link.backend).collect())
    }

    /// Whether a message names the longest packet that fits the way to a backend, whoever travels along; and this one does
    /// not fit as it would have gone.
    fn judge_told(&self, packet: &[u8], message: &[u8]) -> Result<(), String> {
        let at = if message[0] >> 4 == 4 { IPV4 } else { IPV6 };
        let told = usize::from(u16::from_be_bytes([message[at + 6], message[at + 7]]));
        let moved = |way: &Way| way.since != 0 || way.until.is_some();
        let carries = self.ways.iter().any(moved) && belongs_to_connection(packet)?;
        let live = self.ways.iter().filter(|way| way.until.is_none());
        let mut limits = live.map(|way| {
            let (outer, address) = if way.backend.is_ipv4() {
                (IPV4, 4)
            } else {
                (IPV6, 16)
            };
            let (outer, room) = match self.is_gue {
                true => (outer + UDP_GUE, HEAD + MAX_ALTERNATES * address),
                false => (outer, 0),
            };
            let without = way.next_hop.mtu as usize - outer;
            (without - room, without)
        });
        let fits = |(with, without): (usize, usize)| {
            told == with && packet.len() > if carries { with } else { without }
        };
        match limits.any(fits) {
            true => Ok(()),
            false => Err(format!("{told} bytes are told to one of {}", packet.len())),
        }
    }
}

impl Way {
    fn new(backend: IpAddr, next_hop: NextHop, since: usize) -> Way {
        Way {
            backend,
            next_hop,
            since,
            until: None,
            has_left: false,
        }
    }
}

/// The alternates in private data that an edge has sent.
fn alternates(ipv4: bool, private: &[u8]) -> Result<Vec<IpAddr>, String> {
    let Some((head, addresses)) = private.split_first_chunk::<HEAD>() else {
        return match private.is_empty() {
            true => Ok(Vec::new()),
            false => Err(format!("private data {private:02x?}")),
        };
    };
    let length = if ipv4 { 4 } else { 16 };
    let count = addresses.len() / length;
    if *head != [1, count as u8, 0, 0]
        || !addresses.len().is_multiple_of(length)
        || !(1..=MAX_ALTERNATES).contains(&count)
    {
        return Err(format!("private data {private:02x?}"));
    }
    Ok(addresses.chunks(length).map(address).collect())
}

/// An address of four bytes or sixteen.
pub(super) fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => IpAddr::from(octets),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).expect("sixteen bytes")),
    }
}

/// An address without so many of its last bits.
fn first_bits(address: IpAddr, bits: u8) -> u128 {
    let all = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    all >> bits
}

fn network(packet: &[u8]) -> Result<LaxIpSlice<'_>, String> {
    let (ip, _) = LaxIpSlice::from_slice(packet).map_err(|e| e.to_string())?;
    Ok(ip)
}

/// The protocol of a packet for a VIP, or of the one that it quotes.
fn protocol(packet: &[u8]) -> Result<IpNumber, String> {
    let packet = &of_first(packet);
    let ip = network(packet)?;
    let inside = ip.payload();
    match inside.ip_number {
        IpNumber::ICMP | IpNumber::IPV6_ICMP => {
            let quote = inside.payload.get(8..).ok_or("no quote")?;
            Ok(network(quote)?.payload().ip_number)
        }
        plain => Ok(plain),
    }
}

/// Whether a packet may belong to a connection that an earlier owner has: a segment that opens none, or an error about one.
pub(super) fn belongs_to_connection(packet: &[u8]) -> Result<bool, String> {
    let ip = network(packet)?;
    if ip.payload().fragmented || protocol(packet)? != IpNumber::TCP {
        return Ok(false);
    }
    let inside = ip.payload();
    Ok(match inside.ip_number {
        // SYN without ACK.
        IpNumber::TCP => inside
            .payload
            .get(13)
            .is_some_and(|flags| flags & 0x12 != 0x02),
        _ => true,
    })
}
