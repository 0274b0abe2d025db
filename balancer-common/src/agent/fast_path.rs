//! Fast path: packets from an edge whose headers are all at constant offsets. The outer header has no options or extension
//! headers. If the packet carries alternates, neither has the inner one, and the segment must belong to an established
//! connection of the instance.
//!
//! Anything else, and every refusal, goes to [`super::open`], which decides alike for these packets.

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

use super::{Instance, Opened, Segment, UDP_GUE, congestion};
use crate::{
    Address, Frame, Reason,
    alternates::{self, Head},
    gue,
    parse::{self, Family, Network},
};

/// How to decapsulate a packet of the fast path. `None` for any other.
#[inline(always)]
pub fn open_fast<F: Frame, I: Instance<F>>(frame: F, instance: &I) -> Option<Opened> {
    match parse::family(frame).ok()? {
        Family::Ipv4 => {
            let frame = frame.checked(super::BEHIND_IPV4 + UDP_GUE)?;
            let outer = parse::ipv4(frame, EthHdr::LEN)?;
            if outer.header_length != Ipv4Hdr::LEN {
                return None;
            }
            behind::<{ super::BEHIND_IPV4 }, 4, _, _>(&outer, frame, instance)
        }
        Family::Ipv6 => {
            let frame = frame.checked(super::BEHIND_IPV6 + UDP_GUE)?;
            let outer = parse::ipv6(frame, EthHdr::LEN)?;
            behind::<{ super::BEHIND_IPV6 }, 16, _, _>(&outer, frame, instance)
        }
    }
}

/// `AT`: offset of the outer header's payload. `ADDRESS`: bytes of an outer address.
#[inline(always)]
fn behind<const AT: usize, const ADDRESS: usize, F: Frame, I: Instance<F>>(
    outer: &Network,
    frame: F,
    instance: &I,
) -> Option<Opened> {
    if outer.protocol != IpProto::Udp as u8 {
        check(outer, frame, instance)?;
        return inner(outer.protocol, AT, outer, frame, instance);
    }
    let (protocol, length) = gue::parse(frame.read(AT + UdpHdr::LEN)?)?;
    match length - gue::BASE_LENGTH {
        0 => {
            check_gue::<AT, _, _>(outer, frame, instance)?;
            inner(protocol, AT + UDP_GUE, outer, frame, instance)
        }
        // With one, two or three alternates.
        private if private == alternates::length(1, ADDRESS) => {
            carried::<AT, ADDRESS, 1, _, _>(protocol, outer, frame, instance)
        }
        private if private == alternates::length(2, ADDRESS) => {
            carried::<AT, ADDRESS, 2, _, _>(protocol, outer, frame, instance)
        }
        private if private == alternates::length(3, ADDRESS) => {
            carried::<AT, ADDRESS, 3, _, _>(protocol, outer, frame, instance)
        }
        _ => None,
    }
}

/// Checks that the outer header is valid and comes from an edge.
#[inline(always)]
fn check<F: Frame, I: Instance<F>>(outer: &Network, frame: F, instance: &I) -> Option<()> {
    let is_whole = outer.sound && !outer.fragment && frame.holds(EthHdr::LEN + outer.length);
    (is_whole && !outer.is_misplaced(&outer.source) && instance.is_edge(&outer.source))
        .then_some(())
}

/// As [`check`], and checks the UDP header in front of GUE.
#[inline(always)]
fn check_gue<const AT: usize, F: Frame, I: Instance<F>>(
    outer: &Network,
    frame: F,
    instance: &I,
) -> Option<()> {
    check(outer, frame, instance)?;
    let udp_length = u16::from_be(frame.read(AT + 4)?) as usize;
    (frame.read(AT + 2) == Some(gue::PORT.to_be()) && AT - EthHdr::LEN + udp_length == outer.length)
        .then_some(())
}

