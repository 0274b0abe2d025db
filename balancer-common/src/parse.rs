//! From a frame to its flow, in two steps: read the destination, then validate the packet.
//!
//! Only packets for a VIP are validated. All others must pass unchanged.

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

use crate::{Address, Frame, Reason, flow::Flow};

/// The fragment-offset bits of an IPv4 header, as loaded from it.
const OFFSET: u16 = 0x1fff_u16.to_be();

/// The fragment-offset bits and the more-fragments flag of an IPv4 header, as loaded from it.
const FRAGMENT: u16 = 0x3fff_u16.to_be();

/// An IP header as read, not yet validated.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// IP protocol number, or IPv6 next header.
    pub protocol: u8,
    /// The protocol number that another header uses for this IP version: 4 for IPv4, 41 for IPv6.
    pub version_protocol: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Bytes of the IP header with its options, as the header claims.
    pub header_length: usize,
    /// Bytes of the whole IP packet, as the header claims.
    pub length: usize,
    /// The identification of fragments, as a word loaded from the packet. 0 for IPv6, where it is in the fragment header.
    pub identification: u32,
    /// Whether the packet is a fragment.
    pub fragment: bool,
    /// Whether it is a fragment other than the first, so that no layer 4 header follows.
    pub later_fragment: bool,
    /// Whether version and header length are valid.
    pub sound: bool,
}

/// A valid TCP or UDP packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Its 5-tuple.
    pub flow: Flow,
    /// The protocol number that an outer header uses for its IP version: 4 or 41.
    pub version_protocol: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Bytes of the IP packet.
    pub length: usize,
    /// Whether it may belong to an existing connection: TCP, and not the SYN that opens one.
    pub continues: bool,
}

/// SYN and ACK among TCP's flags.
const SYN_OR_ACK: u8 = 0x12;
/// SYN alone, which opens a connection.
const SYN: u8 = 0x02;

/// Whether TCP flags are other than those that open a connection.
#[inline(always)]
pub fn continues(flags: u8) -> bool {
    flags & SYN_OR_ACK != SYN
}

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// The IP version that the Ethernet header announces.
#[inline(always)]
pub fn family<F: Frame>(frame: F) -> Result<Family, Reason> {
    let ether_type: u16 = frame.read(12).ok_or(Reason::ShortFrame)?;
    if ether_type == EtherType::Ipv4 as u16 {
        Ok(Family::Ipv4)
    } else if ether_type == EtherType::Ipv6 as u16 {
        Ok(Family::Ipv6)
    } else {
        Err(Reason::NotIp)
    }
}

/// Reads the IP header behind an Ethernet header.
#[inline(always)]
pub fn network<F: Frame>(frame: F) -> Result<Network, Reason> {
    match family(frame)? {
        Family::Ipv4 => ipv4(frame, EthHdr::LEN),
        Family::Ipv6 => ipv6(frame, EthHdr::LEN),
    }
    .ok_or(Reason::ShortFrame)
}

/// The destination of the IPv4 header at offset `at`. `None` if the frame ends within its 20 fixed bytes.
#[inline(always)]
pub fn ipv4_destination<F: Frame>(frame: F, at: usize) -> Option<Address> {
    frame.read(at + 16).map(Address::from_ipv4_word)
}

/// The destination of the IPv6 header at offset `at`. `None` if the frame ends within the header.
#[inline(always)]
pub fn ipv6_destination<F: Frame>(frame: F, at: usize) -> Option<Address> {
    Some(Address([frame.read(at + 24)?, frame.read(at + 32)?]))
}

/// Reads the IPv4 header (RFC 791) at offset `at`, a constant. `None` if the frame ends within its 20 fixed bytes.
#[inline(always)]
pub fn ipv4<F: Frame>(frame: F, at: usize) -> Option<Network> {
    let destination = ipv4_destination(frame, at)?;
    let first: u8 = frame.read(at)?;
    let header_length = ((first & 0x0f) as usize) * 4;
    let fragment: u16 = frame.read(at + 6)?;
    Some(Network {
        source: Address::from_ipv4_word(frame.read(at + 12)?),
        destination,
        protocol: frame.read(at + 9)?,
        version_protocol: IpProto::Ipv4 as u8,
        tos: frame.read(at + 1)?,
        header_length,
        length: u16::from_be(frame.read(at + 2)?) as usize,
        identification: u32::from(frame.read::<u16>(at + 4)?),
        fragment: fragment & FRAGMENT != 0,
        later_fragment: fragment & OFFSET != 0,
        sound: first >> 4 == 4 && header_length >= Ipv4Hdr::LEN,
    })
}

