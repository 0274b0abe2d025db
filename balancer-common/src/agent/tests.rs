//! What an instance takes from edges, and what it refuses.

mod second_chance;

use super::*;
use crate::sample::{self, put};

/// An instance that serves the samples' VIPs and takes from the samples' edge.
struct Serving;

impl Instance<&[u8]> for Serving {
    fn is_edge(&self, source: &Address) -> bool {
        [
            Address::from_ipv4(sample::EDGE_V4),
            Address::from_ipv6(sample::EDGE_V6),
        ]
        .contains(source)
    }

    fn is_peer(&self, _: &Address) -> bool {
        false
    }

    fn is_vip(&self, address: &Address) -> bool {
        is_sample_vip(address)
    }

    fn knows(&self, segment: &Segment<&[u8]>) -> Evidence {
        panic!("nobody asked: {segment:?}")
    }

    fn knows_quoted(&self, quote: &Quote) -> Evidence {
        panic!("nobody asked: {quote:?}")
    }
}

fn is_sample_vip(address: &Address) -> bool {
    [
        Address::from_ipv4(sample::VIP_V4),
        Address::from_ipv6(sample::VIP_V6),
    ]
    .contains(address)
}

fn meets(frame: &[u8]) -> Result<Opened, Reason> {
    let fate = open(frame, &Serving);
    if let Some(opened) = open_fast(frame, &Serving) {
        assert_eq!(fate, Ok(Fate::Opened(opened)), "{frame:02x?}");
    }
    match fate? {
        Fate::Opened(opened) => Ok(opened),
        Fate::HandedOn(hand_on) => panic!("handed on: {hand_on:?}"),
    }
}

fn refused(frame: &[u8], reason: Reason) {
    assert_eq!(meets(frame), Err(reason), "{frame:02x?}");
}

/// Every encapsulation that an edge sends, with the bytes that it adds.
fn encapsulated() -> Vec<(Vec<u8>, usize, u16)> {
    let (v4, v6) = (0x0800_u16.to_be(), 0x86dd_u16.to_be());
    vec![
        (sample::in_ipv4(&sample::tcp_v4()), 20, v4),
        (sample::in_ipv4(&sample::udp_v6()), 20, v6),
        (sample::in_ipv6(&sample::udp_v4()), 40, v4),
        (sample::in_ipv6(&sample::tcp_v6()), 40, v6),
        (sample::in_gue_ipv4(&sample::tcp_v4()), 32, v4),
        (sample::in_gue_ipv4(&sample::tcp_v6()), 32, v6),
        (sample::in_gue_ipv6(&sample::udp_v4()), 52, v4),
        (sample::in_gue_ipv6(&sample::udp_v6()), 52, v6),
    ]
}

// Promise: A2
#[test]
fn each_encapsulation_is_opened() {
    for (frame, outer_length, ether_type) in encapsulated() {
        let opened = Opened {
            outer_length,
            ether_type,
            mark: None,
            reason: Reason::Decapsulated,
        };
        assert_eq!(meets(&frame), Ok(opened));
    }
}

#[test]
fn what_an_edge_sends_without_alternates_takes_the_fast_path() {
    for (frame, outer_length, _) in encapsulated() {
        let fast = open_fast(&frame[..], &Serving).map(|opened| opened.outer_length);
        assert_eq!(fast, Some(outer_length), "{frame:02x?}");
    }
}

#[test]
fn padding_behind_the_outer_packet_changes_nothing() {
    for (mut frame, outer_length, _) in encapsulated() {
        frame.resize(frame.len() + 18, 0);
        assert_eq!(meets(&frame).unwrap().outer_length, outer_length);
    }
}

// Promise: A2
#[test]
fn private_data_of_gue_is_skipped() {
    // Two words of it, in the lengths of IPv4 and of UDP too.
    let mut frame = sample::in_gue_ipv4(&sample::tcp_v4());
    let length = frame.len() - 14 + 8;
    frame.splice(46..46, [0xaa; 8]);
    let frame = put(frame, 16, &(length as u16).to_be_bytes());
    let frame = put(frame, 38, &(length as u16 - 20).to_be_bytes());
    let frame = put(frame, 42, &[2]);
    assert_eq!(meets(&frame).unwrap().outer_length, 40);
}

#[test]
fn options_of_the_outer_header_are_skipped() {
    let mut frame = sample::in_ipv4(&sample::tcp_v4());
    let length = frame.len() - 14 + 4;
    frame.splice(34..34, [1; 4]);
    let frame = put(frame, 14, &[0x46]);
    let frame = put(frame, 16, &(length as u16).to_be_bytes());
    assert_eq!(meets(&frame).unwrap().outer_length, 24);
}

// Promise: A4
#[test]
fn a_frame_that_is_cut_short_is_never_opened() {
    for (whole, _, _) in encapsulated() {
        for length in 0..whole.len() {
            let reason = meets(&whole[..length]).expect_err("it is cut");
            let header = if whole[12] == 0x08 { 34 } else { 54 };
            let gue = whole[if header == 34 { 23 } else { 20 }] == 17;
            let told = length >= header + if gue { 4 } else { 0 };
            let expected = if told {
                Reason::BadOuterHeader
            } else {
                Reason::NotEncapsulated
            };
            assert_eq!(reason, expected, "{length} of {} bytes", whole.len());
        }
    }
}