/// `at`: offset of the inner packet.
#[inline(always)]
fn inner<F: Frame, I: Instance<F>>(
    protocol: u8,
    at: usize,
    outer: &Network,
    frame: F,
    instance: &I,
) -> Option<Opened> {
    if protocol == IpProto::Ipv4 as u8 {
        let frame = frame.checked(at + Ipv4Hdr::LEN)?;
        let inner = parse::ipv4(frame, at)?;
        opened(&inner, EtherType::Ipv4, at, outer, frame, instance)
    } else if protocol == IpProto::Ipv6 as u8 {
        let frame = frame.checked(at + Ipv6Hdr::LEN)?;
        let inner = parse::ipv6(frame, at)?;
        opened(&inner, EtherType::Ipv6, at, outer, frame, instance)
    } else {
        None
    }
}

/// A packet with `COUNT` alternates, as an edge sends it.
#[inline(always)]
fn carried<const AT: usize, const ADDRESS: usize, const COUNT: usize, F: Frame, I: Instance<F>>(
    protocol: u8,
    outer: &Network,
    frame: F,
    instance: &I,
) -> Option<Opened> {
    let head = AT + UDP_GUE;
    let at = head + alternates::length(COUNT, ADDRESS);
    let frame = frame.checked(at)?;
    check_gue::<AT, _, _>(outer, frame, instance)?;
    if frame.read(head) != Some(Head::new(COUNT as u8).word()) {
        return None;
    }
    for place in 0..COUNT {
        let at = head + alternates::length(place, ADDRESS);
        if address::<ADDRESS, _>(frame, at)? == outer.destination {
            return None;
        }
    }
    if protocol == IpProto::Ipv4 as u8 {
        let frame = frame.checked(at + Ipv4Hdr::LEN + TcpHdr::LEN)?;
        let inner = parse::ipv4(frame, at)?;
        let opened = opened(&inner, EtherType::Ipv4, at, outer, frame, instance)?;
        is_connected(&inner, Ipv4Hdr::LEN, at, frame, instance).then_some(opened)
    } else if protocol == IpProto::Ipv6 as u8 {
        let frame = frame.checked(at + Ipv6Hdr::LEN + TcpHdr::LEN)?;
        let inner = parse::ipv6(frame, at)?;
        let opened = opened(&inner, EtherType::Ipv6, at, outer, frame, instance)?;
        is_connected(&inner, Ipv6Hdr::LEN, at, frame, instance).then_some(opened)
    } else {
        None
    }
}

/// The address of `BYTES` bytes at offset `at`.
#[inline(always)]
fn address<const BYTES: usize, F: Frame>(frame: F, at: usize) -> Option<Address> {
    if BYTES == 4 {
        frame.read(at).map(Address::from_ipv4_word)
    } else {
        Some(Address([frame.read(at)?, frame.read(at + 8)?]))
    }
}

/// Whether the packet at offset `at`, with a header of `header_length` bytes, belongs to an established connection of the
/// instance.
#[inline(always)]
fn is_connected<F: Frame, I: Instance<F>>(
    inner: &Network,
    header_length: usize,
    at: usize,
    frame: F,
    instance: &I,
) -> bool {
    let segment_at = at + header_length;
    if inner.protocol != IpProto::Tcp as u8
        || inner.fragment
        || inner.header_length != header_length
        || inner.length < header_length + TcpHdr::LEN
    {
        return false;
    }
    let Some(ports) = frame.read(segment_at) else {
        return false;
    };
    // A SYN need not be told apart: the slow path delivers it, too.
    instance.is_connected(&Segment {
        packet: frame.skip(at),
        segment: frame.skip(segment_at),
        source: inner.source,
        destination: inner.destination,
        ports,
        ipv4: inner.version_protocol == IpProto::Ipv4 as u8,
    })
}

#[inline(always)]
fn opened<F: Frame, I: Instance<F>>(
    inner: &Network,
    ether_type: EtherType,
    at: usize,
    outer: &Network,
    frame: F,
    instance: &I,
) -> Option<Opened> {
    let outer_length = at - EthHdr::LEN;
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
        mark: congestion::mark(outer, inner, frame, at).ok()?,
        reason: Reason::Decapsulated,
    })
}
