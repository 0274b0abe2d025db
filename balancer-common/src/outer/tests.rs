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
    Backend::new(outer, source, destination).via(3, [2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 2], 1_500)
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
    // Promise: E9
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
    // Promise: E21
    #[test]
    fn the_header_checksum_is_right_between_any_addresses(
        source: [u8; 4],
        bits in 0_u8..=16,
        hash: u64,
        network: [u8; 2],
        near in 0_u16..4,
        length in 20..=LONGEST,
    ) {
        let inner = Inner { length, tos: 0, protocol: 4, hash };
        let mask = (1_u32 << bits) - 1;
        let host = hash as u32 & mask;
        let network_only = (u32::from_be_bytes(source) & !mask).to_be_bytes();
        let source = (u32::from_be_bytes(source) & !mask | host).to_be_bytes();
        let zero = Backend::new(
            outer::IPV4,
            Address::from_ipv4(network_only),
            Address::from_ipv4([network[0], network[1], 0, 0]),
        );
        // The host's word makes the sum end in ffff, or one to three less.
        let so_far = zero.ipv4_sum + (length + Ipv4::LENGTH) as u32 + host;
        let [high, low] = (!near).wrapping_sub(so_far as u16).to_be_bytes();
        let destination = [network[0], network[1], high, low];
        let backend = Backend::new(
            outer::IPV4,
            Address::from_ipv4(network_only),
            Address::from_ipv4(destination),
        )
        .varying(bits);
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

    // Promise: E10
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
