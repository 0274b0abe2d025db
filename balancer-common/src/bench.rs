//! The bench's workload: the flows, their order, and the parameters of its driver.
//!
//! The driver in the kernel and the reference in user space share this code to write frames.

use crate::FrameMut;

/// Bytes at a frame's start that a driver may write to.
pub const REACH: usize = 62;

/// A number of flows: always the same flow.
pub const ONE_FLOW: u32 = 1;
/// In place of a number of flows: a new flow for each packet.
pub const NEW_FLOWS: u32 = 0;

/// Packets between two stamps of a driver's clock: few enough that most are driven without an interruption.
pub const STRIDE: u32 = 1_024;
/// Stamps that a driver keeps: of one run of at most [`MAX_PACKETS`].
pub const STAMPS: u32 = 1_024;
/// The most packets of a run.
pub const MAX_PACKETS: u32 = STRIDE * STAMPS;

/// Chooses the next flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    /// The state of xorshift64 (Marsaglia 2003); not 0.
    random: u64,
    /// Packets so far with a new flow each.
    counter: u64,
}

impl Generator {
    /// `seed`: not 0.
    pub const fn new(seed: u64) -> Self {
        Self {
            random: seed,
            counter: 0,
        }
    }

    /// The index of the next flow out of `flows`.
    #[inline(always)]
    pub fn next(&mut self, flows: u32) -> u32 {
        if flows == ONE_FLOW {
            return 0;
        }
        if flows == NEW_FLOWS {
            self.counter += 1;
            return self.counter as u32;
        }
        let mut x = self.random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        (((x & 0xffff_ffff) * u64::from(flows)) >> 32) as u32
    }
}

/// A driver's parameters and counters for a run: the one element of its map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    /// The state of the choice of flows.
    pub generator: Generator,
    /// Number of packets driven.
    pub packets: u64,
    /// Number of packets whose frame did not grow by `growth`, without the last one, which the caller checks.
    pub violations: u64,
    /// The first 12 bytes of an IPv6 VIP, as words to store, and four of zero; all zero for IPv4.
    pub vip_prefix: [u64; 2],
    /// The Ethernet header, as words to store, and two bytes of zero.
    pub ethernet: [u64; 2],
    /// The last four bytes of the first service's VIP, host order. Service `n` has the VIP `n` further.
    pub vip: u32,
    /// Length of the frame that the program gets.
    pub length: u32,
    /// Bytes by which the program must lengthen it; negative if it must shorten it.
    pub growth: i32,
    /// The number of flows, [`ONE_FLOW`], or [`NEW_FLOWS`].
    pub flows: u32,
    /// The number of services, a power of two, minus one. Flow `n` belongs to service `n` modulo that number.
    pub services_mask: u32,
    /// The destination port, wire order, in the high half.
    pub port: u32,
    /// The bytes behind it, as words to store.
    pub outer: [u32; 12],
}

const _: () = assert!(size_of::<Drive>() == 136);

/// The first half of every IPv6 client's address, 2001:db8:0:c::, as a word to store.
const CLIENTS: u64 = u64::from_ne_bytes([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0x0c]);

impl Drive {
    /// Which stamp of the clock is due with the packet that was counted last: the first is that of packet [`STRIDE`].
    #[inline(always)]
    pub fn stamp(&self) -> Option<u32> {
        let stride = u64::from(STRIDE);
        let due = self.packets.is_multiple_of(stride);
        due.then(|| (self.packets / stride) as u32 - 1)
    }

    /// The index of the next flow.
    #[inline(always)]
    pub fn next_flow(&mut self) -> u32 {
        self.generator.next(self.flows)
    }

    /// A flow's client (the last four bytes of its address), ports and VIP (the last four bytes), as words to store.
    #[inline(always)]
    fn flow(&self, index: u32) -> (u32, u32, u32) {
        // 11.0.0.0 and on.
        let client = 0x0b00_0000_u32.wrapping_add(index);
        let port = 1_024 + (index.wrapping_mul(40_503) & 0x7fff) as u16;
        let vip = self.vip.wrapping_add(index & self.services_mask);
        let ports = u32::from(port.to_be()) | self.port;
        (client.to_be(), ports, vip.to_be())
    }

    /// Writes the Ethernet header, which the program has overwritten.
    #[inline(always)]
    fn write_ethernet(&self, frame: &mut (impl FrameMut + ?Sized)) {
        let [first, second] = self.ethernet;
        frame.write(0, first);
        frame.write(8, second as u32);
        frame.write(12, (second >> 32) as u16);
    }

