//! ICMP and ICMPv6 echo requests to a VIP (RFC 792, RFC 4443), which the edge answers itself.

use network_types::{
    eth::EthHdr,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
};

use crate::{Address, Frame, FrameMut, Reason, checksum, parse::Network};

/// Bytes of an ICMP message's header.
pub(crate) const HEADER: usize = 8;

/// Type and code of a request and of its reply, as a 16-bit word in host order.
const REQUEST: u16 = 0x0800;
const REPLY: u16 = 0;
const REQUEST_V6: u16 = 0x8000;
const REPLY_V6: u16 = 0x8100;

/// TTL or hop limit of a reply.
const TTL: u8 = 64;

/// The changes that turn an echo request into its reply.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// IPv4, or else IPv6.
    pub ipv4: bool,
    source: Address,
    destination: Address,
    /// Of the IPv4 header.
    header_checksum: u16,
    checksum: u16,
}

impl Reply {
    /// Bytes of an untagged frame that [`Self::write`] may write to, for IPv4.
    pub const IPV4_REACH: usize = EthHdr::LEN + Ipv4Hdr::LEN + HEADER;
    /// The same for IPv6.
    pub const IPV6_REACH: usize = EthHdr::LEN + Ipv6Hdr::LEN + HEADER;

    /// The reply to an echo request. `frame` begins at its Ethernet header and has no tags.
    ///
    /// # Errors
    ///
    /// [`Reason::UnsupportedProtocol`] if the message is no echo request, or is one that the edge does not answer: one with
    /// options or extension headers, which a reply would have to honour, or one whose source is not the address of one host.
    #[inline(always)]
    pub fn to<F: Frame>(frame: F, network: &Network) -> Result<Self, Reason> {
        let ipv4 = network.version_protocol == IpProto::Ipv4 as u8;
        let (header_length, request, reply) = if ipv4 {
            (Ipv4Hdr::LEN, REQUEST, REPLY)
        } else {
            (Ipv6Hdr::LEN, REQUEST_V6, REPLY_V6)
        };
        if network.header_length != header_length || !is_one_host(&network.source, ipv4) {
            return Err(Reason::UnsupportedProtocol);
        }
        let at = EthHdr::LEN + header_length;
        let word = |at| {
            frame
                .read(at)
                .map(u16::from_be)
                .ok_or(Reason::BadTotalLength)
        };
        if word(at)? != request {
            return Err(Reason::UnsupportedProtocol);
        }
        // Checks that the whole header is there, which [`Self::write`] writes to.
        word(at + HEADER - 2)?;
        let header_checksum = if ipv4 {
            let [_, protocol] = word(EthHdr::LEN + 8)?.to_be_bytes();
            let new = u16::from_be_bytes([TTL, protocol]);
            checksum::replace(word(EthHdr::LEN + 10)?, word(EthHdr::LEN + 8)?, new)
        } else {
            0
        };
        Ok(Self {
            ipv4,
            source: network.destination,
            destination: network.source,
            header_checksum,
            // Swapping source and destination does not change the sum of the pseudo-header.
            checksum: checksum::replace(word(at + 2)?, request, reply),
        })
    }

    /// Turns the request into the reply. `frame` begins at the Ethernet header, without tags. The caller swaps the MAC
    /// addresses.
    #[inline(always)]
    pub fn write<M: FrameMut + ?Sized>(&self, frame: &mut M) {
        let ip = EthHdr::LEN;
        if self.ipv4 {
            frame.write(ip + 8, TTL);
            frame.write(ip + 10, self.header_checksum.to_be());
            frame.write(ip + 12, self.source.ipv4_word());
            frame.write(ip + 16, self.destination.ipv4_word());
            frame.write(ip + Ipv4Hdr::LEN, REPLY.to_be());
            frame.write(ip + Ipv4Hdr::LEN + 2, self.checksum.to_be());
        } else {
            frame.write(ip + 7, TTL);
            frame.write(ip + 8, self.source.0[0]);
            frame.write(ip + 16, self.source.0[1]);
            frame.write(ip + 24, self.destination.0[0]);
            frame.write(ip + 32, self.destination.0[1]);
            frame.write(ip + Ipv6Hdr::LEN, REPLY_V6.to_be());
            frame.write(ip + Ipv6Hdr::LEN + 2, self.checksum.to_be());
        }
    }
}

/// Whether `address` may belong to one host: it is not unspecified, loopback, multicast or broadcast.
#[inline(always)]
fn is_one_host(address: &Address, ipv4: bool) -> bool {
    if ipv4 {
        let first = address.ipv4_word() as u8;
        first != 0 && first != 127 && first < 224
    } else {
        let [high, low] = address.0;
        high as u8 != 0xff && (high != 0 || u64::from_be(low) > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn groups_and_nobody_are_not_one_host() {
        let v4 = |octets| is_one_host(&Address::from_ipv4(octets), true);
        assert!(v4(sample::CLIENT_V4) && v4([223, 255, 255, 255]) && v4([1, 0, 0, 0]));
        for octets in [
            [0; 4],
            [0, 0, 0, 1],
            [127, 0, 0, 1],
            [224, 0, 0, 1],
            [255; 4],
        ] {
            assert!(!v4(octets), "{octets:?}");
        }
        let v6 = |first, last| {
            let mut octets = [0; 16];
            (octets[0], octets[15]) = (first, last);
            is_one_host(&Address::from_ipv6(octets), false)
        };
        assert!(v6(0x20, 1) && v6(0xfe, 1) && v6(0, 2));
        assert!(!v6(0, 0) && !v6(0, 1) && !v6(0xff, 2));
    }
}
