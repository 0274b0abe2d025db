//! What an agent does with a frame: the decision of the program `decap`, as a pure function.

mod congestion;
mod hand_on;
mod second_chance;

use network_types::{
    eth::{EthHdr, EtherType},
    ip::IpProto,
    udp::UdpHdr,
};

pub use congestion::Mark;
pub use hand_on::HandOn;
use second_chance::Carried;
pub use second_chance::{Evidence, Segment};

use crate::{
    Address, Frame, Reason, gue,
    parse::{self, Family, Network},
};

/// What an instance knows: kernel maps and sockets, or their likeness in user space.
pub trait Instance<F> {
    /// Whether `source` may send encapsulated packets: whether it is an edge.
    fn is_edge(&self, source: &Address) -> bool;
    /// Whether `address` is another backend, with whom packets are handed on.
    fn is_peer(&self, address: &Address) -> bool;
    /// Whether `address` is a VIP that the instance serves.
    fn is_vip(&self, address: &Address) -> bool;
    /// What the instance's sockets know of a segment's flow.
    fn knows(&self, segment: &Segment<F>) -> Evidence;
}

/// How a packet leaves its encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes between the Ethernet header and the inner packet.
    pub outer_length: usize,
    /// The inner packet's Ethernet type, as a word to store.
    pub ether_type: u16,
    /// What the outer header says of congestion, and the inner one does not yet.
    pub mark: Option<Mark>,
    /// What it is counted as.
    pub reason: Reason,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is taken out of its encapsulation and goes up the stack.
    Opened(Opened),
    /// It goes to another backend as it is, but for its outer header.
    HandedOn(HandOn),
}

/// outer header -> who sent it -> inner packet -> who knows its flow.
#[inline(always)]
pub fn open<F: Frame, I: Instance<F>>(frame: F, instance: &I) -> Result<Fate, Reason> {
    // Each family on its own: where their ways met, all that is known of a packet would have to be kept in memory.
    match parse::family(frame) {
        Ok(Family::Ipv4) => unwrap(parse::ipv4(frame, EthHdr::LEN), frame, instance),
        Ok(Family::Ipv6) => unwrap(parse::ipv6(frame, EthHdr::LEN), frame, instance),
        Err(_) => Err(Reason::NotEncapsulated),
    }
}

#[inline(always)]
fn unwrap<F: Frame, I: Instance<F>>(
    outer: Option<Network>,
    frame: F,
    instance: &I,
) -> Result<Fate, Reason> {
    let outer = match outer {
        Some(outer) if outer.sound => outer,
        _ => return Err(Reason::NotEncapsulated),
    };
    let udp = frame.skip(EthHdr::LEN + outer.header_length);
    let is_gue = is_gue(udp, &outer);
    if !is_gue && !carries_ip(outer.protocol) {
        return Err(Reason::NotEncapsulated);
    }
    let is_edge = instance.is_edge(&outer.source);
    if outer.is_misplaced(&outer.source) || !is_edge && !instance.is_peer(&outer.source) {
        return Err(Reason::SourceNotAllowed);
    }
    if outer.fragment
        || outer.length < outer.header_length
        || EthHdr::LEN + outer.length > frame.length()
    {
        return Err(Reason::BadOuterHeader);
    }
    let (protocol, outer_length) = if is_gue {
        behind_gue(udp, &outer)?
    } else {
        (outer.protocol, outer.header_length)
    };
    let carried = if is_gue {
        second_chance::carried(frame, &outer, outer_length)?
    } else {
        Carried::NOTHING
    };
    // A peer may hand on what an edge has sent, and send nothing of its own.
    if !is_edge && !carried.head.was_handed_on() {
        return Err(Reason::SourceNotAllowed);
    }
    let inner = inner(frame, instance, protocol, outer_length, outer.length)?;
    let mut reason = Reason::Decapsulated;
    if !carried.is_nothing() {
        match second_chance::judge(instance, &outer, &carried, &inner) {
            Ok(handed_on) => return Ok(Fate::HandedOn(handed_on)),
            Err(here) => reason = here,
        }
    }
    Ok(Fate::Opened(Opened {
        outer_length,
        ether_type: inner.ether_type,
        mark: congestion::mark(&outer, &inner.network, inner.packet)?,
        reason,
    }))
}

#[inline(always)]
fn carries_ip(protocol: u8) -> bool {
    protocol == IpProto::Ipv4 as u8 || protocol == IpProto::Ipv6 as u8
}

#[inline(always)]
fn is_gue<F: Frame>(udp: F, outer: &Network) -> bool {
    outer.protocol == IpProto::Udp as u8
        && !outer.later_fragment
        && udp.read(2) == Some(gue::PORT.to_be())
}

/// The inner protocol, and the bytes from the outer IP header to the inner packet.
#[inline(always)]
fn behind_gue<F: Frame>(udp: F, outer: &Network) -> Result<(u8, usize), Reason> {
    let udp_length = u16::from_be(udp.read(4).ok_or(Reason::BadOuterHeader)?) as usize;
    if outer.header_length + udp_length != outer.length {
        return Err(Reason::BadOuterHeader);
    }
    let base = udp.read(UdpHdr::LEN).ok_or(Reason::BadGueHeader)?;
    let (protocol, gue_length) = gue::parse(base).ok_or(Reason::BadGueHeader)?;
    if UdpHdr::LEN + gue_length > udp_length || !carries_ip(protocol) {
        return Err(Reason::BadGueHeader);
    }
    Ok((protocol, outer.header_length + UdpHdr::LEN + gue_length))
}

/// A sound inner packet for a VIP.
#[derive(Clone, Copy)]
struct Inner<F> {
    /// Begins at its IP header.
    packet: F,
    network: Network,
    ether_type: u16,
}

/// Judges the inner packet: `end` is where the outer packet ends, in bytes from its start.
#[inline(always)]
fn inner<F: Frame, I: Instance<F>>(
    frame: F,
    instance: &I,
    protocol: u8,
    outer_length: usize,
    end: usize,
) -> Result<Inner<F>, Reason> {
    let packet = frame.skip(EthHdr::LEN + outer_length);
    let (inner, ether_type) = if protocol == IpProto::Ipv4 as u8 {
        (parse::ipv4(packet, 0), EtherType::Ipv4)
    } else {
        (parse::ipv6(packet, 0), EtherType::Ipv6)
    };
    let inner = inner.ok_or(Reason::BadInnerHeader)?;
    if !inner.sound || inner.length < inner.header_length || outer_length + inner.length > end {
        return Err(Reason::BadInnerHeader);
    }
    if inner.is_misplaced(&inner.destination) || !instance.is_vip(&inner.destination) {
        return Err(Reason::InnerNotForVip);
    }
    Ok(Inner {
        packet,
        network: inner,
        ether_type: ether_type as u16,
    })
}

#[cfg(test)]
mod tests;
