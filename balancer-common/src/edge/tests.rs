//! One service with one backend, and what becomes of packets for it.

mod alternates;

use std::collections::BTreeMap;

use super::*;
use crate::{
    abi::{Backend, outer},
    sample::{self, put},
};

/// What the tables say; a field is changed for what a test is about.
struct One {
    declared: bool,
    table: bool,
    owner: u16,
    backend: Backend,
    history: Option<HistoryRow>,
    earlier: BTreeMap<u16, Backend>,
}

impl One {
    fn new() -> One {
        let (source, destination) = (sample::EDGE_V4, sample::BACKEND_V4);
        let backend = Backend::new(
            outer::GUE_IPV4,
            Address::from_ipv4(source),
            Address::from_ipv4(destination),
        );
        One {
            declared: true,
            table: true,
            owner: 7,
            backend: backend.via(3, [2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 2], 1_500),
            history: None,
            earlier: BTreeMap::new(),
        }
    }

    fn meets(&self, frame: &[u8]) -> Result<u16, Reason> {
        choose(frame, self, &HashKey::expand(1)).map(|choice| choice.id)
    }
}

impl Tables for One {
    fn is_vip(&self, address: &Address) -> bool {
        [
            Address::from_ipv4(sample::VIP_V4),
            Address::from_ipv6(sample::VIP_V6),
        ]
        .contains(address)
    }

    fn service(&self, key: &ServiceKey) -> Option<Service> {
        let port = (key.port_and_protocol as u16).to_ne_bytes();
        let declared = self.declared && port == sample::PORT.to_be_bytes();
        declared.then_some(Service {
            table: 5,
            shift: 64 - 8,
        })
    }

    fn slot(&self, table: u32, slot: u32) -> Option<Slot> {
        assert!(table == 5 && slot < 256, "slot {slot} of table {table}");
        self.table.then_some(Slot(self.owner))
    }

    fn backend(&self, id: u16) -> Option<&Backend> {
        if id == 7 {
            return Some(&self.backend);
        }
        self.earlier
            .get(&id)
            .or_else(|| (id < 100).then_some(&Backend::EMPTY))
    }

    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        assert!(table == 5 && slot < 256, "slot {slot} of table {table}");
        self.history
    }
}

fn samples() -> [Vec<u8>; 4] {
    [
        sample::tcp_v4(),
        sample::udp_v4(),
        sample::tcp_v6(),
        sample::udp_v6(),
    ]
}

#[test]
fn a_packet_for_a_service_goes_to_the_owner_of_its_slot() {
    for frame in samples() {
        assert_eq!(One::new().meets(&frame), Ok(7));
    }
}

#[test]
fn a_slot_that_moved_has_an_owner_all_the_same() {
    let moved = One {
        owner: 7 | Slot::MOVED,
        ..One::new()
    };
    assert_eq!(moved.meets(&sample::tcp_v4()), Ok(7));
}

#[test]
fn what_the_outer_header_needs_is_the_packets_own() {
    let one = One::new();
    let frame = put(sample::tcp_v4(), 15, &[0xb9]);
    let inner = choose(&frame[..], &one, &HashKey::expand(1)).unwrap().inner;
    assert_eq!((inner.length, inner.tos, inner.protocol), (45, 0xb9, 4));
    let frame = put(sample::tcp_v6(), 14, &[0x6b, 0x90]);
    let inner = choose(&frame[..], &one, &HashKey::expand(1)).unwrap().inner;
    assert_eq!((inner.length, inner.tos, inner.protocol), (65, 0xb9, 41));
}

#[test]
fn packets_of_one_flow_have_one_hash() {
    let one = One::new();
    let hash = |frame: &[u8]| {
        choose(frame, &one, &HashKey::expand(1))
            .map(|choice| choice.inner.hash)
            .unwrap()
    };
    let first = sample::tcp_v4();
    let later = put(put(first.clone(), 18, &[0x99]), 38, &[9, 9, 9, 9]);
    assert_eq!(hash(&first), hash(&later));
    assert_eq!(hash(&first), hash(&sample::tcp_v4_with_options(&[1; 8])));
    assert_ne!(hash(&first), hash(&put(first.clone(), 34, &[0x77])));
    assert_ne!(hash(&first), hash(&sample::udp_v4()));
}