    /// Writes an IPv4 flow, that of `index`, to a frame.
    ///
    /// Stores are as wide as the programs' loads. A load that spans two stores would stall until both retire, which never
    /// happens with a frame that a NIC wrote.
    #[inline(always)]
    pub fn write_ipv4(&self, index: u32, frame: &mut (impl FrameMut + ?Sized)) {
        let (client, ports, vip) = self.flow(index);
        self.write_ethernet(frame);
        frame.write(26, client);
        frame.write(30, vip);
        frame.write(34, ports);
    }

    /// The same for IPv6.
    #[inline(always)]
    pub fn write_ipv6(&self, index: u32, frame: &mut (impl FrameMut + ?Sized)) {
        let (client, ports, vip) = self.flow(index);
        let [first, second] = self.vip_prefix;
        self.write_ethernet(frame);
        frame.write(22, CLIENTS);
        frame.write(30, u64::from(client) << 32);
        frame.write(38, first);
        frame.write(46, second | u64::from(vip) << 32);
        frame.write(54, ports);
    }

    /// Restores `WORDS` words of outer headers that the program removed.
    #[inline(always)]
    pub fn write_outer<const WORDS: usize>(&self, frame: &mut (impl FrameMut + ?Sized)) {
        self.write_ethernet(frame);
        let mut word = 0;
        while word < WORDS {
            frame.write(14 + 4 * word, self.outer[word]);
            word += 1;
        }
    }
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, `Copy`, without implicit padding (asserted by its size), and made of integers, so that every bit
// pattern is a value.
unsafe impl aya::Pod for Drive {}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(flows: u32, services: u32) -> Drive {
        Drive {
            generator: Generator::new(1),
            packets: 0,
            violations: 0,
            vip_prefix: [0; 2],
            ethernet: [0; 2],
            vip: 0xc612_0000,
            length: 64,
            growth: 20,
            flows,
            services_mask: services - 1,
            port: u32::from(80u16.to_be()) << 16,
            outer: [0; 12],
        }
    }

    fn frames(mut drive: Drive, count: usize) -> Vec<Vec<u8>> {
        let frame = |_| {
            let mut frame = vec![0; 64];
            let index = drive.next_flow();
            drive.write_ipv4(index, &mut frame[..]);
            frame
        };
        (0..count).map(frame).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_flows() {
        let first = frames(drive(1_000, 1), 500);
        assert_eq!(first, frames(drive(1_000, 1), 500));
        let mut other = drive(1_000, 1);
        other.generator = Generator::new(2);
        assert_ne!(first, frames(other, 500));
    }

    #[test]
    fn the_clock_is_stamped_each_stride_and_every_stamp_of_a_run_has_a_place() {
        let mut drive = drive(1, 1);
        let mut stamp = |packets: u32| {
            drive.packets = packets.into();
            drive.stamp()
        };
        assert_eq!(stamp(1), None);
        assert_eq!(stamp(STRIDE - 1), None);
        assert_eq!(stamp(STRIDE), Some(0));
        assert_eq!(stamp(2 * STRIDE), Some(1));
        assert_eq!(stamp(MAX_PACKETS), Some(STAMPS - 1));
    }

    #[test]
    fn one_flow_stays_and_new_flows_never_return() {
        let distinct = |flows| {
            let mut all = frames(drive(flows, 1), 5_000);
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        assert_eq!(distinct(ONE_FLOW), 1);
        assert_eq!(distinct(NEW_FLOWS), 5_000);
        assert_eq!(distinct(16), 16);
    }

    #[test]
    fn flows_at_random_are_equally_likely() {
        let mut generator = Generator::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..100_000 {
            seen[generator.next(10) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (9_600..10_400).contains(n)), "{seen:?}");
    }

    #[test]
    fn each_service_gets_its_flows() {
        let mut vips: Vec<_> = frames(drive(1 << 20, 512), 20_000)
            .iter()
            .map(|frame| frame[30..34].to_vec())
            .collect();
        vips.sort_unstable();
        vips.dedup();
        assert_eq!(vips.len(), 512);
        assert_eq!(vips[0], [198, 18, 0, 0]);
        assert_eq!(vips[511], [198, 18, 1, 255]);
    }

    #[test]
    fn addresses_and_ports_stand_where_ip_has_them() {
        let mut drive = drive(ONE_FLOW, 1);
        let mut frame = [0; 64];
        drive.write_ipv4(0, &mut frame[..]);
        assert_eq!(frame[26..38], [11, 0, 0, 0, 198, 18, 0, 0, 4, 0, 0, 80]);
        drive.vip_prefix = [u64::from_ne_bytes([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]), 0];
        drive.write_ipv6(0, &mut frame[..]);
        assert_eq!(frame[22..26], [0x20, 1, 0xd, 0xb8]);
        assert_eq!(frame[34..42], [11, 0, 0, 0, 0x20, 1, 0xd, 0xb8]);
        assert_eq!(frame[50..58], [198, 18, 0, 0, 4, 0, 0, 80]);
    }
}