/// Reads the IPv6 header (RFC 8200) at offset `at`, a constant. `None` if the frame ends within the header.
#[inline(always)]
pub fn ipv6<F: Frame>(frame: F, at: usize) -> Option<Network> {
    let destination = ipv6_destination(frame, at)?;
    let first = u16::from_be(frame.read(at)?);
    let protocol: u8 = frame.read(at + 6)?;
    Some(Network {
        source: Address([frame.read(at + 8)?, frame.read(at + 16)?]),
        destination,
        protocol,
        version_protocol: IpProto::Ipv6 as u8,
        tos: (first >> 4) as u8,
        header_length: Ipv6Hdr::LEN,
        length: Ipv6Hdr::LEN + u16::from_be(frame.read(at + 4)?) as usize,
        identification: 0,
        fragment: protocol == IpProto::Ipv6Frag as u8,
        later_fragment: false,
        sound: first >> 12 == 6,
    })
}

impl Network {
    /// Whether `address`, one of the header's, is an IPv4-mapped address in an IPv6 header, where it is not
    /// allowed (RFC 6890 section 2.2.3). It would compare equal to the same address in an IPv4 header.
    #[inline(always)]
    pub fn is_misplaced(&self, address: &Address) -> bool {
        self.version_protocol == IpProto::Ipv6 as u8 && address.is_ipv4()
    }

    /// Validates the header and the packet's length. The header is at offset 14.
    #[inline(always)]
    pub fn check<F: Frame>(&self, frame: F) -> Result<(), Reason> {
        if !self.sound {
            return Err(Reason::BadHeaderLength);
        }
        if self.length < self.header_length || !frame.holds(EthHdr::LEN + self.length) {
            return Err(Reason::BadTotalLength);
        }
        Ok(())
    }

    /// Validates the packet behind the header and reads its ports. The header is at offset 14. Refuses fragments.
    #[inline(always)]
    pub fn transport<F: Frame>(&self, frame: F) -> Result<Packet, Reason> {
        if !self.sound {
            return Err(Reason::BadHeaderLength);
        }
        if self.fragment {
            return Err(Reason::Fragment);
        }
        self.segment(frame)
    }

