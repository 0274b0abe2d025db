//! The MSS that an instance's SYN-ACKs may announce, so that a client's segments fit the fabric
//! once an edge has put the longest outer header in front of them.

use network_types::{
    eth::EthHdr,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};

use crate::{Address, Frame, gue, outer::Outer, parse};

/// The flags byte of a SYN-ACK, among the flags that matter: SYN and ACK set, FIN and RST not.
const SYN_ACK: u8 = 0x12;
/// FIN, SYN, RST, ACK.
const FLAGS: u8 = 0x17;

/// Options in the longest TCP header, if each is one byte long.
const MOST_OPTIONS: usize = 40;

/// The largest MSS for each inner family.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Behind an IPv4 header.
    pub ipv4: u16,
    /// Behind an IPv6 header.
    pub ipv6: u16,
}

impl Limits {
    /// For a fabric whose IP packets have at most `mtu` bytes, and edges whose outer headers are
    /// IPv6 (`outer_ipv6`) or IPv4. The room is for three alternates from the first packet on.
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
    /// Where the option's value stands.
    pub value_at: usize,
    /// Where the TCP checksum stands.
    pub checksum_at: usize,
    /// What it says, host order.
    pub value: u16,
    /// What it may say, host order.
    pub limit: u16,
}

/// Finds the MSS option of a SYN-ACK from a VIP that says more than its limit.
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

/// Where the MSS option's value stands among the options from `at` to `end` (RFC 9293 section 3.1).
#[inline(always)]
fn mss<F: Frame>(frame: F, mut at: usize, end: usize) -> Option<usize> {
    for _ in 0..MOST_OPTIONS {
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
