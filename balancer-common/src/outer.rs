//! The outer headers that an edge puts in front of a packet, Ethernet header included.

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

use crate::{
    FrameMut,
    abi::Backend,
    alternates::{self, Head},
    checksum, gue,
};

/// What an outer header needs to know of the packet inside.
#[derive(Clone, Copy, Debug)]
pub struct Inner {
    /// Bytes of the inner IP packet.
    pub length: usize,
    /// Its type of service or traffic class, copied outside (RFC 6040 section 4.1, normal mode).
    pub tos: u8,
    /// 4 for IPv4, 41 for IPv6.
    pub protocol: u8,
    /// The flow's hash, whose low bits spread the fabric's paths.
    pub hash: u64,
}

/// One kind of outer header.
pub trait Outer {
    /// Bytes that a packet grows by.
    const LENGTH: usize;

    /// Writes the Ethernet header and the outer header: `frame` begins at the Ethernet header and
    /// has at least 14 + [`Self::LENGTH`] bytes.
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner);
}

/// IPv4 in IPv4 (RFC 2003).
#[derive(Clone, Copy, Debug)]
pub struct Ipv4;

/// IPv4 or IPv6 in IPv6 (RFC 2473).
#[derive(Clone, Copy, Debug)]
pub struct Ipv6;

/// IPv4 or IPv6 in GUE over IPv4.
#[derive(Clone, Copy, Debug)]
pub struct GueIpv4;

/// IPv4 or IPv6 in GUE over IPv6.
#[derive(Clone, Copy, Debug)]
pub struct GueIpv6;

/// Bytes of UDP and GUE headers.
const UDP_GUE: usize = UdpHdr::LEN + gue::BASE_LENGTH;

impl Outer for Ipv4 {
    const LENGTH: usize = Ipv4Hdr::LEN;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv4);
        write_ipv4(
            frame,
            backend,
            inner.length + Self::LENGTH,
            inner.tos,
            IpProto::Ipv4,
        );
    }
}

impl Outer for Ipv6 {
    const LENGTH: usize = Ipv6Hdr::LEN;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv6);
        write_ipv6(frame, backend, inner, inner.length, inner.protocol);
    }
}

impl Outer for GueIpv4 {
    const LENGTH: usize = Ipv4Hdr::LEN + UDP_GUE;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv4);
        write_ipv4(
            frame,
            backend,
            inner.length + Self::LENGTH,
            inner.tos,
            IpProto::Udp,
        );
        write_gue(frame, EthHdr::LEN + Ipv4Hdr::LEN, inner, 0);
    }
}

impl Outer for GueIpv6 {
    const LENGTH: usize = Ipv6Hdr::LEN + UDP_GUE;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv6);
        write_ipv6(
            frame,
            backend,
            inner,
            inner.length + UDP_GUE,
            IpProto::Udp as u8,
        );
        write_gue(frame, EthHdr::LEN + Ipv6Hdr::LEN, inner, 0);
    }
}

/// An outer header in which `N` alternates travel, beside the form without.
pub trait Carrying<const N: usize>: Outer {
    /// Bytes that a packet grows by.
    const GROWTH: usize;

    /// As [`Outer::write`], with [`Self::GROWTH`]. The alternates are of the family of `backend`.
    fn write_carrying<M: FrameMut + ?Sized>(
        frame: &mut M,
        backend: &Backend,
        alternates: [&Backend; N],
        inner: &Inner,
    );
}

impl<const N: usize> Carrying<N> for GueIpv4 {
    const GROWTH: usize = Self::LENGTH + alternates::length(N, 4);

    #[inline(always)]
    fn write_carrying<M: FrameMut + ?Sized>(
        frame: &mut M,
        backend: &Backend,
        alternates: [&Backend; N],
        inner: &Inner,
    ) {
        let length = inner.length + <Self as Carrying<N>>::GROWTH;
        write_ethernet(frame, backend, EtherType::Ipv4);
        write_ipv4(frame, backend, length, inner.tos, IpProto::Udp);
        let at = EthHdr::LEN + Ipv4Hdr::LEN;
        write_gue(frame, at, inner, alternates::length(N, 4));
        let at = at + UDP_GUE;
        frame.write(at, Head::new(N as u8).word());
        for (place, alternate) in alternates.into_iter().enumerate() {
            let address = alternate.destination.ipv4_word();
            frame.write(at + alternates::length(place, 4), address);
        }
    }
}

impl<const N: usize> Carrying<N> for GueIpv6 {
    const GROWTH: usize = Self::LENGTH + alternates::length(N, 16);

