//! IP fragments. Only the first fragment of a packet has the ports, so the edge remembers it for the others.

use crate::{
    Address,
    flow::Flow,
    parse::{Network, Packet},
};

/// Number of packets whose first fragment is remembered. The least recently used one is evicted first.
pub const MAX_DATAGRAMS: u32 = 16_384;

/// What identifies the packet that a fragment belongs to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Datagram {
    source: Address,
    destination: Address,
    /// As a word loaded from the packet.
    identification: u32,
    /// The IPv4 protocol. 0 for IPv6, because fragments of one packet need not agree on it (RFC 8200 section 4.5).
    protocol: u8,
    padding: [u8; 3],
}

const _: () = assert!(size_of::<Datagram>() == 40);

/// What is remembered of a first fragment.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The flow's hash. The slot follows from it even if the table has grown meanwhile.
    pub hash: u64,
    /// The destination port, wire order, as loaded from the packet.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 5],
}

const _: () = assert!(size_of::<First>() == 16);

/// The first fragments seen: a kernel map, or a model of it in user space.
pub trait Fragments {
    /// Remembers a first fragment.
    fn remember(&self, datagram: &Datagram, first: First);
    /// The port, as loaded from a packet, of the VIP's only service for `protocol`, if that service hashes by source;
    /// otherwise 0.
    fn only_by_source(&self, vip: &Address, protocol: u8) -> u16;
    /// What was remembered of the packet's first fragment.
    fn recall(&self, datagram: &Datagram) -> Option<First>;
}

impl Datagram {
    /// From the header of any fragment of the packet.
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
    /// From a first fragment and its flow's hash.
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

/// A later fragment as a packet to `port` (as loaded from a packet). The source port is unknown, and not needed.
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
