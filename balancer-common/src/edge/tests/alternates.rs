//! Which earlier owners travel with a packet.

use super::*;

/// An owner that has moved here, over outer headers of this kind, and earlier owners 11, 12, 13 of the same.
fn moved(kind: u8, history: HistoryRow) -> One {
    let backend = |host: u8| {
        let mut destination = sample::BACKEND_V6;
        destination[15] = host;
        let (source, destination) = match kind {
            outer::GUE_IPV4 | outer::IPV4 => (
                Address::from_ipv4(sample::EDGE_V4),
                Address::from_ipv4([10, 1, 0, host]),
            ),
            _ => (
                Address::from_ipv6(sample::EDGE_V6),
                Address::from_ipv6(destination),
            ),
        };
        Backend::new(kind, source, destination).via(3, [2; 6], [4; 6], 1_500)
    };
    One {
        owner: 7 | Slot::MOVED,
        backend: backend(7),
        history: Some(history),
        earlier: (11..=13).map(|id| (id, backend(id as u8))).collect(),
        ..One::new()
    }
}

/// The last bytes of the alternates that travel with a frame; `None`: they are not even asked for.
fn travelling(one: &One, frame: &[u8]) -> Option<Vec<u8>> {
    let choice = choose(frame, one, &HashKey::expand(1)).unwrap();
    let found = super::super::alternates(one, &choice, choice.moved?).unwrap();
    let found: Vec<u8> = found
        .into_iter()
        .map_while(|backend| Some(backend?.destination.octets()[15]))
        .collect();
    Some(found)
}

#[test]
fn earlier_owners_travel_newest_first() {
    for kind in [outer::GUE_IPV4, outer::GUE_IPV6] {
        for (history, expected) in [
            ([11, 0, 0, 0], vec![11]),
            ([12, 11, 0, 0], vec![12, 11]),
            ([13, 11, 12, 0], vec![13, 11, 12]),
            ([0; 4], vec![]),
        ] {
            for frame in [sample::tcp_v4(), sample::tcp_v6()] {
                let found = travelling(&moved(kind, history), &frame);
                assert_eq!(found, Some(expected.clone()), "{history:?}");
            }
        }
    }
}

#[test]
fn who_cannot_be_reached_in_the_same_way_stays_at_home() {
    let (v4, v6) = (outer::GUE_IPV4, outer::GUE_IPV6);
    let without = |gone: &[u16], change: &dyn Fn(&mut Backend)| {
        let mut one = moved(v4, [11, 12, 13, 0]);
        for (id, backend) in &mut one.earlier {
            if gone.contains(id) {
                change(backend);
            }
        }
        travelling(&one, &sample::tcp_v4()).unwrap()
    };
    let other = moved(v6, [0; 4]).earlier[&11];
    let changes: [&dyn Fn(&mut Backend); 4] = [
        &|backend| backend.interface = 0,
        &|backend| *backend = other,
        &|backend| backend.outer = outer::IPV4,
        &|backend| *backend = Backend::EMPTY,
    ];
    for change in changes {
        assert_eq!(without(&[11], change), [12, 13]);
        assert_eq!(without(&[12], change), [11, 13]);
        assert_eq!(without(&[13], change), [11, 12]);
        assert_eq!(without(&[11, 12], change), [13]);
        assert_eq!(without(&[11, 13], change), [12]);
        assert_eq!(without(&[12, 13], change), [11]);
        assert_eq!(without(&[11, 12, 13], change), [0_u8; 0]);
    }
}

#[test]
fn nobody_is_asked_about_a_packet_that_cannot_belong_to_a_connection() {
    let one = moved(outer::GUE_IPV4, [11, 0, 0, 0]);
    let syn = put(sample::tcp_v4(), 47, &[0x02]);
    assert_eq!(travelling(&one, &syn), None);
    assert_eq!(travelling(&one, &sample::udp_v4()), None);
    let syn_ack = put(sample::tcp_v4(), 47, &[0x12]);
    assert_eq!(travelling(&one, &syn_ack), Some(vec![11]));
}

#[test]
fn nobody_is_asked_when_the_slot_has_not_moved_or_the_header_has_no_place() {
    let here = One {
        owner: 7,
        ..moved(outer::GUE_IPV4, [11, 0, 0, 0])
    };
    assert_eq!(travelling(&here, &sample::tcp_v4()), None);
    for kind in [outer::IPV4, outer::IPV6] {
        let plain = moved(kind, [11, 0, 0, 0]);
        assert_eq!(travelling(&plain, &sample::tcp_v4()), None);
    }
}

/// The packet has 45 bytes, and 32 of outer header without alternates.
#[test]
fn what_does_not_fit_with_its_alternates_is_too_large() {
    for (history, private) in [
        ([11, 0, 0, 0], 8),
        ([11, 12, 0, 0], 12),
        ([11, 12, 13, 0], 16),
    ] {
        let mut one = moved(outer::GUE_IPV4, history);
        let mut meets = |longest_inner| {
            one.backend.longest_inner = longest_inner;
            let choice = choose(&sample::tcp_v4()[..], &one, &HashKey::expand(1)).unwrap();
            super::super::alternates(&one, &choice, choice.moved.unwrap()).err()
        };
        assert_eq!(meets(45 + private), None);
        assert_eq!(meets(45 + private - 1), Some(Reason::TooLarge));
    }
}