// Promise: A1
#[test]
fn only_edges_may_send() {
    refused(
        &put(sample::in_ipv4(&sample::tcp_v4()), 26, &[10, 9, 9, 9]),
        Reason::SourceNotAllowed,
    );
    refused(
        &put(sample::in_gue_ipv6(&sample::tcp_v4()), 22, &[0x20]),
        Reason::SourceNotAllowed,
    );
}

/// `::ffff:10.1.0.2` in an IPv6 header is nobody's IPv4 address.
// Promise: A1
#[test]
fn a_mapped_address_is_no_edge_and_no_vip() {
    let edge = Address::from_ipv4(sample::EDGE_V4).octets();
    refused(
        &put(sample::in_ipv6(&sample::tcp_v4()), 22, &edge),
        Reason::SourceNotAllowed,
    );
    let vip = Address::from_ipv4(sample::VIP_V4).octets();
    refused(
        &put(sample::in_ipv6(&sample::tcp_v6()), 54 + 24, &vip),
        Reason::InnerNotForVip,
    );
}

// Promise: A2
#[test]
fn what_is_not_encapsulated_is_left_alone() {
    for frame in [sample::tcp_v4(), sample::udp_v6()] {
        refused(&frame, Reason::NotEncapsulated);
    }
    let arp = put(sample::tcp_v4(), 12, &[0x08, 0x06]);
    refused(&arp, Reason::NotEncapsulated);
    let other_port = put(sample::in_gue_ipv4(&sample::tcp_v4()), 36, &[0x17, 0xc1]);
    refused(&other_port, Reason::NotEncapsulated);
    let impossible = put(sample::in_ipv4(&sample::tcp_v4()), 14, &[0x44]);
    refused(&impossible, Reason::NotEncapsulated);
}

// Promise: A4
#[test]
fn an_outer_fragment_or_a_lying_outer_length_is_refused() {
    let plain = sample::in_ipv4(&sample::tcp_v4());
    let gue = sample::in_gue_ipv6(&sample::tcp_v6());
    for (frame, at, bytes) in [
        (&plain, 20, [0x20, 0]),
        (&plain, 20, [0, 9]),
        (&plain, 16, [0xff, 0xff]),
        // Shorter than its own header.
        (&plain, 16, [0, 19]),
        (&plain, 16, [0, 0]),
        (&gue, 18, [0xff, 0xff]),
        (&gue, 18, [0, 0]),
        (&gue, 58, [0, 0]),
        (&gue, 58, [0, 8]),
        (&gue, 58, [0xff, 0xff]),
    ] {
        refused(&put(frame.clone(), at, &bytes), Reason::BadOuterHeader);
    }
}

#[test]
fn an_outer_header_longer_than_its_packet_is_refused() {
    // 60 bytes of header in a packet of 40.
    let frame = put(sample::in_ipv4(&sample::tcp_v4()), 14, &[0x4f]);
    refused(&put(frame, 16, &[0, 40]), Reason::BadOuterHeader);
}

// Promise: A4
#[test]
fn gue_that_no_edge_sends_is_refused() {
    let gue = sample::in_gue_ipv4(&sample::tcp_v4());
    for header in [
        [0x40, 4, 0, 0],
        [0x20, 4, 0, 0],
        [0x00, 4, 0x80, 0],
        [0x00, 4, 0, 1],
        // Private data beyond the packet.
        [0x1f, 4, 0, 0],
        // Neither IPv4 nor IPv6.
        [0x00, 59, 0, 0],
        [0x00, 6, 0, 0],
    ] {
        refused(&put(gue.clone(), 42, &header), Reason::BadGueHeader);
    }
}

// Promise: A4
#[test]
fn an_inner_packet_that_is_not_what_the_outer_header_says_is_refused() {
    let plain = sample::in_ipv4(&sample::tcp_v4());
    let gue = sample::in_gue_ipv4(&sample::tcp_v6());
    for (frame, at, bytes) in [
        // Another version, an impossible header length, a length of nothing, one beyond the outer packet.
        (&plain, 34, vec![0x65]),
        (&plain, 34, vec![0x44]),
        (&plain, 36, vec![0, 0]),
        (&plain, 36, vec![0, 19]),
        (&plain, 36, vec![0, 46]),
        (&gue, 46, vec![0x45]),
        (&gue, 50, vec![0, 26]),
        (&gue, 50, vec![0xff, 0xff]),
        (&gue, 43, vec![4]),
    ] {
        refused(&put(frame.clone(), at, &bytes), Reason::BadInnerHeader);
    }
}

#[test]
fn an_inner_header_longer_than_its_packet_is_refused() {
    let frame = put(sample::in_ipv4(&sample::tcp_v4()), 34, &[0x4f]);
    refused(&frame, Reason::BadInnerHeader);
}

// Promise: A1
#[test]
fn an_inner_packet_for_another_address_is_refused() {
    let frame = put(sample::in_ipv4(&sample::tcp_v4()), 53, &[11]);
    refused(&frame, Reason::InnerNotForVip);
    let frame = put(sample::in_gue_ipv6(&sample::tcp_v6()), 66 + 39, &[11]);
    refused(&frame, Reason::InnerNotForVip);
}
