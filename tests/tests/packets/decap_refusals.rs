//! Encapsulated packets that an instance's agent refuses.

use anyhow::Result;
use balancer_common::Reason;

use crate::agent::{Decap, EDGE_V4, OWN_V4, Site};
use crate::decap::opened;
use crate::frame::{Packet, put, summed};
use crate::outer::{Outer, inner4, inner6};
use crate::row::{Row, check};

// Promise: A1
#[test]
fn only_edges_may_send_and_only_to_vips() -> Result<()> {
    use Reason::{InnerNotForVip, SourceNotAllowed};
    let mut rows = Vec::new();
    for outer in Outer::ALL {
        let frame = outer.around(&inner4());
        // The last address of the prefix, the first behind it, and one far away.
        let (at, sources): (usize, [&[u8]; 3]) = match outer.is_ipv4() {
            true => (26, [&[10, 1, 0, 15], &[10, 1, 0, 16], &[192, 0, 2, 9]]),
            false => (37, [&[0x0f], &[0x10], &[0xff]]),
        };
        let frame = |source| match outer.is_ipv4() {
            true => summed(put(frame.clone(), at, source)),
            false => put(frame.clone(), at, source),
        };
        rows.push(opened(
            format!("the prefix's last, {outer:?}"),
            frame(sources[0]),
            inner4(),
        ));
        for source in &sources[1..] {
            let name = format!("{source:?} by {outer:?}");
            rows.push(Row::met(SourceNotAllowed, &name, frame(source)));
        }
        for other in [
            "198.51.100.11",
            "2001:db8::11",
            OWN_V4,
            "::ffff:198.51.100.10",
        ] {
            let frame = outer.around(&Packet::tcp(other).frame());
            rows.push(Row::met(
                InnerNotForVip,
                &format!("{other} by {outer:?}"),
                frame,
            ));
        }
    }
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0, 2];
    let frame = put(Outer::Ipv6.around(&inner4()), 22, &mapped);
    rows.push(Row::met(
        SourceNotAllowed,
        "an edge's IPv4 address in an IPv6 header",
        frame,
    ));
    check(&Decap(Site::crowded()?), &rows)?;
    check(&Decap(Site::new()?), &rows)
}

// Promise: A4
#[test]
fn broken_outer_headers_are_dropped() -> Result<()> {
    use Reason::BadOuterHeader;
    let mut rows = Vec::new();
    let plain4 = Outer::Ipv4.around(&inner4());
    let gue4 = Outer::GueIpv4.around(&inner4());
    let whole = (gue4.len() - 14) as u16;
    for (name, bits) in [("first", 0x2000_u16), ("middle", 0x2008), ("last", 0x0010)] {
        let of = |frame: &Vec<u8>| put(frame.clone(), 20, &bits.to_be_bytes());
        rows.push(Row::met(
            BadOuterHeader,
            &format!("the {name} fragment of IPIP"),
            of(&plain4),
        ));
    }
    let first = put(gue4.clone(), 20, &[0x20, 0]);
    rows.push(Row::met(BadOuterHeader, "the first fragment of GUE", first));
    // A later one has no port: that it is GUE is not to be seen.
    let last = put(gue4.clone(), 20, &[0, 1]);
    rows.push(Row::met(
        Reason::NotEncapsulated,
        "a later fragment of GUE",
        last,
    ));
    for length in [0, 19, whole + 1, 0xffff] {
        for frame in [&plain4, &gue4] {
            let name = format!("total length {length}");
            let frame = put(frame.clone(), 16, &length.to_be_bytes());
            rows.push(Row::met(BadOuterHeader, &name, frame));
        }
    }
    let options = put(put(plain4, 14, &[0x4f]), 16, &[0, 40]);
    rows.push(Row::met(
        BadOuterHeader,
        "options longer than the packet",
        options,
    ));
    for outer in [Outer::Ipv6, Outer::GueIpv6] {
        let frame = outer.around(&inner6());
        let whole = (frame.len() - 54) as u16;
        for length in [whole + 1, 0xffff] {
            let name = format!("payload length {length} of {outer:?}");
            let frame = put(frame.clone(), 18, &length.to_be_bytes());
            rows.push(Row::met(BadOuterHeader, &name, frame));
        }
    }
    for (outer, at) in [(Outer::GueIpv4, 38), (Outer::GueIpv6, 58)] {
        let frame = outer.around(&inner4());
        let whole = (frame.len() - at + 4) as u16;
        for length in [0, 7, 8, 12, whole - 1, whole + 1, 0xffff] {
            let name = format!("UDP length {length} of {outer:?}");
            let frame = put(frame.clone(), at, &length.to_be_bytes());
            rows.push(Row::met(BadOuterHeader, &name, frame));
        }
    }
    check(&Decap(Site::new()?), &rows)
}

