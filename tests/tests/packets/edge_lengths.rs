//! Packets for a VIP whose headers say what can't be.

use anyhow::Result;
use balancer_common::Reason;

use crate::edge::{ENCAPSULATIONS, Site, sent};
use crate::frame::{BEHIND_IPV4, BEHIND_IPV6, IP, padded, put, tcp4, tcp6, udp4, udp6};
use crate::row::{Row, check};

// Promise: E8
#[test]
fn impossible_header_lengths_are_dropped() -> Result<()> {
    use Reason::BadHeaderLength;
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for ihl in 0..5 {
        let frame = put(tcp4().frame(), IP, &[0x40 | ihl]);
        rows.push(Row::met(BadHeaderLength, &format!("IHL {ihl}"), frame));
    }
    for version in [0, 3, 5, 6, 15] {
        let frame = put(udp4().frame(), IP, &[version << 4 | 5]);
        rows.push(Row::met(
            BadHeaderLength,
            &format!("version {version} as IPv4"),
            frame,
        ));
    }
    for version in [0, 4, 5, 7, 15] {
        let frame = put(tcp6().frame(), IP, &[version << 4]);
        rows.push(Row::met(
            BadHeaderLength,
            &format!("version {version} as IPv6"),
            frame,
        ));
    }
    for words in [0, 1, 2, 3, 4, 7, 15] {
        let name = format!("TCP data offset {words} in IPv4");
        let frame = put(tcp4().frame(), BEHIND_IPV4 + 12, &[words << 4]);
        rows.push(Row::met(BadHeaderLength, &name, frame));
        let name = format!("TCP data offset {words} in IPv6");
        let frame = put(tcp6().frame(), BEHIND_IPV6 + 12, &[words << 4]);
        rows.push(Row::met(BadHeaderLength, &name, frame));
    }
    // 20 bytes of header and 5 of payload, then padding, which is no place for options.
    let frame = put(padded(tcp4().frame(), 40), BEHIND_IPV4 + 12, &[0x70]);
    rows.push(Row::met(
        BadHeaderLength,
        "TCP options in the padding",
        frame,
    ));
    let frame = put(tcp4().payload(&[1; 4]).frame(), BEHIND_IPV4 + 12, &[0x60]);
    rows.push(sent("TCP data offset to the end", "gue44", "tcp", frame));
    check(&site, &rows)
}

// Promise: E8
#[test]
fn lying_lengths_are_dropped() -> Result<()> {
    use Reason::BadTotalLength;
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    let total = (tcp4().frame().len() - IP) as u16;
    for length in [0, 1, 19, 20, 39, total + 1, 1_500, 0x8000, 0xffff] {
        let frame = put(tcp4().frame(), 16, &length.to_be_bytes());
        rows.push(Row::met(
            BadTotalLength,
            &format!("total length {length}"),
            frame,
        ));
    }
    for length in [0, 1, 19, total - 20 + 1, 0x8000, 0xffff] {
        let frame = put(tcp6().frame(), 18, &length.to_be_bytes());
        rows.push(Row::met(
            BadTotalLength,
            &format!("payload length {length}"),
            frame,
        ));
    }
    for (at, frame) in [(BEHIND_IPV4, udp4().frame()), (BEHIND_IPV6, udp6().frame())] {
        let whole = (frame.len() - at) as u16;
        for length in [0, 1, 7, whole + 1, 0xffff] {
            let name = format!("UDP length {length} at {at}");
            let frame = put(frame.clone(), at + 4, &length.to_be_bytes());
            rows.push(Row::met(BadTotalLength, &name, frame));
        }
    }
    let seven = put(udp4().frame(), 16, &[0, 27]);
    rows.push(Row::met(BadTotalLength, "7 bytes of UDP", seven));
    let frame = put(padded(tcp4().frame(), 20), 16, &[0, 39]);
    rows.push(Row::met(
        BadTotalLength,
        "a TCP header that ends in the padding",
        frame,
    ));
    let frame = put(tcp4().frame(), IP, &[0x4f]);
    rows.push(Row::met(
        BadTotalLength,
        "options longer than the packet",
        frame,
    ));
    // A datagram shorter than its packet is no lie: the rest is padding (RFC 768).
    let frame = put(udp4().frame(), BEHIND_IPV4 + 4, &[0, 8]);
    rows.push(sent("UDP length 8", "gue44", "udp", frame));
    check(&site, &rows)
}
