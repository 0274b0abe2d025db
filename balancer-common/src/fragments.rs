//! Fragments: only the first one of a packet has ports, and the others follow it.

use crate::{
    Address,
    flow::Flow,
    parse::{Network, Packet},
};

/// Packets whose first fragment is remembered, the least recently used of which is forgotten first.
pub const MOST: u32 = 16_384;

/// What the fragments of a packet have in common.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Datagram {
    source: Address,
    destination: Address,
    /// As a word loaded from the packet.
    identification: u32,
    /// Of IPv4 the protocol; of IPv6 nothing, because fragments need not agree about it (RFC 8200 section 4.5).
    protocol: u8,
    padding: [u8; 3],
}

const _: () = assert!(size_of::<Datagram>() == 40);

/// What the first fragment tells the others.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The flow's hash, so that the slot is the same whatever became of the table.
    pub hash: u64,
    /// The destination port, wire order, as loaded from the packet.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 5],
}

const _: () = assert!(size_of::<First>() == 16);

/// First fragments that came by: a kernel map, or its likeness in user space.
pub trait Fragments {
    /// Remembers a first fragment.
    fn remember(&self, datagram: &Datagram, first: First);
    /// The port, as loaded from a packet, of the only service that a VIP has of an IP protocol, if that hashes by source;
    /// otherwise 0.
    fn only_by_source(&self, vip: &Address, protocol: u8) -> u16;
    /// What the first fragment told.
    fn recall(&self, datagram: &Datagram) -> Option<First>;
}

impl Datagram {
    /// Of one of its fragments.
    #[inline(always)]
    pub fn of(network: &Network, ipv4: bool) -> Self {
        Self {
            source: network.source,
            destination: network.destination,
            identification: network.identification,
            protocol: if ipv4 { network.protocol } else { 0 },
            padding: [0; 3],
        }
    }
}

impl First {
    /// What a first fragment tells.
    #[inline(always)]
    pub fn new(packet: &Packet, hash: u64) -> Self {
        Self {
            hash,
            port: packet.flow.destination_port_word(),
            protocol: packet.flow.protocol,
            padding: [0; 5],
        }
    }
}

/// A later fragment as a packet to this port, as loaded from a packet; the source port is not known, nor needed.
#[inline(always)]
pub fn later(network: &Network, port: u16, protocol: u8) -> Packet {
    Packet {
        flow: Flow {
            source: network.source,
            destination: network.destination,
            ports: u32::from(port) << 16,
            protocol,
        },
        version_protocol: network.version_protocol,
        tos: network.tos,
        length: network.length,
        continues: false,
    }
}

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `repr(C)`, `Copy`, without implicit padding (asserted by its size), and made of integers.
    unsafe impl aya::Pod for super::Datagram {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::First {}
}