    #[inline(always)]
    fn write_carrying<M: FrameMut + ?Sized>(
        frame: &mut M,
        backend: &Backend,
        alternates: [&Backend; N],
        inner: &Inner,
    ) {
        let payload = inner.length + UDP_GUE + alternates::length(N, 16);
        write_ethernet(frame, backend, EtherType::Ipv6);
        write_ipv6(frame, backend, inner, payload, IpProto::Udp as u8);
        let at = EthHdr::LEN + Ipv6Hdr::LEN;
        write_gue(frame, at, inner, alternates::length(N, 16));
        let at = at + UDP_GUE;
        frame.write(at, Head::new(N as u8).word());
        for (place, alternate) in alternates.into_iter().enumerate() {
            let at = at + alternates::length(place, 16);
            frame.write(at, alternate.destination.0[0]);
            frame.write(at + 8, alternate.destination.0[1]);
        }
    }
}

#[inline(always)]
fn write_ethernet<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, ether_type: EtherType) {
    frame.write(0, backend.macs[0]);
    frame.write(8, backend.macs[1] as u32);
    frame.write(12, ether_type as u16);
}

/// Identification 0 with don't-fragment: an atomic datagram (RFC 6864), which no fabric may split.
#[inline(always)]
fn write_ipv4<M: FrameMut + ?Sized>(
    frame: &mut M,
    backend: &Backend,
    length: usize,
    tos: u8,
    protocol: IpProto,
) {
    let at = EthHdr::LEN;
    let checksum = checksum::finish(backend.ipv4_sum + length as u32 + u32::from(tos));
    frame.write(at, 0x45_u8);
    frame.write(at + 1, tos);
    frame.write(at + 2, (length as u16).to_be());
    frame.write(at + 4, 0_u16);
    frame.write(at + 6, 0x4000_u16.to_be());
    frame.write(at + 8, 64_u8);
    frame.write(at + 9, protocol as u8);
    frame.write(at + 10, checksum.to_be());
    frame.write(at + 12, backend.source.ipv4_word());
    frame.write(at + 16, backend.destination.ipv4_word());
}

#[inline(always)]
fn write_ipv6<M: FrameMut + ?Sized>(
    frame: &mut M,
    backend: &Backend,
    inner: &Inner,
    payload: usize,
    protocol: u8,
) {
    let at = EthHdr::LEN;
    // The source port's bits are left out of the flow label, so that either spreads on its own.
    let label = (inner.hash >> 14) as u32 & 0x000f_ffff;
    let first = 6 << 28 | u32::from(inner.tos) << 20 | label;
    frame.write(at, first.to_be());
    frame.write(at + 4, (payload as u16).to_be());
    frame.write(at + 6, protocol);
    frame.write(at + 7, 64_u8);
    frame.write(at + 8, backend.source.0[0]);
    frame.write(at + 16, backend.source.0[1]);
    frame.write(at + 24, backend.destination.0[0]);
    frame.write(at + 32, backend.destination.0[1]);
}

/// UDP and GUE, with so many bytes of private data to follow. The source port is the flow's, from the dynamic range (RFC 6335); the checksum is
/// zero, which tunnels over IPv6 may send where the receiver consents (RFC 6935, RFC 6936).
#[inline(always)]
fn write_gue<M: FrameMut + ?Sized>(frame: &mut M, at: usize, inner: &Inner, private: usize) {
    let source_port = 0xc000 | inner.hash as u16 & 0x3fff;
    frame.write(at, source_port.to_be());
    frame.write(at + 2, gue::PORT.to_be());
    frame.write(at + 4, ((inner.length + UDP_GUE + private) as u16).to_be());
    frame.write(at + 6, 0_u16);
    frame.write(at + 8, gue::base(inner.protocol, private));
}

