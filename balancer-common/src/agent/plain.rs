//! The packets that most are, each part of them where the program knows beforehand: an outer header without options or
//! extensions, from an edge, and no alternates.
//!
//! Anything else, and whatever is to be refused, is for [`super::open`], which decides the same of these packets.

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

use super::{Instance, Opened, congestion};
use crate::{
    Frame, Reason, gue,
    parse::{self, Family, Network},
};

/// Bytes of a frame in front of an IPv4 header's payload, and of an IPv6 header's.
const BEHIND_IPV4: usize = EthHdr::LEN + Ipv4Hdr::LEN;
const BEHIND_IPV6: usize = EthHdr::LEN + Ipv6Hdr::LEN;
/// Bytes of UDP and GUE headers without private data.
const GUE: usize = UdpHdr::LEN + gue::BASE_LENGTH;
/// The same behind each IP header.
const BEHIND_GUE_IPV4: usize = BEHIND_IPV4 + GUE;
const BEHIND_GUE_IPV6: usize = BEHIND_IPV6 + GUE;

/// How such a packet leaves its encapsulation; `None` for any other.
#[inline(always)]
pub fn plain<F: Frame, I: Instance<F>>(frame: F, instance: &I) -> Option<Opened> {
    match parse::family(frame).ok()? {
        Family::Ipv4 => {
            let outer = parse::ipv4(frame, EthHdr::LEN)?;
            if outer.header_length != Ipv4Hdr::LEN {
                return None;
            }
            behind::<BEHIND_IPV4, BEHIND_GUE_IPV4, _, _>(outer, frame, instance)
        }
        Family::Ipv6 => {
            let outer = parse::ipv6(frame, EthHdr::LEN)?;
            behind::<BEHIND_IPV6, BEHIND_GUE_IPV6, _, _>(outer, frame, instance)
        }
    }
}

/// `AT` bytes stand in front of the outer header's payload, and `AT_GUE` in front of GUE's.
#[inline(always)]
fn behind<const AT: usize, const AT_GUE: usize, F: Frame, I: Instance<F>>(
    outer: Network,
    frame: F,
    instance: &I,
) -> Option<Opened> {
    if outer.protocol != IpProto::Udp as u8 {
        check(&outer, frame, instance)?;
        return inner::<AT, _, _>(outer.protocol, &outer, frame, instance);
    }
    // First of all, for what travels with alternates has a longer way before it.
    let (protocol, length) = gue::parse(frame.read(AT + UdpHdr::LEN)?)?;
    if length != gue::BASE_LENGTH {
        return None;
    }
    check(&outer, frame, instance)?;
    let udp_length = u16::from_be(frame.read(AT + 4)?) as usize;
    if frame.read(AT + 2) != Some(gue::PORT.to_be())
        || AT - EthHdr::LEN + udp_length != outer.length
    {
        return None;
    }
    inner::<AT_GUE, _, _>(protocol, &outer, frame, instance)
}

/// A sound outer header, and an edge's.
#[inline(always)]
fn check<F: Frame, I: Instance<F>>(outer: &Network, frame: F, instance: &I) -> Option<()> {
    let is_whole = outer.sound && !outer.fragment && frame.holds(EthHdr::LEN + outer.length);
    (is_whole && !outer.is_misplaced(&outer.source) && instance.is_edge(&outer.source))
        .then_some(())
}

/// `AT` bytes stand in front of the inner packet.
#[inline(always)]
fn inner<const AT: usize, F: Frame, I: Instance<F>>(
    protocol: u8,
    outer: &Network,
    frame: F,
    instance: &I,
) -> Option<Opened> {
    if protocol == IpProto::Ipv4 as u8 {
        let inner = parse::ipv4(frame, AT)?;
        opened::<AT, _, _>(inner, EtherType::Ipv4, outer, frame, instance)
    } else if protocol == IpProto::Ipv6 as u8 {
        let inner = parse::ipv6(frame, AT)?;
        opened::<AT, _, _>(inner, EtherType::Ipv6, outer, frame, instance)
    } else {
        None
    }
}

#[inline(always)]
fn opened<const AT: usize, F: Frame, I: Instance<F>>(
    inner: Network,
    ether_type: EtherType,
    outer: &Network,
    frame: F,
    instance: &I,
) -> Option<Opened> {
    let outer_length = AT - EthHdr::LEN;
    if !inner.sound
        || inner.length < inner.header_length
        || outer_length + inner.length > outer.length
        || inner.is_misplaced(&inner.destination)
        || !instance.is_vip(&inner.destination)
    {
        return None;
    }
    Some(Opened {
        outer_length,
        ether_type: ether_type as u16,
        mark: congestion::mark(outer, &inner, frame, AT).ok()?,
        reason: Reason::Decapsulated,
    })
}