// Promise: A4
#[test]
fn gue_that_no_edge_sends_is_dropped() -> Result<()> {
    let mut rows = Vec::new();
    for (outer, at) in [(Outer::GueIpv4, 42), (Outer::GueIpv6, 62)] {
        for (name, header) in [
            ("variant 1", [0x40, 4, 0, 0]),
            ("variant 2", [0x80, 4, 0, 0]),
            ("variant 3", [0xc0, 4, 0, 0]),
            (
                "IPv4 without a header, as variant 1 has it",
                [0x45, 0, 0, 45],
            ),
            ("a control message", [0x20, 4, 0, 0]),
            ("the first flag", [0, 4, 0x80, 0]),
            ("the last flag", [0, 4, 0, 1]),
            ("private data beyond the packet", [0x1f, 4, 0, 0]),
            ("private data a word beyond the packet", [0x0c, 4, 0, 0]),
            ("TCP without IP", [0, 6, 0, 0]),
            ("no next header", [0, 59, 0, 0]),
        ] {
            let frame = put(outer.around(&inner4()), at, &header);
            rows.push(Row::met(
                Reason::BadGueHeader,
                &format!("{name}, {outer:?}"),
                frame,
            ));
        }
    }
    let bare = Packet::udp(OWN_V4).from(EDGE_V4).ports(1, 6080);
    for bytes in 0..4 {
        let frame = bare.clone().payload(&vec![0; bytes]).frame();
        let name = format!("a datagram of {bytes} bytes");
        rows.push(Row::met(Reason::BadGueHeader, &name, frame));
    }
    check(&Decap(Site::new()?), &rows)
}

// Promise: A4
#[test]
fn broken_inner_packets_are_dropped() -> Result<()> {
    use Reason::BadInnerHeader;
    let mut rows = Vec::new();
    for outer in Outer::ALL {
        let mut spoil = |name: &str, inner: &[u8], at: usize, bytes: &[u8]| {
            // The outer header is that of the sound packet.
            let frame = outer.around(inner);
            let inner_at = frame.len() - (inner.len() - 14);
            let name = format!("{name}, {outer:?}");
            rows.push(Row::met(
                BadInnerHeader,
                &name,
                put(frame, inner_at + at, bytes),
            ));
        };
        let whole4 = (inner4().len() - 14) as u16;
        let whole6 = (inner6().len() - 54) as u16;
        spoil("version 6 as IPv4", &inner4(), 0, &[0x65]);
        spoil("version 4 as IPv6", &inner6(), 0, &[0x45]);
        for ihl in 0..5 {
            spoil(&format!("IHL {ihl}"), &inner4(), 0, &[0x40 | ihl]);
        }
        spoil("IHL 15", &inner4(), 0, &[0x4f]);
        for length in [0, 19, whole4 + 1, 0xffff] {
            let bytes = length.to_be_bytes();
            spoil(&format!("total length {length}"), &inner4(), 2, &bytes);
        }
        for length in [whole6 + 1, 0xffff] {
            let bytes = length.to_be_bytes();
            spoil(&format!("payload length {length}"), &inner6(), 4, &bytes);
        }
    }
    for (outer, at) in [(Outer::GueIpv4, 43), (Outer::GueIpv6, 63)] {
        let frame = put(outer.around(&inner4()), at, &[41]);
        rows.push(Row::met(
            BadInnerHeader,
            &format!("IPv4 told as IPv6, {outer:?}"),
            frame,
        ));
        let frame = put(outer.around(&inner6()), at, &[4]);
        rows.push(Row::met(
            BadInnerHeader,
            &format!("IPv6 told as IPv4, {outer:?}"),
            frame,
        ));
    }
    check(&Decap(Site::new()?), &rows)
}
