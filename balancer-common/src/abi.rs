//! What the kernel programs and the daemon read and write in maps.
//!
//! Every type is `repr(C)` with its padding spelled out and its size asserted; a change of any of
//! them bumps [`VERSION`], which is part of the pin directory's path.

use crate::{
    Address, checksum,
    outer::{GueIpv4, GueIpv6, Ipv4, Ipv6, Outer},
};

/// The version of what an edge's programs and its daemon share.
pub const VERSION: u32 = 2;

/// The version of what an agent's programs and its daemon share.
pub const AGENT_VERSION: u32 = 1;

/// Services that an edge holds.
pub const MAX_SERVICES: u32 = 4_096;

/// VIPs, and keys of services, that the maps hold: all of an edge's, and as many again while they are replaced.
pub const MAX_KEYS: u32 = 2 * MAX_SERVICES;

/// Chunks that an edge holds, a table of the largest size each: one a service, and as many again while they are replaced.
pub const MAX_CHUNKS: u32 = 2 * MAX_SERVICES;

/// Backend records, and counter rows: ids 1 to 32,767, and row 0, which is nobody's.
pub const MAX_BACKENDS: u32 = 32_768;

/// Interfaces of the edge's that are members of bonds.
pub const MAX_MEMBERS: u32 = 1_024;

/// Slots in one element of a chunk: 64 bytes, a cache line.
pub const LINE_SLOTS: usize = 32;

/// One element of a chunk.
pub type SlotLine = [u16; LINE_SLOTS];

/// The earlier owners of a slot, newest first, 0 for none, and two bytes of padding: one element of
/// the chunk of histories that has the same number as the slot's chunk.
pub type HistoryRow = [u16; 4];

/// Lines in a chunk. All chunks are as long, because the kernel compiles a look-up into the program only then.
pub const CHUNK_LINES: u32 = 2_048;

/// Slots in a chunk, and rows of their histories: as many as the largest table has.
pub const CHUNK_SLOTS: u32 = CHUNK_LINES * LINE_SLOTS as u32;

/// Where an element of an array of chunks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// The chunk.
    pub chunk: u32,
    /// The element's index in it.
    pub index: u32,
}

impl Element {
    /// The line of a slot of the table that begins with the line `table`.
    #[inline(always)]
    pub fn line(table: u32, slot: u32) -> Self {
        let line = table.wrapping_add(slot / LINE_SLOTS as u32);
        Self {
            chunk: line / CHUNK_LINES,
            index: line % CHUNK_LINES,
        }
    }

    /// The history of a slot of the table that begins with the line `table`.
    #[inline(always)]
    pub fn row(table: u32, slot: u32) -> Self {
        let row = table.wrapping_mul(LINE_SLOTS as u32).wrapping_add(slot);
        Self {
            chunk: row / CHUNK_SLOTS,
            index: row % CHUNK_SLOTS,
        }
    }
}

/// The programs that take over from `balance`: indexes of the map of programs.
pub mod program {
    /// The slow path of `balance`.
    pub const BALANCE_SLOW: u32 = 0;
    /// Tells clients whose packets do not fit.
    pub const TOO_LARGE: u32 = 1;
    /// The names of the edge's, by index.
    pub const NAMES: &[&str] = &["balance_slow", "too_large"];
    /// The slow path of `decap`, at the agent.
    pub const DECAP_SLOW: u32 = 0;
    /// The names of the agent's, by index.
    pub const AGENT_NAMES: &[&str] = &["decap_slow"];
    /// Places in the map.
    pub const PLACES: u32 = 8;
}

/// A row of a table: its owner's id in the low 15 bits, and whether it has earlier owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u16);

impl Slot {
    /// Set when the history map holds an earlier owner of the slot.
    pub const MOVED: u16 = 0x8000;

    /// The owner's id; 0 when the slot has none.
    #[inline(always)]
    pub fn owner(self) -> u16 {
        self.0 & !Self::MOVED
    }

    /// Whether it has earlier owners.
    #[inline(always)]
    pub fn has_moved(self) -> bool {
        self.0 & Self::MOVED != 0
    }
}

/// What a packet's service is looked up by.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// The VIP.
    pub vip: Address,
    /// The destination port in wire order, the IP protocol number, and five bytes of zero: one word, because a program
    /// that fills it in parts clears the rest byte by byte.
    pub port_and_protocol: u64,
}

const _: () = assert!(size_of::<ServiceKey>() == 24);

