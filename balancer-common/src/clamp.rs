//! The MSS clamp: finds the MSS option of a SYN-ACK and the largest value that it may have, so that the
//! client's segments fit the fabric behind the longest outer header.

use network_types::{
    eth::EthHdr,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};

use crate::{Address, Frame, gue, outer::Outer, parse};

/// The flags of a SYN-ACK under the mask [`FLAGS`]: SYN and ACK set, FIN and RST clear.
const SYN_ACK: u8 = 0x12;
/// FIN, SYN, RST, ACK.
const FLAGS: u8 = 0x17;

/// TCP options to look at: three times as many as any stack sends in a SYN-ACK. Each one costs verifier
/// time whenever an instance starts. If the MSS comes after more options, it is not clamped.
const MAX_OPTIONS: usize = 16;

/// The largest MSS for each inner family.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For IPv4 packets.
    pub ipv4: u16,
    /// For IPv6 packets.
    pub ipv6: u16,
}

impl Limits {
    /// For a fabric with MTU `mtu`, and edges whose outer headers are IPv6 (`outer_ipv6`) or IPv4. The limits
    /// leave room for three alternates, because a connection's slot may move later.
    pub fn new(mtu: u32, outer_ipv6: bool) -> Self {
        let outer = if outer_ipv6 {
            crate::outer::GueIpv6::LENGTH - gue::BASE_LENGTH + gue::longest(16)
        } else {
            crate::outer::GueIpv4::LENGTH - gue::BASE_LENGTH + gue::longest(4)
        };
        let room = (mtu as usize)
            .saturating_sub(outer + TcpHdr::LEN)
            .min(u16::MAX as usize);
        Self {
            ipv4: room.saturating_sub(Ipv4Hdr::LEN) as u16,
            ipv6: room.saturating_sub(Ipv6Hdr::LEN) as u16,
        }
    }
}

/// An MSS to lower. Offsets are in bytes from the Ethernet header's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Offset of the option's value.
    pub value_at: usize,
    /// Offset of the TCP checksum.
    pub checksum_at: usize,
    /// The value, host order.
    pub value: u16,
    /// The largest value allowed, host order.
    pub limit: u16,
}

impl Excess {
    /// The word that the checksum loses and the one that it gains, in wire order. At an odd offset the value
    /// straddles two words of the segment and counts with its bytes swapped (RFC 1071 section 2).
    #[inline(always)]
    pub fn checksum_words(&self) -> (u16, u16) {
        let (old, new) = (self.value.to_be(), self.limit.to_be());
        // Segments begin at an even offset, so the parity of `value_at` is that within the segment.
        match self.value_at & 1 {
            0 => (old, new),
            _ => (old.swap_bytes(), new.swap_bytes()),
        }
    }
}

/// Finds the MSS option of a SYN-ACK from a VIP if its value exceeds the limit.
#[inline(always)]
pub fn excess<F: Frame>(
    frame: F,
    limits: Limits,
    is_vip: impl FnOnce(&Address) -> bool,
) -> Option<Excess> {
    let network = parse::network(frame).ok()?;
    if network.protocol != IpProto::Tcp as u8 || network.fragment || !network.sound {
        return None;
    }
    let at = EthHdr::LEN + network.header_length;
    let segment = frame.skip(at);
    if segment.read::<u8>(13)? & FLAGS != SYN_ACK || !is_vip(&network.source) {
        return None;
    }
    let end = at + (segment.read::<u8>(12)? >> 4) as usize * 4;
    let limit = if network.version_protocol == IpProto::Ipv4 as u8 {
        limits.ipv4
    } else {
        limits.ipv6
    };
    let value_at = mss(frame, at + TcpHdr::LEN, end)?;
    let value = u16::from_be(frame.skip(value_at).read(0)?);
    (value > limit).then_some(Excess {
        value_at,
        checksum_at: at + 16,
        value,
        limit,
    })
}

