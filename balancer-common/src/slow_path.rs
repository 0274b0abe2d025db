//! The edge's slow path: the decision of the program `balance_slow`, as a pure function. `balance` tail-calls it for frames that
//! the fast path does not parse, so that they cost the fast path nothing.

use network_types::{eth::EthHdr, ip::IpProto};

use crate::{
    Frame, Reason,
    echo::{self, Reply},
    edge::{self, Choice, Tables},
    extensions,
    flow::HashKey,
    fragments::{self, Datagram, First, Fragments},
    icmp_error,
    parse::{Network, Packet},
    tags::{self, Tags},
};

/// What to do with the frame.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// Send it to a backend.
    Sent(Choice<'a>),
    /// Answer it.
    Answered(Reply),
}

/// Whether the slow path may decide differently about a frame for which the fast path found `reason`.
#[inline(always)]
pub fn needs_slow_path<F: Frame>(frame: F, reason: Reason) -> bool {
    match reason {
        Reason::NotIp => tags::is_tagged(frame, 0),
        Reason::UnsupportedProtocol | Reason::Fragment => true,
        _ => false,
    }
}

/// tags -> VIP? -> fragment, ICMP or segment -> backend.
#[inline(always)]
pub fn judge<'a, F: Frame, T: Tables + Fragments>(
    frame: F,
    tags: &Tags,
    tables: &'a T,
    key: &HashKey,
) -> Result<Fate<'a>, Reason> {
    let frame = frame.skip(tags.length);
    let mut network = edge::for_vip(frame, tables)?;
    network.check(frame)?;
    if network.version_protocol == IpProto::Ipv6 as u8 {
        network = extensions::behind(frame.skip(EthHdr::LEN), network)?;
    }
    if network.fragment {
        return fragment(frame, &network, tables, key).map(Fate::Sent);
    }
    let packet = if is_icmp(&network) {
        match icmp(frame, &network)? {
            Message::Request(reply) => return Ok(Fate::Answered(reply)),
            Message::Error(packet) => packet,
        }
    } else {
        network.segment(frame)?
    };
    edge::owner(tables, key, &packet).map(Fate::Sent)
}

/// A first fragment has the ports, and is remembered; the later ones go to the same backend. If the VIP's only service for the
/// protocol hashes by source, no fragment needs the first one.
#[inline(always)]
fn fragment<'a, F: Frame, T: Tables + Fragments>(
    frame: F,
    network: &Network,
    tables: &'a T,
    key: &HashKey,
) -> Result<Choice<'a>, Reason> {
    let ipv4 = network.version_protocol == IpProto::Ipv4 as u8;
    let datagram = Datagram::of(network, ipv4);
    let only = tables.only_by_source(&network.destination, network.protocol);
    // The length of a later fragment is not validated with layer 4, so do it here: padding must not pass for a fragment header.
    if network.later_fragment && network.length < network.header_length {
        return Err(Reason::BadTotalLength);
    }
    let (packet, known) = if network.later_fragment && only != 0 {
        (fragments::later(network, only, network.protocol), None)
    } else if network.later_fragment {
        let first = tables.recall(&datagram).ok_or(Reason::Fragment)?;
        let packet = fragments::later(network, first.port, first.protocol);
        (packet, Some(first.hash))
    } else {
        if is_icmp(network) {
            return Err(Reason::Fragment);
        }
        let packet = network.segment(frame)?;
        // The later fragments could not be handed on together with it, so it carries no alternates.
        let packet = Packet {
            continues: false,
            ..packet
        };
        (packet, None)
    };
    let service = edge::service(tables, &packet.flow)?;
    let hash = match known {
        Some(hash) => hash,
        None => edge::hash(service, &packet.flow, key),
    };
    // Always for IPv6: later fragments may name another next header than this one, and would then not be found by source.
    if !network.later_fragment && (only == 0 || !ipv4) {
        tables.remember(&datagram, First::new(&packet, hash));
    }
    edge::place(tables, service, hash, &packet)
}

/// Whether ICMP of the header's own address family follows.
#[inline(always)]
fn is_icmp(network: &Network) -> bool {
    let icmp = if network.version_protocol == IpProto::Ipv4 as u8 {
        IpProto::Icmp
    } else {
        IpProto::Ipv6Icmp
    };
    network.protocol == icmp as u8
}

/// An ICMP message to a VIP.
enum Message {
    /// An echo request, and the reply to it.
    Request(Reply),
    /// An error, as a packet of the flow that it quotes.
    Error(Packet),
}

#[inline(always)]
fn icmp<F: Frame>(frame: F, network: &Network) -> Result<Message, Reason> {
    if network.length < network.header_length + echo::HEADER {
        return Err(Reason::BadTotalLength);
    }
    let message = frame.skip(EthHdr::LEN + network.header_length);
    let kind = message.read(0).ok_or(Reason::BadTotalLength)?;
    if icmp_error::is_error(kind, network.version_protocol == IpProto::Ipv4 as u8) {
        return icmp_error::packet(frame, network).map(Message::Error);
    }
    Reply::to(frame, network).map(Message::Request)
}