    /// As [`Self::transport`], but accepts a first fragment. The caller has validated the header.
    #[inline(always)]
    pub fn segment<F: Frame>(&self, frame: F) -> Result<Packet, Reason> {
        if self.length < self.header_length || !frame.holds(EthHdr::LEN + self.length) {
            return Err(Reason::BadTotalLength);
        }
        let payload = self.length - self.header_length;
        let segment = frame.skip(EthHdr::LEN + self.header_length);
        let mut continues = false;
        if self.protocol == IpProto::Tcp as u8 {
            if payload < TcpHdr::LEN {
                return Err(Reason::BadTotalLength);
            }
            let word: u16 = segment.read(12).ok_or(Reason::BadTotalLength)?;
            let [offset, flags] = word.to_ne_bytes();
            continues = self::continues(flags);
            let header_length = (offset >> 4) as usize * 4;
            if header_length < TcpHdr::LEN || header_length > payload {
                return Err(Reason::BadHeaderLength);
            }
        } else if self.protocol == IpProto::Udp as u8 {
            if payload < UdpHdr::LEN {
                return Err(Reason::BadTotalLength);
            }
            let length = u16::from_be(segment.read(4).ok_or(Reason::BadTotalLength)?) as usize;
            if length < UdpHdr::LEN || length > payload && !self.fragment {
                return Err(Reason::BadTotalLength);
            }
        } else {
            return Err(Reason::UnsupportedProtocol);
        }
        Ok(Packet {
            flow: Flow {
                source: self.source,
                destination: self.destination,
                ports: segment.read(0).ok_or(Reason::BadTotalLength)?,
                protocol: self.protocol,
            },
            version_protocol: self.version_protocol,
            tos: self.tos,
            length: self.length,
            continues,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, put};

    fn packet(frame: &[u8]) -> Result<Packet, Reason> {
        network(frame)?.transport(frame)
    }

    fn refused(frame: Vec<u8>, reason: Reason) {
        assert_eq!(packet(&frame).unwrap_err(), reason, "{frame:02x?}");
    }

    #[test]
    fn a_flow_is_read_as_it_stands_in_the_packet() {
        let ports = u32::from_ne_bytes([0x9c, 0x40, 0x1f, 0x40]);
        let v4 = Flow {
            source: Address::from_ipv4(sample::CLIENT_V4),
            destination: Address::from_ipv4(sample::VIP_V4),
            ports,
            protocol: 6,
        };
        let v6 = Flow {
            source: Address::from_ipv6(sample::CLIENT_V6),
            destination: Address::from_ipv6(sample::VIP_V6),
            ports,
            protocol: 17,
        };
        assert_eq!(packet(&sample::tcp_v4()).unwrap().flow, v4);
        assert_eq!(packet(&sample::udp_v6()).unwrap().flow, v6);
    }

    #[test]
    fn ports_are_found_behind_options() {
        let plain = packet(&sample::tcp_v4()).unwrap();
        for words in 1..=10 {
            let frame = sample::tcp_v4_with_options(&vec![1; words * 4]);
            let packet = packet(&frame).unwrap();
            assert_eq!(packet.flow, plain.flow);
            assert_eq!(packet.length, plain.length + words * 4);
        }
    }

    #[test]
    fn lengths_leave_out_padding() {
        let mut frame = sample::udp_v4();
        let length = frame.len() - 14;
        frame.resize(100, 0);
        assert_eq!(packet(&frame).unwrap().length, length);
    }

    #[test]
    fn what_opens_a_connection_continues_none() {
        let flags = |flags: u8| packet(&put(sample::tcp_v4(), 47, &[flags])).unwrap();
        // SYN, with whatever else a client sets in it: ECN, data pushed.
        for opening in [0x02, 0xc2, 0x0a] {
            assert!(!flags(opening).continues, "{opening:#x}");
        }
        // ACK, data, SYN-ACK, FIN, RST with and without ACK.
        for other in [0x10, 0x18, 0x12, 0x11, 0x04, 0x14] {
            assert!(flags(other).continues, "{other:#x}");
        }
        assert!(!packet(&sample::udp_v4()).unwrap().continues);
    }

    #[test]
    fn neither_arp_nor_a_vlan_tag_is_ip() {
        for ether_type in [[0x08, 0x06], [0x81, 0x00], [0x88, 0xa8], [0x05, 0xdc]] {
            refused(put(sample::tcp_v4(), 12, &ether_type), Reason::NotIp);
        }
    }

    #[test]
    fn an_impossible_ip_header_is_refused() {
        for first in [0x40, 0x41, 0x42, 0x43, 0x44, 0x05, 0x55, 0x65, 0xf5] {
            refused(put(sample::tcp_v4(), 14, &[first]), Reason::BadHeaderLength);
        }
        for first in [0x40, 0x00, 0x70] {
            refused(put(sample::tcp_v6(), 14, &[first]), Reason::BadHeaderLength);
        }
        // 60 bytes of header: nothing is left for TCP.
        refused(put(sample::tcp_v4(), 14, &[0x4f]), Reason::BadTotalLength);
    }

    #[test]
    fn fragments_are_refused_but_not_what_may_not_be_fragmented() {
        for bits in [0x2000_u16, 0x0001, 0x00ff, 0x1fff, 0x2010, 0x6000] {
            let frame = put(sample::udp_v4(), 20, &bits.to_be_bytes());
            refused(frame, Reason::Fragment);
        }
        assert!(packet(&put(sample::udp_v4(), 20, &[0x40, 0])).is_ok());
        refused(put(sample::udp_v6(), 20, &[44]), Reason::Fragment);
    }

    // Promise: E8
    #[test]
    fn a_total_length_that_lies_is_refused() {
        for length in [0_u16, 19, 20, 39, 46, 1_500, 0xffff] {
            let frame = put(sample::tcp_v4(), 16, &length.to_be_bytes());
            refused(frame, Reason::BadTotalLength);
        }
        for length in [0_u16, 7, 26, 0xffff] {
            let frame = put(sample::tcp_v6(), 18, &length.to_be_bytes());
            refused(frame, Reason::BadTotalLength);
        }
    }

    // Promise: E8
    #[test]
    fn a_data_offset_outside_the_segment_is_refused() {
        for words in [0_u8, 1, 4, 7, 15] {
            refused(
                put(sample::tcp_v4(), 46, &[words << 4]),
                Reason::BadHeaderLength,
            );
        }
        // Six words end within the five bytes of payload.
        assert!(packet(&put(sample::tcp_v4(), 46, &[6 << 4])).is_ok());
    }

    // Promise: E8
    #[test]
    fn a_udp_length_outside_the_datagram_is_refused() {
        for length in [0_u16, 7, 14, 0xffff] {
            let bytes = length.to_be_bytes();
            refused(put(sample::udp_v4(), 38, &bytes), Reason::BadTotalLength);
            refused(put(sample::udp_v6(), 58, &bytes), Reason::BadTotalLength);
        }
        assert!(packet(&put(sample::udp_v4(), 38, &[0, 8])).is_ok());
    }

    #[test]
    fn other_protocols_are_not_supported() {
        for protocol in [0, 1, 4, 41, 47, 50, 58, 132] {
            refused(
                put(sample::tcp_v4(), 23, &[protocol]),
                Reason::UnsupportedProtocol,
            );
        }
        refused(
            put(sample::tcp_v6(), 20, &[58]),
            Reason::UnsupportedProtocol,
        );
    }

    #[test]
    fn the_traffic_class_is_read_across_two_bytes() {
        let frame = put(sample::tcp_v6(), 14, &[0x6b, 0x9f]);
        assert_eq!(packet(&frame).unwrap().tos, 0xb9);
    }
}