impl ServiceKey {
    /// The key of a VIP's port, in wire order, and protocol.
    #[inline(always)]
    pub fn new(vip: Address, port: [u8; 2], protocol: u8) -> Self {
        Self {
            vip,
            port_and_protocol: u64::from(u16::from_ne_bytes(port)) | u64::from(protocol) << 16,
        }
    }

    /// The port, in wire order.
    pub fn port(&self) -> [u8; 2] {
        (self.port_and_protocol as u16).to_ne_bytes()
    }

    /// The number of the IP protocol.
    pub fn protocol(&self) -> u8 {
        (self.port_and_protocol >> 16) as u8
    }
}

/// A service as the packet path needs it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The first line of its table, counted from the first line of the first chunk.
    pub table: u32,
    /// 64 less the base-2 logarithm of its slots: a hash shifted right by its low six bits is a slot. And
    /// [`Service::BY_SOURCE`].
    pub shift: u32,
}

const _: () = assert!(size_of::<Service>() == 8);

impl Service {
    /// Set in [`Service::shift`] when packets are hashed by their source alone. A shift does not see it.
    pub const BY_SOURCE: u32 = 1 << 31;

    /// Of a table of so many slots, a power of two.
    pub fn new(table: u32, slots: usize, by_source: bool) -> Self {
        let shift = 64 - slots.ilog2();
        let flag = if by_source { Self::BY_SOURCE } else { 0 };
        Self {
            table,
            shift: shift | flag,
        }
    }

    /// Whether packets are hashed by their source alone.
    #[inline(always)]
    pub fn is_by_source(self) -> bool {
        self.shift & Self::BY_SOURCE != 0
    }

    /// How many slots its table has; at most 2^31, whatever stands there.
    pub fn slots(self) -> usize {
        1 << (64 - (self.shift & !Self::BY_SOURCE).clamp(33, 64))
    }
}

/// What the map of VIPs tells of one: where fragments without ports go.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vip {
    /// The port of its only TCP service, wire order, if that hashes by source; otherwise 0.
    pub tcp: [u8; 2],
    /// The same of UDP.
    pub udp: [u8; 2],
}

const _: () = assert!(size_of::<Vip>() == 4);

impl Vip {
    /// The port, as loaded from a packet, of the only service of an IP protocol, if that hashes by source; otherwise 0.
    #[inline(always)]
    pub fn only_by_source(self, protocol: u8) -> u16 {
        match protocol {
            6 => u16::from_ne_bytes(self.tcp),
            17 => u16::from_ne_bytes(self.udp),
            _ => 0,
        }
    }
}

/// A backend as the packet path needs it: one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The next hop's MAC, then the egress interface's own, wire order, as words to store; in the last four bytes the
    /// control information of up to two VLAN tags, outermost first. The next hop's is within one word, so that a change of
    /// it is never seen half done.
    pub macs: [u64; 2],
    /// The outer source, or where it lies.
    pub source: Address,
    /// The outer destination.
    pub destination: Address,
    /// The sum of the outer IPv4 header's words that are the same for every packet, host order.
    pub ipv4_sum: u32,
    /// The egress interface's index; 0 while there is no next hop.
    pub interface: u32,
    /// The longest inner packet that fits the next hop's MTU once encapsulated, bytes.
    pub longest_inner: u16,
    /// Which outer header, and behind which tags: of [`outer`]; 0 for a record that is nobody's.
    pub outer: u8,
    /// Zero.
    pub padding: u8,
    /// The bits of the outer source's last 16, host order, that vary with the flow; they are zero in `source`. Daemons that
    /// do not know of it left it zero, and programs that do not leave the source as it is.
    pub varying: u16,
    /// Zero.
    pub rest: [u8; 2],
}

const _: () = assert!(size_of::<Backend>() == 64);

/// Values of [`Backend::outer`].
pub mod outer {
    /// An IPv4 header.
    pub const IPV4: u8 = 1;
    /// An IPv6 header.
    pub const IPV6: u8 = 2;
    /// IPv4, UDP and GUE headers.
    pub const GUE_IPV4: u8 = 3;
    /// IPv6, UDP and GUE headers.
    pub const GUE_IPV6: u8 = 4;
    /// The bits that say which of these.
    pub const KIND: u8 = 0x0f;
    /// Frames leave with a VLAN tag. `balance` knows no such header, and hands them on.
    pub const TAGGED: u8 = 0x80;
    /// Set besides, when they leave with two.
    pub const TWICE: u8 = 0x40;
    /// Set besides, when the outermost is of 802.1ad, not 802.1Q.
    pub const FIRST_AD: u8 = 0x20;
    /// The same of the second.
    pub const SECOND_AD: u8 = 0x10;
}

