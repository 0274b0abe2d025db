//! The alternates that an edge sends along, to the byte.

use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::wait_for;

use crate::counts::Counts;
use crate::edge::{FABRIC, Service, Site};
use crate::errors::{KINDS, about};
use crate::frame::{CLIENT_PORT, CLIENT_V4, IP, PORT, Packet, Transport, hex, put};
use crate::oracle;
use crate::row::{Out, Row, check};
use crate::run::Verdict;
use crate::too_large::told;

pub(crate) const SERVICES: &[Service] = &[
    ("second4", "198.51.100.41", "gue", &["10.1.0.41"]),
    ("second6", "2001:db8::42", "gue", &["fd00:1::41"]),
];

/// Makes `new` the owner of every slot of a service, in the place of `old`.
pub(crate) fn hand_over(site: &mut Site, service: &str, old: &str, new: &str) -> Result<()> {
    site.namespace.ip(&format!(
        "neigh replace {new} lladdr {FABRIC} dev eth0 nud permanent\n"
    ))?;
    site.change(&["backends", "add", service, new])?;
    // With no way to it yet, all would be its own for want of another, and nothing sent.
    owned(site, service, |address, slots| address != new || slots != 0)?;
    site.change(&["backends", "drain", service, old])?;
    owned(site, service, |address, slots| {
        (address == new) == (slots != 0)
    })
}

/// Waits until this holds of each of the service's backends and the number of its slots.
fn owned(site: &Site, service: &str, holds: impl Fn(&str, usize) -> bool) -> Result<()> {
    wait_for("the slots to move", Duration::from_secs(10), || {
        for backend in site.edge.backends()? {
            let holds = holds(&backend.address.to_string(), backend.slots);
            ensure!(backend.service.as_str() != service || holds, "{backend:?}");
        }
        Ok(())
    })
}

fn sent(name: &str, service: &str, backend: &str, frame: Vec<u8>, outer: &str) -> Row {
    let mut out = hex(outer);
    out.extend_from_slice(&frame[14..]);
    let bytes = oracle::ip_packet(&frame).map_or(0, <[u8]>::len);
    Row {
        name: format!("{service}: {name}"),
        frame,
        verdict: Verdict::Transmit,
        out: Out::Exactly(out),
        counted: Counts::backend(service, backend, bytes),
    }
}

// Promise: M2
#[test]
fn one_two_and_three_alternates_travel_in_exactly_these_bytes() -> Result<()> {
    let mut site = Site::new(SERVICES)?;
    let (v4, v6) = (Packet::tcp("198.51.100.41"), Packet::tcp("2001:db8::42"));
    for (count, outer4, outer6) in [
        (
            1,
            "020000000101 020000000002 0800 | 45000055 00004000 4011266b 0a010002 0a01002a \
             | eeb8 17c0 0041 0000 | 02040000 | 01010000 0a010029",
            "020000000101 020000000002 86dd | 60054a88 0061 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000042 | eee1 17c0 0061 0000 | 05290000 | 01010000 \
             fd000001000000000000000000000041",
        ),
        (
            2,
            "020000000101 020000000002 0800 | 45000059 00004000 40112666 0a010002 0a01002b \
             | eeb8 17c0 0045 0000 | 03040000 | 01020000 0a01002a 0a010029",
            "020000000101 020000000002 86dd | 60054a88 0071 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000043 | eee1 17c0 0071 0000 | 09290000 | 01020000 \
             fd000001000000000000000000000042 \
             fd000001000000000000000000000041",
        ),
        (
            3,
            "020000000101 020000000002 0800 | 4500005d 00004000 40112661 0a010002 0a01002c \
             | eeb8 17c0 0049 0000 | 04040000 | 01030000 0a01002b 0a01002a 0a010029",
            "020000000101 020000000002 86dd | 60054a88 0081 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000044 | eee1 17c0 0081 0000 | 0d290000 | 01030000 \
             fd000001000000000000000000000043 \
             fd000001000000000000000000000042 \
             fd000001000000000000000000000041",
        ),
        // Older than the three newest is nobody.
        (
            4,
            "020000000101 020000000002 0800 | 4500005d 00004000 40112660 0a010002 0a01002d \
             | eeb8 17c0 0049 0000 | 04040000 | 01030000 0a01002c 0a01002b 0a01002a",
            "020000000101 020000000002 86dd | 60054a88 0081 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000045 | eee1 17c0 0081 0000 | 0d290000 | 01030000 \
             fd000001000000000000000000000044 \
             fd000001000000000000000000000043 \
             fd000001000000000000000000000042",
        ),
    ] {
        let host = |family: &str, n: usize| format!("{family}4{n}");
        let (old4, new4) = (host("10.1.0.", count), host("10.1.0.", count + 1));
        let (old6, new6) = (host("fd00:1::", count), host("fd00:1::", count + 1));
        hand_over(&mut site, "second4-tcp", &old4, &new4)?;
        hand_over(&mut site, "second6-tcp", &old6, &new6)?;
        let name = format!("{count} earlier owners");
        let rows = [
            sent(&name, "second4-tcp", &new4, v4.frame(), outer4),
            sent(&name, "second6-tcp", &new6, v6.frame(), outer6),
        ];
        check(&site, &rows)?;
    }
    Ok(())
}

