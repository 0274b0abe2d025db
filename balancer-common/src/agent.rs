//! What an agent does with a frame: the decisions of the programs `decap` and `decap_slow`, as pure functions.

mod congestion;
mod fast_path;
mod hand_on;
mod second_chance;

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

pub use congestion::Mark;
pub use fast_path::open_fast;
pub use hand_on::HandOn;
pub use second_chance::{Evidence, Segment};

use crate::{
    Address, Frame, Reason,
    alternates::Head,
    gue,
    icmp_error::Quote,
    parse::{self, Family, Network},
};

/// What the decision needs to know of an instance: kernel maps and sockets, or a model of them in user space.
pub trait Instance<F> {
    /// Whether `source` is an edge, so that it may send encapsulated packets.
    fn is_edge(&self, source: &Address) -> bool;
    /// Whether `address` is a peer: a backend that packets are handed on to and taken from.
    fn is_peer(&self, address: &Address) -> bool;
    /// Whether `address` is a VIP that the instance serves.
    fn is_vip(&self, address: &Address) -> bool;
    /// What the instance's sockets know of a segment's flow.
    fn knows(&self, segment: &Segment<F>) -> Evidence;
    /// Whether they have an established connection for it: the strongest evidence.
    fn is_connected(&self, segment: &Segment<F>) -> bool {
        self.knows(segment) == Evidence::Known
    }
    /// What they know of the flow that an ICMP error quotes.
    fn knows_quoted(&self, quote: &Quote) -> Evidence;
}

/// How to decapsulate a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes between the Ethernet header and the inner packet.
    pub outer_length: usize,
    /// The inner packet's EtherType, as a word to store.
    pub ether_type: u16,
    /// The congestion mark to copy from the outer header to the inner one, if it lacks the mark.
    pub mark: Option<Mark>,
    /// The reason to count it under.
    pub reason: Reason,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Decapsulate it and pass it to the stack.
    Opened(Opened),
    /// Forward it to another backend, with only its outer header rewritten.
    HandedOn(HandOn),
}

/// Offset, in the frame, of the payload of an IPv4 header without options, and of an IPv6 header.
const BEHIND_IPV4: usize = EthHdr::LEN + Ipv4Hdr::LEN;
const BEHIND_IPV6: usize = EthHdr::LEN + Ipv6Hdr::LEN;
/// Bytes of UDP and GUE headers without private data.
const UDP_GUE: usize = UdpHdr::LEN + gue::BASE_LENGTH;

/// Slow path: outer header -> sender allowed? -> inner packet -> which socket knows its flow?
///
/// The code for each outer and inner address family is separate. If the branches joined, the compiler would keep all that is
/// known of a packet on the stack instead of in registers.
#[inline(always)]
pub fn open<F: Frame, I: Instance<F>>(frame: F, instance: &I) -> Result<Fate, Reason> {
    match parse::family(frame) {
        Ok(Family::Ipv4) => {
            let outer = parse::ipv4(frame, EthHdr::LEN).ok_or(Reason::NotEncapsulated)?;
            if outer.header_length > Ipv4Hdr::LEN {
                unwrap_behind_options(outer, frame, instance)
            } else {
                unwrap::<BEHIND_IPV4, _, _>(outer, frame, instance)
            }
        }
        Ok(Family::Ipv6) => {
            let outer = parse::ipv6(frame, EthHdr::LEN).ok_or(Reason::NotEncapsulated)?;
            unwrap::<BEHIND_IPV6, _, _>(outer, frame, instance)
        }
        Err(_) => Err(Reason::NotEncapsulated),
    }
}

/// `AT`: offset of the outer header's payload.
#[inline(always)]
fn unwrap<const AT: usize, F: Frame, I: Instance<F>>(
    outer: Network,
    frame: F,
    instance: &I,
) -> Result<Fate, Reason> {
    let is_gue = is_gue(&outer, frame, AT)?;
    let is_edge = check(&outer, frame, instance)?;
    let (mut protocol, mut in_front, mut head) = (outer.protocol, AT, Head::NOTHING);
    if is_gue {
        let (inside, private) = behind_gue(&outer, frame, AT)?;
        if private != 0 {
            head = second_chance::carried(frame, &outer, private)?;
        }
        (protocol, in_front) = (inside, AT + UDP_GUE + private);
    }
    // A peer may hand packets of edges on, but may not send packets of its own.
    if !is_edge && !head.was_handed_on() {
        return Err(Reason::SourceNotAllowed);
    }
    let packet = frame.skip(in_front);
    let (ipv4, ipv6) = (IpProto::Ipv4 as u8, IpProto::Ipv6 as u8);
    if protocol == ipv4 {
        let inner = inner(ipv4, packet, in_front, &outer, instance)?;
        decide(frame, head, &inner, in_front, &outer, instance)
    } else {
        let inner = inner(ipv6, packet, in_front, &outer, instance)?;
        decide(frame, head, &inner, in_front, &outer, instance)
    }
}

