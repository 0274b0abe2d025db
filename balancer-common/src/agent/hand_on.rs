//! Hands a packet on to another backend: rewrites its outer header in place.

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

/// The next backend for a packet, and the new values of its outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOn {
    /// The new outer destination.
    pub next: Address,
    /// The new outer source: the old outer destination, because a fabric that checks sources would drop any other.
    pub own: Address,
    /// The place in the alternates that the own address overwrites.
    pub own_place: Option<u8>,
    /// The new first word of the private data.
    pub head: Head,
    /// Bytes of the outer packet.
    pub length: usize,
    /// The outer type of service.
    pub tos: u8,
    /// The reason to count it under.
    pub reason: Reason,
}

impl HandOn {
    /// Offset of the private data over IPv4, from the start of the Ethernet header.
    pub const IPV4_HEAD: usize = EthHdr::LEN + Ipv4Hdr::LEN + UDP_GUE;
    /// The same over IPv6.
    pub const IPV6_HEAD: usize = EthHdr::LEN + Ipv6Hdr::LEN + UDP_GUE;
    /// Bytes from the start of the Ethernet header to the end of the last possible alternate, over IPv4. A packet with fewer
    /// alternates has as many bytes, because a TCP segment follows.
    pub const IPV4_REACH: usize =
        Self::IPV4_HEAD + alternates::length(alternates::MAX_ALTERNATES, 4);
    /// The same over IPv6.
    pub const IPV6_REACH: usize =
        Self::IPV6_HEAD + alternates::length(alternates::MAX_ALTERNATES, 16);

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
        // The UDP checksum covers the addresses, so clear it: zero means none.
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