/// Whatever the length, a cut frame is either left alone or dropped, never sent on.
// Promise: E8
#[test]
fn a_frame_that_is_cut_short_is_never_sent_on() {
    for whole in samples() {
        let address_ends = if whole[12] == 0x08 { 34 } else { 54 };
        for length in 0..whole.len() {
            let expected = if length < address_ends {
                Reason::ShortFrame
            } else {
                Reason::BadTotalLength
            };
            assert_eq!(
                One::new().meets(&whole[..length]),
                Err(expected),
                "{length} of {} bytes",
                whole.len()
            );
        }
    }
}

// Promise: E5
#[test]
fn a_packet_for_another_address_is_left_alone_however_broken() {
    let other = put(sample::tcp_v4(), 30, &[198, 51, 100, 11]);
    assert_eq!(One::new().meets(&other), Err(Reason::NotForVip));
    for (at, byte) in [(14, 0x44), (16, 0xff), (20, 0x20), (23, 47)] {
        let broken = put(other.clone(), at, &[byte]);
        assert_eq!(One::new().meets(&broken), Err(Reason::NotForVip));
    }
}

/// `::ffff:198.51.100.10` in an IPv6 header is another address than 198.51.100.10 in an IPv4 one.
// Promise: E5
#[test]
fn an_ipv6_packet_for_a_mapped_address_is_for_no_vip() {
    let mapped = Address::from_ipv4(sample::VIP_V4).octets();
    let frame = put(sample::tcp_v6(), 38, &mapped);
    assert_eq!(One::new().meets(&frame), Err(Reason::NotForVip));
    let found = for_vip(&frame[..], &One::new());
    assert_eq!(found.err(), Some(Reason::NotForVip));
}

// Promise: E6
#[test]
fn a_port_that_is_not_declared_is_told_from_a_protocol_that_cannot_be() {
    let port = put(sample::tcp_v4(), 36, &[0, 22]);
    assert_eq!(One::new().meets(&port), Err(Reason::UndeclaredPort));
    let none = One {
        declared: false,
        ..One::new()
    };
    assert_eq!(none.meets(&sample::udp_v6()), Err(Reason::UndeclaredPort));
    let icmp = put(sample::tcp_v4(), 23, &[1]);
    assert_eq!(One::new().meets(&icmp), Err(Reason::UnsupportedProtocol));
}

#[test]
fn a_table_that_is_missing_is_told_from_a_slot_without_owner() {
    let frame = sample::tcp_v4();
    let one = One {
        table: false,
        ..One::new()
    };
    assert_eq!(one.meets(&frame), Err(Reason::NoTable));
    for owner in [0, Slot::MOVED, 8, 100] {
        let one = One {
            owner,
            ..One::new()
        };
        assert_eq!(one.meets(&frame), Err(Reason::NoBackend), "owner {owner}");
    }
}

#[test]
fn a_backend_without_a_next_hop_gets_nothing() {
    let mut one = One::new();
    one.backend.interface = 0;
    assert_eq!(one.meets(&sample::tcp_v4()), Err(Reason::NoNextHop));
}

// Promise: E11
#[test]
fn the_longest_packet_that_fits_is_sent_and_the_next_is_not() {
    let mut one = One::new();
    one.backend.longest_inner = 45;
    assert_eq!(one.meets(&sample::tcp_v4()), Ok(7));
    one.backend.longest_inner = 44;
    assert_eq!(one.meets(&sample::tcp_v4()), Err(Reason::TooLarge));
}

#[test]
fn padding_behind_a_short_packet_is_not_part_of_it() {
    let mut one = One::new();
    one.backend.longest_inner = 45;
    let mut frame = sample::tcp_v4();
    frame.resize(64, 0);
    assert_eq!(one.meets(&frame), Ok(7));
}