/// The offset of the MSS option's value among the options from `at` to `end` (RFC 9293 section 3.1).
#[inline(always)]
fn mss<F: Frame>(frame: F, mut at: usize, end: usize) -> Option<usize> {
    for _ in 0..MAX_OPTIONS {
        if at + 4 > end {
            return None;
        }
        let option = frame.skip(at);
        match option.read::<u8>(0)? {
            0 => return None,
            1 => at += 1,
            2 => return (option.read::<u8>(1)? == 4).then_some(at + 2),
            _ => match option.read::<u8>(1)? {
                0 | 1 => return None,
                length => at += length as usize,
            },
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const VIP: [u8; 4] = [198, 51, 100, 10];
    const LIMITS: Limits = Limits {
        ipv4: 1_400,
        ipv6: 1_380,
    };

    /// A SYN-ACK from the VIP with these options, padded to whole words.
    fn syn_ack(options: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
            .ipv4(VIP, [192, 0, 2, 2], 64)
            .tcp(8_000, 40_000, 1, 2)
            .syn()
            .ack(3)
            .options_raw(options)
            .expect("at most 40 bytes")
            .write(&mut frame, &[])
            .expect("a sound packet");
        frame
    }

    fn found(frame: &[u8]) -> Option<Excess> {
        excess(frame, LIMITS, |source| *source == Address::from_ipv4(VIP))
    }

    fn at(options: &[u8]) -> Option<usize> {
        found(&syn_ack(options)).map(|excess| excess.value_at - 54)
    }

    // Promise: A5
    #[test]
    fn an_mss_above_the_limit_is_found() {
        let expected = Excess {
            value_at: 56,
            checksum_at: 50,
            value: 1_460,
            limit: 1_400,
        };
        assert_eq!(found(&syn_ack(&[2, 4, 5, 0xb4])), Some(expected));
    }

    // Promise: A5
    #[test]
    fn an_mss_at_the_limit_or_below_is_left_alone() {
        assert_eq!(at(&[2, 4, 5, 0x79]), Some(2));
        assert_eq!(at(&[2, 4, 5, 0x78]), None);
        assert_eq!(at(&[2, 4, 2, 0x18]), None);
    }

    #[test]
    fn options_before_it_are_stepped_over() {
        assert_eq!(at(&[1, 2, 4, 5, 0xb4]), Some(3));
        assert_eq!(at(&[1, 3, 3, 7, 4, 2, 2, 4, 5, 0xb4]), Some(8));
        let behind = |nops: usize| [&vec![1; nops], &[2, 4, 5, 0xb4][..]].concat();
        assert_eq!(at(&behind(15)), Some(17));
        assert_eq!(at(&behind(16)), None);
    }

    #[test]
    fn malformed_options_end_the_search() {
        for options in [
            &[][..],
            &[0, 2, 4, 5, 0xb4],
            &[3, 0, 2, 4, 5, 0xb4],
            &[3, 1, 2, 4, 5, 0xb4],
            &[2, 3, 5, 0xb4],
            &[2, 6, 5, 0xb4, 1, 1],
            &[8, 200, 2, 4, 5, 0xb4],
            // Its value would lie behind the header.
            &[1, 1, 2, 4],
        ] {
            assert_eq!(at(options), None, "{options:?}");
        }
    }

    // Promise: A5
    #[test]
    fn other_segments_and_other_addresses_are_left_alone() {
        let frame = syn_ack(&[2, 4, 5, 0xb4]);
        for flags in [0x02, 0x10, 0x11, 0x16, 0x13] {
            let mut frame = frame.clone();
            frame[47] = flags;
            assert_eq!(found(&frame), None, "flags {flags:#x}");
        }
        for (at, byte) in [(26, 10), (23, 17), (20, 0x20), (14, 0x44), (12, 0x86)] {
            let mut frame = frame.clone();
            frame[at] = byte;
            assert_eq!(found(&frame), None, "byte {at}");
        }
    }

    #[test]
    fn flags_that_do_not_matter_do_not_matter() {
        let mut frame = syn_ack(&[2, 4, 5, 0xb4]);
        frame[47] = 0x12 | 0xc0 | 0x08;
        assert!(found(&frame).is_some());
    }

    #[test]
    fn a_frame_that_is_cut_short_holds_no_mss() {
        let frame = syn_ack(&[1, 2, 4, 5, 0xb4]);
        // The value's last byte is 59th; behind it there is padding.
        for length in 0..59 {
            assert_eq!(found(&frame[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_value_at_an_odd_offset_counts_swapped() {
        let words = |options: &[u8]| found(&syn_ack(options)).unwrap().checksum_words();
        let (old, new) = (1_460_u16.to_be(), 1_400_u16.to_be());
        assert_eq!(words(&[2, 4, 5, 0xb4]), (old, new));
        let swapped = (old.swap_bytes(), new.swap_bytes());
        assert_eq!(words(&[1, 2, 4, 5, 0xb4]), swapped);
    }

    /// MTU less outer headers (20 or 40, UDP 8, GUE 8 + 3 addresses), TCP and inner IP.
    // Promise: A5
    #[test]
    fn the_limits_leave_room_for_the_longest_header() {
        let limits = |mtu, ipv6| {
            let Limits { ipv4, ipv6 } = Limits::new(mtu, ipv6);
            (ipv4, ipv6)
        };
        assert_eq!(limits(1_500, false), (1_412, 1_392));
        assert_eq!(limits(1_500, true), (1_356, 1_336));
        assert_eq!(limits(100, true), (0, 0));
        assert_eq!(limits(u32::MAX, false), (65_515, 65_495));
    }
}
