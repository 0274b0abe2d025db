//! A packet on its way to another backend: the outer header is rewritten where it stands.

use network_types::{
    eth::EthHdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

use crate::{
    Address, FrameMut, Reason,
    alternates::{self, Head},
    checksum, gue,
};

/// Bytes of UDP and GUE headers.
const UDP_GUE: usize = UdpHdr::LEN + gue::BASE_LENGTH;

/// Where a packet goes, and what its outer header says there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOn {
    /// The outer destination from now on.
    pub next: Address,
    /// The outer source from now on: the outer destination that it had. A fabric that checks sources drops any other.
    pub own: Address,
    /// The alternate's place that the own address takes.
    pub own_place: Option<u8>,
    /// The first word of the private data.
    pub head: Head,
    /// Bytes of the outer packet.
    pub length: usize,
    /// The outer type of service.
    pub tos: u8,
    /// What it is counted as.
    pub reason: Reason,
}

impl HandOn {
    /// Where the private data stands over IPv4, in bytes from the Ethernet header's start.
    pub const IPV4_HEAD: usize = EthHdr::LEN + Ipv4Hdr::LEN + UDP_GUE;
    /// Where it stands over IPv6.
    pub const IPV6_HEAD: usize = EthHdr::LEN + Ipv6Hdr::LEN + UDP_GUE;
    /// Bytes from the Ethernet header's start to the end of the last alternate there may be, over IPv4. A packet with
    /// fewer alternates is longer than that too, for a TCP segment follows.
    pub const IPV4_REACH: usize = Self::IPV4_HEAD + alternates::length(alternates::MOST, 4);
    /// The same over IPv6.
    pub const IPV6_REACH: usize = Self::IPV6_HEAD + alternates::length(alternates::MOST, 16);

    /// Rewrites the outer header, IPv4 without options. `frame` begins at the Ethernet header and has at least
    /// [`Self::IPV4_REACH`] bytes.
    #[inline(always)]
    pub fn write_ipv4<M: FrameMut + ?Sized>(&self, frame: &mut M) {
        let (own, next) = (self.own.ipv4_word(), self.next.ipv4_word());
        let sum = 0x4500
            + u32::from(self.tos)
            + self.length as u32
            + 0x4000
            + 0x4011
            + words(own)
            + words(next);
        let at = EthHdr::LEN;
        frame.write(at + 4, 0_u16);
        frame.write(at + 6, 0x4000_u16.to_be());
        frame.write(at + 8, 64_u8);
        frame.write(at + 10, checksum::finish(sum).to_be());
        frame.write(at + 12, own);
        frame.write(at + 16, next);
        // The checksum covers the addresses; zero is none.
        frame.write(at + Ipv4Hdr::LEN + 6, 0_u16);
        frame.write(Self::IPV4_HEAD, self.head.word());
        let mut put = |place| frame.write(Self::IPV4_HEAD + alternates::length(place, 4), own);
        match self.own_place {
            Some(0) => put(0),
            Some(1) => put(1),
            Some(_) => put(2),
            None => {}
        }
    }

    /// Rewrites the outer header, IPv6. `frame` begins at the Ethernet header and has at least [`Self::IPV6_REACH`] bytes.
    #[inline(always)]
    pub fn write_ipv6<M: FrameMut + ?Sized>(&self, frame: &mut M) {
        let (own, next) = (self.own.0, self.next.0);
        let at = EthHdr::LEN;
        frame.write(at + 7, 64_u8);
        frame.write(at + 8, own[0]);
        frame.write(at + 16, own[1]);
        frame.write(at + 24, next[0]);
        frame.write(at + 32, next[1]);
        frame.write(at + Ipv6Hdr::LEN + 6, 0_u16);
        frame.write(Self::IPV6_HEAD, self.head.word());
        let mut put = |place| {
            let at = Self::IPV6_HEAD + alternates::length(place, 16);
            frame.write(at, own[0]);
            frame.write(at + 8, own[1]);
        };
        match self.own_place {
            Some(0) => put(0),
            Some(1) => put(1),
            Some(_) => put(2),
            None => {}
        }
    }
}

/// The sum of an address's two words, host order.
#[inline(always)]
fn words(address: u32) -> u32 {
    let address = u32::from_be(address);
    (address >> 16) + (address & 0xffff)
}