/// Passes the packet to the stack, or hands it on to an alternate that may know its flow.
#[inline(always)]
fn decide<F: Frame, I: Instance<F>>(
    frame: F,
    head: Head,
    inner: &Inner<F>,
    in_front: usize,
    outer: &Network,
    instance: &I,
) -> Result<Fate, Reason> {
    if head.count == 0 {
        return opened(inner, in_front, outer, Reason::Decapsulated);
    }
    match second_chance::judge(frame, instance, outer, head, inner) {
        Ok(handed_on) => Ok(Fate::HandedOn(handed_on)),
        Err(here) => opened(inner, in_front, outer, here),
    }
}

/// As [`unwrap`], for an outer IPv4 header with options. Edges send no options, so such a packet carries no alternates.
#[inline(always)]
fn unwrap_behind_options<F: Frame, I: Instance<F>>(
    outer: Network,
    frame: F,
    instance: &I,
) -> Result<Fate, Reason> {
    let at = EthHdr::LEN + outer.header_length;
    let payload = frame.skip(at);
    let is_gue = is_gue(&outer, payload, 0)?;
    let is_edge = check(&outer, frame, instance)?;
    let (mut protocol, mut in_front) = (outer.protocol, at);
    if is_gue {
        let (inside, private) = behind_gue(&outer, payload, 0)?;
        if private != 0 && second_chance::is_carried(payload)? {
            return Err(Reason::BadAlternates);
        }
        (protocol, in_front) = (inside, at + UDP_GUE + private);
    }
    if !is_edge {
        return Err(Reason::SourceNotAllowed);
    }
    let packet = frame.skip(in_front);
    let inner = inner(protocol, packet, in_front, &outer, instance)?;
    opened(&inner, in_front, &outer, Reason::Decapsulated)
}

/// Whether the outer header's payload, at offset `at` of `frame`, is GUE. `false` means an IP packet.
#[inline(always)]
fn is_gue<F: Frame>(outer: &Network, frame: F, at: usize) -> Result<bool, Reason> {
    let is_gue = outer.protocol == IpProto::Udp as u8
        && !outer.later_fragment
        && frame.read(at + 2) == Some(gue::PORT.to_be());
    if outer.sound && (is_gue || carries_ip(outer.protocol)) {
        Ok(is_gue)
    } else {
        Err(Reason::NotEncapsulated)
    }
}

#[inline(always)]
fn carries_ip(protocol: u8) -> bool {
    protocol == IpProto::Ipv4 as u8 || protocol == IpProto::Ipv6 as u8
}

/// Validates the outer header. Returns `true` if an edge sent the packet, and `false` if a peer did.
#[inline(always)]
fn check<F: Frame, I: Instance<F>>(
    outer: &Network,
    frame: F,
    instance: &I,
) -> Result<bool, Reason> {
    let is_edge = instance.is_edge(&outer.source);
    if outer.is_misplaced(&outer.source) || !is_edge && !instance.is_peer(&outer.source) {
        return Err(Reason::SourceNotAllowed);
    }
    if outer.fragment
        || outer.length < outer.header_length
        || !frame.holds(EthHdr::LEN + outer.length)
    {
        return Err(Reason::BadOuterHeader);
    }
    Ok(is_edge)
}

/// The inner protocol and the length of the private data. The UDP header is at offset `at` of `frame`.
#[inline(always)]
fn behind_gue<F: Frame>(outer: &Network, frame: F, at: usize) -> Result<(u8, usize), Reason> {
    let udp_length = u16::from_be(frame.read(at + 4).ok_or(Reason::BadOuterHeader)?) as usize;
    if outer.header_length + udp_length != outer.length {
        return Err(Reason::BadOuterHeader);
    }
    let base = frame.read(at + UdpHdr::LEN).ok_or(Reason::BadGueHeader)?;
    let (protocol, gue_length) = gue::parse(base).ok_or(Reason::BadGueHeader)?;
    let private = gue_length - gue::BASE_LENGTH;
    if UDP_GUE + private > udp_length || !carries_ip(protocol) {
        return Err(Reason::BadGueHeader);
    }
    Ok((protocol, private))
}

/// A valid inner packet for a VIP.
#[derive(Clone, Copy)]
struct Inner<F> {
    /// The packet from its IP header on.
    packet: F,
    network: Network,
    ether_type: u16,
}

/// Validates the inner packet, which begins at offset `in_front` of the frame.
#[inline(always)]
fn inner<F: Frame, I: Instance<F>>(
    protocol: u8,
    packet: F,
    in_front: usize,
    outer: &Network,
    instance: &I,
) -> Result<Inner<F>, Reason> {
    let (inner, ether_type) = if protocol == IpProto::Ipv4 as u8 {
        (parse::ipv4(packet, 0), EtherType::Ipv4)
    } else {
        (parse::ipv6(packet, 0), EtherType::Ipv6)
    };
    let inner = inner.ok_or(Reason::BadInnerHeader)?;
    if !inner.sound
        || inner.length < inner.header_length
        || in_front + inner.length > EthHdr::LEN + outer.length
    {
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

#[inline(always)]
fn opened<F: Frame>(
    inner: &Inner<F>,
    in_front: usize,
    outer: &Network,
    reason: Reason,
) -> Result<Fate, Reason> {
    Ok(Fate::Opened(Opened {
        outer_length: in_front - EthHdr::LEN,
        ether_type: inner.ether_type,
        mark: congestion::mark(outer, &inner.network, inner.packet, 0)?,
        reason,
    }))
}

#[cfg(test)]
mod tests;
