use std::{vec, vec::Vec};

use super::*;

fn key(vip: Address, port: u16, protocol: u8) -> ServiceKey {
    ServiceKey::new(vip, port.to_be_bytes(), protocol)
}

fn vip4(last: u8) -> Address {
    Address::from_ipv4([198, 51, 100, last])
}

fn vip6(last: u8) -> Address {
    let mut octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    octets[15] = last;
    Address::from_ipv6(octets)
}

fn service(table: u32) -> Service {
    Service { table, shift: 56 }
}

/// Writes services, table after table from 1 on, into one line.
fn line(keys: &[ServiceKey]) -> Line {
    keys.iter()
        .zip(1..)
        .fold(Line::EMPTY, |line, (key, table)| {
            line.with(key, service(table))
                .last()
                .copied()
                .unwrap_or(line)
        })
}

#[test]
fn a_line_tells_its_services_from_other_ports_and_other_addresses() {
    for (one, other) in [(vip4(1), vip4(2)), (vip6(1), vip6(2))] {
        let keys = [key(one, 80, 6), key(one, 80, 17)];
        let line = line(&keys);
        assert_eq!(line.service(&keys[0]), Known::Here(service(1)));
        assert_eq!(line.service(&keys[1]), Known::Here(service(2)));
        assert_eq!(line.service(&key(one, 81, 6)), Known::Nowhere);
        assert_eq!(line.service(&key(other, 80, 6)), Known::Nowhere);
        assert_eq!(line.vip(&one), Known::Here(()));
        assert_eq!(line.vip(&other), Known::Nowhere);
    }
}

#[test]
fn an_empty_line_knows_nobody() {
    for address in [
        vip4(1),
        vip6(1),
        Address::from_ipv4([0; 4]),
        Address([0; 2]),
    ] {
        assert_eq!(Line::EMPTY.vip(&address), Known::Nowhere);
        assert_eq!(Line::EMPTY.service(&key(address, 80, 6)), Known::Nowhere);
    }
}

// Promise: E7
#[test]
fn what_a_line_cannot_hold_is_elsewhere() {
    for (vip, most) in [(vip4(1), OF_IPV4 as u16), (vip6(1), OF_IPV6 as u16)] {
        let keys: Vec<_> = (1..=most + 1).map(|port| key(vip, port, 6)).collect();
        let whole = line(&keys[..usize::from(most)]);
        assert!(
            keys[..usize::from(most)]
                .iter()
                .all(|key| matches!(whole.service(key), Known::Here(_)))
        );
        let full = line(&keys);
        assert!(full.is_full());
        assert!(keys.iter().all(|key| full.service(key) == Known::Elsewhere));
        assert_eq!(full.vip(&vip), Known::Elsewhere);
        assert_eq!(full.vip(&vip4(77)), Known::Elsewhere);
        assert_eq!(full.without(&keys[0]), None);
        assert_eq!(full.with(&keys[0], service(9)), vec![]);
    }
}

/// Whoever reads between two steps sees the line before or after, nothing else.
// Promise: E7
#[test]
fn each_step_is_the_line_before_or_after() {
    for vip in [vip4(1), vip6(1)] {
        let (old, new) = (key(vip, 80, 6), key(vip, 443, 6));
        let before = line(&[old]);
        for step in before.with(&new, service(2)) {
            assert_eq!(step.service(&old), Known::Here(service(1)));
            assert!([Known::Nowhere, Known::Here(service(2))].contains(&step.service(&new)));
        }
        let moved = before.with(&old, service(3));
        assert_eq!(moved.len(), 1);
        let words = |line: &Line| {
            line.0
                .iter()
                .zip(before.0)
                .filter(|(a, b)| **a != *b)
                .count()
        };
        assert_eq!(
            (words(&moved[0]), moved[0].service(&old)),
            (1, Known::Here(service(3)))
        );
        let gone = before.without(&old).unwrap();
        assert_eq!((words(&gone), gone.vip(&vip)), (1, Known::Nowhere));
        // Not taken by another before packets are through.
        let taken = gone.with(&new, service(2)).last().copied().unwrap();
        assert_eq!(
            taken.0[if vip.is_ipv4() { 4 } else { 6 }],
            service(1).word()
        );
        assert_eq!(gone.cleared(vip.is_ipv4()), Line::EMPTY);
    }
}

#[test]
fn addresses_spread_over_the_lines_of_their_family() {
    let mut lines = vec![0_u32; ALL_LINES as usize];
    for a in 0..16_u8 {
        for b in 0..=255 {
            lines[line_of(&Address::from_ipv4([198, 51, a, b])) as usize] += 1;
            let mut octets = [0; 16];
            (octets[0], octets[14], octets[15]) = (0x20, a, b);
            lines[line_of(&Address::from_ipv6(octets)) as usize] += 1;
        }
    }
    for (lines, most) in [
        (&lines[..LINES as usize], OF_IPV4),
        (&lines[LINES as usize..], OF_IPV6),
    ] {
        assert_eq!(lines.iter().sum::<u32>(), 4_096);
        let over: u32 = lines.iter().filter(|&&count| count as usize > most).sum();
        assert!(
            over < 4_096 / 2,
            "{over} of 4,096 addresses in full lines of {most}"
        );
    }
}
