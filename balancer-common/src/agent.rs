//! What an agent does with a frame: the decision of the program `decap`, as a pure function.

use network_types::{
    eth::{EthHdr, EtherType},
    ip::IpProto,
    udp::UdpHdr,
};

use crate::{
    Address, Frame, Reason, gue,
    parse::{self, Network},
};

/// What an instance knows: kernel maps, or their likeness in user space.
pub trait Instance {
    /// Whether `source` may send encapsulated packets: whether it is an edge.
    fn is_edge(&self, source: &Address) -> bool;
    /// Whether `address` is a VIP that the instance serves.
    fn is_vip(&self, address: &Address) -> bool;
}

/// How a packet leaves its encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes between the Ethernet header and the inner packet.
    pub outer_length: usize,
    /// The inner packet's Ethernet type, as a word to store.
    pub ether_type: u16,
}

/// outer header -> who sent it -> inner packet.
#[inline(always)]
pub fn open<F: Frame, I: Instance>(frame: F, instance: &I) -> Result<Opened, Reason> {
    let outer = match parse::network(frame) {
        Ok(outer) if outer.sound => outer,
        _ => return Err(Reason::NotEncapsulated),
    };
    let is_gue = is_gue(frame, &outer);
    if !is_gue && !carries_ip(outer.protocol) {
        return Err(Reason::NotEncapsulated);
    }
    if outer.is_misplaced(&outer.source) || !instance.is_edge(&outer.source) {
        return Err(Reason::SourceNotAllowed);
    }
    if outer.fragment
        || outer.length < outer.header_length
        || EthHdr::LEN + outer.length > frame.length()
    {
        return Err(Reason::BadOuterHeader);
    }
    let (protocol, outer_length) = if is_gue {
        behind_gue(frame, &outer)?
    } else {
        (outer.protocol, outer.header_length)
    };
    inner(frame, instance, protocol, outer_length, outer.length)
}

#[inline(always)]
fn carries_ip(protocol: u8) -> bool {
    protocol == IpProto::Ipv4 as u8 || protocol == IpProto::Ipv6 as u8
}

#[inline(always)]
fn is_gue<F: Frame>(frame: F, outer: &Network) -> bool {
    outer.protocol == IpProto::Udp as u8
        && !outer.later_fragment
        && frame.skip(EthHdr::LEN + outer.header_length).read(2) == Some(gue::PORT.to_be())
}

/// The inner protocol, and the bytes from the outer IP header to the inner packet.
#[inline(always)]
fn behind_gue<F: Frame>(frame: F, outer: &Network) -> Result<(u8, usize), Reason> {
    let udp = frame.skip(EthHdr::LEN + outer.header_length);
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

/// Judges the inner packet: `end` is where the outer packet ends, in bytes from its start.
#[inline(always)]
fn inner<F: Frame, I: Instance>(
    frame: F,
    instance: &I,
    protocol: u8,
    outer_length: usize,
    end: usize,
) -> Result<Opened, Reason> {
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
    Ok(Opened {
        outer_length,
        ether_type: ether_type as u16,
    })
}

#[cfg(test)]
mod tests;
