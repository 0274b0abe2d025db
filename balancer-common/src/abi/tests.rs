//! What the records hold, to the byte.

use super::*;

const SOURCE: Address = Address([0, 0x0200_010a_ffff_0000]);
const DESTINATION: Address = Address([0, 0x0b00_010a_ffff_0000]);

#[test]
fn a_slot_keeps_its_owner_beside_the_mark_of_having_moved() {
    assert_eq!(Slot(7).owner(), 7);
    assert_eq!(Slot(7 | Slot::MOVED).owner(), 7);
    assert_eq!(Slot(0x7fff).owner(), 0x7fff);
}

#[test]
fn a_service_keeps_its_policy_beside_its_shift() {
    for slots in [1, 2, 65_536, 1 << 31] {
        for by_source in [false, true] {
            let service = Service::new(7, slots, by_source);
            assert_eq!(service.slots(), slots);
            assert_eq!(service.is_by_source(), by_source);
            let shifted = u64::MAX.wrapping_shr(service.shift);
            assert!(slots == 1 || shifted == slots as u64 - 1);
        }
    }
}

/// Tables of 256 slots at the end of a chunk and at the beginning of the next, and one that fills a chunk.
#[test]
fn a_slot_is_found_by_its_tables_first_line() {
    let at = |chunk, index| Element { chunk, index };
    assert_eq!(Element::line(2_040, 255), at(0, 2_047));
    assert_eq!(Element::row(2_040, 255), at(0, 65_535));
    assert_eq!(Element::line(2_048, 31), at(1, 0));
    assert_eq!(Element::row(2_048, 31), at(1, 31));
    assert_eq!(Element::line(4_096, 65_535), at(2, 2_047));
    assert_eq!(Element::row(4_096, 65_535), at(2, 65_535));
    let last = (MAX_CHUNKS - 1) * CHUNK_LINES;
    assert_eq!(Element::line(last, 65_535), at(MAX_CHUNKS - 1, 2_047));
    assert_eq!(Element::row(last, 65_535), at(MAX_CHUNKS - 1, 65_535));
}

#[test]
fn a_vip_has_a_port_for_each_protocol_that_has_ports() {
    let vip = Vip {
        tcp: [1, 2],
        udp: [3, 4],
    };
    let port = |protocol| vip.only_by_source(protocol).to_ne_bytes();
    assert_eq!([6, 17, 1].map(port), [[1, 2], [3, 4], [0, 0]]);
}

#[test]
fn macs_are_words_to_store_the_next_hops_first() {
    let backend = Backend::new(outer::IPV4, SOURCE, DESTINATION);
    let backend = backend.via(1, [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], 1_500);
    assert_eq!(
        backend.macs.map(u64::to_ne_bytes).concat(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 0]
    );
}

#[test]
fn each_outer_header_takes_its_bytes_of_the_mtu() {
    let longest = |outer, mtu| {
        let backend = Backend::new(outer, SOURCE, DESTINATION);
        backend.via(1, [0; 6], [0; 6], mtu).longest_inner
    };
    assert_eq!(longest(outer::IPV4, 1_500), 1_480);
    assert_eq!(longest(outer::IPV6, 1_500), 1_460);
    assert_eq!(longest(outer::GUE_IPV4, 1_500), 1_468);
    assert_eq!(longest(outer::GUE_IPV6, 1_500), 1_448);
    assert_eq!(longest(outer::GUE_IPV6, 40), 0);
    assert_eq!(longest(outer::IPV4, 65_535), 65_515);
    assert_eq!(longest(outer::IPV4, 1 << 20), 65_515);
}

#[test]
fn a_record_without_a_next_hop_has_no_interface() {
    let backend = Backend::new(outer::GUE_IPV4, SOURCE, DESTINATION);
    assert_eq!((backend.interface, backend.longest_inner), (0, 0));
    assert_eq!(Backend::EMPTY.outer, 0);
}

/// Version to don't-fragment, TTL and protocol, both addresses: RFC 791 section 3.1 by hand.
#[test]
fn the_constant_words_of_an_ipv4_header_are_summed() {
    let addresses = 0x0a01 + 0x0002 + 0x0a01 + 0x000b;
    let plain = Backend::new(outer::IPV4, SOURCE, DESTINATION);
    assert_eq!(plain.ipv4_sum, 0x4500 + 0x4000 + 0x4004 + addresses);
    let gue = Backend::new(outer::GUE_IPV4, SOURCE, DESTINATION);
    assert_eq!(gue.ipv4_sum, 0x4500 + 0x4000 + 0x4011 + addresses);
}