#[cfg(test)]
mod tests {
    use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, UdpHeaderSlice};
    use proptest::prelude::*;

    use super::*;
    use crate::{Address, abi::outer, sample};

    const LONGEST: usize = 1_400;

    fn backend(outer: u8) -> Backend {
        let (source, destination) = match outer {
            outer::IPV4 | outer::GUE_IPV4 => (
                Address::from_ipv4(sample::EDGE_V4),
                Address::from_ipv4(sample::BACKEND_V4),
            ),
            _ => (
                Address::from_ipv6(sample::EDGE_V6),
                Address::from_ipv6(sample::BACKEND_V6),
            ),
        };
        Backend::new(outer, source, destination).via(
            3,
            [2, 0, 0, 0, 0, 9],
            [2, 0, 0, 0, 0, 2],
            1_500,
        )
    }

    /// The Ethernet and outer headers.
    fn written<O: Outer>(kind: u8, inner: &Inner) -> Vec<u8> {
        let mut frame = vec![0xee; EthHdr::LEN + O::LENGTH];
        O::write(&mut frame[..], &backend(kind), inner);
        assert_eq!(frame[..12], [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 2]);
        frame
    }

    fn check_ipv4(frame: &[u8], inner: &Inner, added: usize, protocol: u8) {
        assert_eq!(frame[12..14], [0x08, 0x00]);
        let header = Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap();
        assert_eq!(usize::from(header.total_len()), inner.length + added);
        assert_eq!(
            header.header_checksum(),
            header.to_header().calc_header_checksum()
        );
        assert_eq!((frame[15], header.ttl(), header.ihl()), (inner.tos, 64, 5));
        assert_eq!(header.protocol().0, protocol);
        assert!(header.dont_fragment() && !header.is_fragmenting_payload());
        assert_eq!(header.identification(), 0);
        assert_eq!(header.source(), sample::EDGE_V4);
        assert_eq!(header.destination(), sample::BACKEND_V4);
    }

    fn check_ipv6(frame: &[u8], inner: &Inner, added: usize, protocol: u8) {
        assert_eq!(frame[12..14], [0x86, 0xdd]);
        let header = Ipv6HeaderSlice::from_slice(&frame[14..]).unwrap();
        assert_eq!(usize::from(header.payload_length()), inner.length + added);
        assert_eq!(header.traffic_class(), inner.tos);
        assert_eq!((header.hop_limit(), header.next_header().0), (64, protocol));
        assert_eq!(header.source(), sample::EDGE_V6);
        assert_eq!(header.destination(), sample::BACKEND_V6);
    }

    fn check_gue(frame: &[u8], inner: &Inner) {
        let udp = UdpHeaderSlice::from_slice(frame).unwrap();
        assert_eq!((udp.destination_port(), udp.checksum()), (6080, 0));
        assert_eq!(usize::from(udp.length()), inner.length + 12);
        assert_eq!(u64::from(udp.source_port()), 0xc000 | inner.hash & 0x3fff);
        assert_eq!(frame[8..], [0, inner.protocol, 0, 0]);
    }

    proptest! {
        #[test]
        fn every_header_is_what_another_parser_expects(
            length in 20..=LONGEST,
            tos: u8,
            protocol in prop_oneof![Just(4_u8), Just(41)],
            hash: u64,
        ) {
            let inner = Inner { length, tos, protocol, hash };
            check_ipv4(&written::<Ipv4>(outer::IPV4, &inner), &inner, 20, 4);
            check_ipv6(&written::<Ipv6>(outer::IPV6, &inner), &inner, 0, protocol);
            let gue = written::<GueIpv4>(outer::GUE_IPV4, &inner);
            check_ipv4(&gue, &inner, 32, 17);
            check_gue(&gue[34..], &inner);
            let gue = written::<GueIpv6>(outer::GUE_IPV6, &inner);
            check_ipv6(&gue, &inner, 12, 17);
            check_gue(&gue[54..], &inner);
        }

        /// Any addresses, and sums around the values at which a fold carries.
        #[test]
        fn the_header_checksum_is_right_between_any_addresses(
            source: [u8; 4],
            network: [u8; 2],
            near in 0_u16..4,
            length in 20..=LONGEST,
        ) {
            let inner = Inner { length, tos: 0, protocol: 4, hash: 0 };
            let zero = Backend::new(
                outer::IPV4,
                Address::from_ipv4(source),
                Address::from_ipv4([network[0], network[1], 0, 0]),
            );
            // The host's word makes the sum end in ffff, or one to three less.
            let so_far = zero.ipv4_sum + (length + Ipv4::LENGTH) as u32;
            let [high, low] = (!near).wrapping_sub(so_far as u16).to_be_bytes();
            let destination = [network[0], network[1], high, low];
            let backend = Backend::new(
                outer::IPV4,
                Address::from_ipv4(source),
                Address::from_ipv4(destination),
            );
            let mut frame = [0; EthHdr::LEN + Ipv4::LENGTH];
            Ipv4::write(&mut frame[..], &backend, &inner);
            let header = Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap();
            prop_assert_eq!(header.source(), source);
            prop_assert_eq!(header.destination(), destination);
            prop_assert_eq!(
                header.header_checksum(),
                header.to_header().calc_header_checksum()
            );
        }

        #[test]
        fn the_flow_label_leaves_out_the_bits_of_the_source_port(low in 0_u64..1 << 14, high: u64) {
            let label = |hash| {
                let inner = Inner { length: 40, tos: 0, protocol: 4, hash };
                let frame = written::<Ipv6>(outer::IPV6, &inner);
                Ipv6HeaderSlice::from_slice(&frame[14..]).unwrap().flow_label()
            };
            prop_assert_eq!(label(high << 14 | low), label(high << 14));
        }
    }
}