/// VLAN tags as they stand in a frame, outermost first: protocol and control information, wire order.
pub type VlanTags = [Option<[u8; 4]>; 2];

impl Backend {
    /// A record that is nobody's.
    pub const EMPTY: Self = Self {
        macs: [0; 2],
        source: Address([0; 2]),
        destination: Address([0; 2]),
        ipv4_sum: 0,
        interface: 0,
        longest_inner: 0,
        outer: 0,
        padding: 0,
        varying: 0,
        rest: [0; 2],
    };

    /// A record for packets to `destination` in the outer header `outer`, still without a next hop.
    pub fn new(outer: u8, source: Address, destination: Address) -> Self {
        let protocol = if outer == outer::IPV4 { 4 } else { 17 };
        let ipv4_sum = checksum::sum(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0])
            + checksum::sum(&source.octets()[12..])
            + checksum::sum(&destination.octets()[12..]);
        Self {
            source,
            destination,
            ipv4_sum,
            outer,
            ..Self::EMPTY
        }
    }

    /// The record with so many last bits of the source, all zero, varying with the flow: 16 at most, and none where a UDP
    /// port does.
    pub fn varying(mut self, bits: u8) -> Self {
        if matches!(self.outer & outer::KIND, outer::IPV4 | outer::IPV6) {
            self.varying = ((1_u32 << bits.min(16)) - 1) as u16;
        }
        self
    }

    /// The record with a next hop: `mtu` is the longest IP packet, in bytes, that it takes.
    pub fn via(
        mut self,
        interface: u32,
        destination_mac: [u8; 6],
        source_mac: [u8; 6],
        mtu: u32,
    ) -> Self {
        let mut macs = [0; 16];
        macs[..6].copy_from_slice(&destination_mac);
        macs[6..12].copy_from_slice(&source_mac);
        let [high, low] = Address::from_ipv6(macs).0;
        self.macs = [high, low];
        self.interface = interface;
        // No IP packet is longer, whatever the interface would take.
        let mtu = mtu.min(u32::from(u16::MAX)) as u16;
        self.longest_inner = mtu.saturating_sub(self.outer_length() as u16);
        self
    }

    /// The record of a backend that frames leave to with exactly these tags; without any, it stays as it is.
    pub fn tagged(mut self, tags: VlanTags) -> Self {
        let bits = [
            (outer::TAGGED, outer::FIRST_AD),
            (outer::TAGGED | outer::TWICE, outer::SECOND_AD),
        ];
        for (place, [protocol, _, high, low]) in tags.into_iter().flatten().enumerate() {
            let (there, of_ad) = bits[place];
            self.outer |= there | if protocol == 0x88 { of_ad } else { 0 };
            let control = u16::from_ne_bytes([high, low]);
            self.macs[1] |= u64::from(control) << (32 + 16 * place);
        }
        self
    }

    /// Which outer header, whatever stands in front of it: one of [`outer`].
    #[inline(always)]
    pub fn kind(&self) -> u8 {
        self.outer & outer::KIND
    }

    /// Bytes of its outer header.
    pub fn outer_length(&self) -> usize {
        match self.kind() {
            outer::IPV4 => Ipv4::LENGTH,
            outer::IPV6 => Ipv6::LENGTH,
            outer::GUE_IPV4 => GueIpv4::LENGTH,
            outer::GUE_IPV6 => GueIpv6::LENGTH,
            _ => 0,
        }
    }
}

/// What a backend has been sent, or what met a reason, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of inner packets, IP headers included; of what met a reason, bytes of frames, as far as programs see them.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Traffic>() == 16);

#[cfg(feature = "user")]
mod pod {
    use super::{Backend, Service, ServiceKey, Traffic, Vip};
    use crate::{Address, directory::Line, flow::HashKey};

    // SAFETY: all of them are `repr(C)`, `Copy`, without implicit padding (asserted by their
    // sizes), and made of integers, so that every bit pattern is a value.
    unsafe impl aya::Pod for ServiceKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Service {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Vip {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Backend {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Traffic {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Address {}
    // SAFETY: as above.
    unsafe impl aya::Pod for HashKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Line {}
}

#[cfg(test)]
mod tests;