// Promise: M2
#[test]
fn what_belongs_to_no_connection_carries_no_alternates() -> Result<()> {
    let mut site = Site::new(SERVICES)?;
    hand_over(&mut site, "second4-tcp", "10.1.0.41", "10.1.0.42")?;
    hand_over(&mut site, "second4-udp", "10.1.0.41", "10.1.0.42")?;
    let tcp = Packet::tcp("198.51.100.41").frame();
    let private = |frame: Vec<u8>| -> Result<Vec<u8>> {
        let ran = site.run(&[frame])?.remove(0);
        assert_eq!(ran.verdict, Verdict::Transmit);
        let outer = oracle::encapsulated(&ran.frame).map_err(anyhow::Error::msg)?;
        Ok(outer.private)
    };
    let one = [1, 1, 0, 0, 10, 1, 0, 41];
    for (what, flags, expected) in [
        ("SYN", 0x02, &[][..]),
        ("SYN with ECN", 0xc2, &[]),
        ("ACK", 0x10, &one),
        ("data", 0x18, &one),
        ("FIN", 0x11, &one),
        ("RST", 0x04, &one),
        ("SYN-ACK", 0x12, &one),
    ] {
        assert_eq!(private(put(tcp.clone(), 47, &[flags]))?, expected, "{what}");
    }
    assert_eq!(private(Packet::udp("198.51.100.41").frame())?, [0; 0]);
    Ok(())
}

/// An error goes the way of the client's packets: the connection that it is about may be anywhere on it.
// Promise: E15
#[test]
fn an_error_about_a_connection_carries_its_alternates() -> Result<()> {
    let mut site = Site::new(SERVICES)?;
    hand_over(&mut site, "second4-tcp", "10.1.0.41", "10.1.0.42")?;
    hand_over(&mut site, "second4-udp", "10.1.0.41", "10.1.0.42")?;
    let vip = "198.51.100.41";
    for (what, transport, expected) in [
        ("TCP", Transport::Tcp, &[1, 1, 0, 0, 10, 1, 0, 41][..]),
        ("UDP", Transport::Udp, &[]),
    ] {
        let sent = Packet::new(transport, CLIENT_V4).from(vip);
        let sent = sent.ports(PORT, CLIENT_PORT).payload(&[3; 100]).frame();
        for kind in KINDS {
            let ran = site.run(&[about(*kind, vip, &sent[IP..], 28)])?.remove(0);
            assert_eq!(ran.verdict, Verdict::Transmit);
            let outer = oracle::encapsulated(&ran.frame).map_err(anyhow::Error::msg)?;
            assert_eq!(outer.private, expected, "{kind:?} about {what}");
        }
    }
    Ok(())
}

/// The interface takes 1,600 bytes; outer header and private data are 40.
// Promise: M2
#[test]
fn what_does_not_fit_with_its_alternates_is_not_sent() -> Result<()> {
    let mut site = Site::new(SERVICES)?;
    hand_over(&mut site, "second4-tcp", "10.1.0.41", "10.1.0.42")?;
    let of = |bytes: usize| {
        let packet = Packet::tcp("198.51.100.41").payload(&vec![7; bytes - 40]);
        packet.frame()
    };
    let longest = Counts::backend("second4-tcp", "10.1.0.42", 1_560);
    let syn = put(of(1_568), 47, &[0x02]);
    let rows = [
        Row::sent("the longest", of(1_560), longest),
        told("a byte more", of(1_561), 1_552),
        // A SYN goes without.
        Row::sent(
            "a SYN",
            syn,
            Counts::backend("second4-tcp", "10.1.0.42", 1_568),
        ),
    ];
    check(&site, &rows)
}

// Promise: M2
#[test]
fn who_cannot_be_reached_does_not_travel() -> Result<()> {
    let mut site = Site::new(SERVICES)?;
    hand_over(&mut site, "second4-tcp", "10.1.0.41", "10.1.0.42")?;
    hand_over(&mut site, "second4-tcp", "10.1.0.42", "10.1.0.43")?;
    // Of the other family.
    hand_over(&mut site, "second4-tcp", "10.1.0.43", "fd00:1::44")?;
    hand_over(&mut site, "second4-tcp", "fd00:1::44", "10.1.0.45")?;
    let private = |site: &Site| -> Result<Vec<u8>> {
        let ran = site.run(&[Packet::tcp("198.51.100.41").frame()])?.remove(0);
        assert_eq!(ran.verdict, Verdict::Transmit);
        let outer = oracle::encapsulated(&ran.frame).map_err(anyhow::Error::msg)?;
        Ok(outer.private)
    };
    let two = [1, 2, 0, 0, 10, 1, 0, 43, 10, 1, 0, 42];
    assert_eq!(private(&site)?, two);
    site.change(&["backends", "remove", "second4-tcp", "10.1.0.43", "--now"])?;
    assert_eq!(private(&site)?, [1, 1, 0, 0, 10, 1, 0, 42]);
    Ok(())
}
