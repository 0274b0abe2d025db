//! Every outer header, to the byte.

use anyhow::Result;

use crate::edge::{ENCAPSULATIONS, Site, sent, to, vip};
use crate::frame::{IP, Packet, hex, padded, put, summed};
use crate::oracle;
use crate::row::{Out, Row, check};
use crate::run::Verdict;

/// The packet comes out behind these headers, Ethernet's included: next hop's MAC, own MAC, type,
/// then IP, then UDP and GUE where there are any.
fn row(name: &str, service: &str, protocol: &str, frame: Vec<u8>, outer: &str) -> Row {
    let mut out = hex(outer);
    out.extend_from_slice(&frame[14..]);
    let bytes = oracle::ip_packet(&frame).map_or(0, <[u8]>::len);
    Row {
        name: format!("{service} {protocol}: {name}"),
        frame,
        verdict: Verdict::Transmit,
        out: Out::Exactly(out),
        counted: to(service, protocol, bytes),
    }
}

fn packet(service: &str, protocol: &str) -> Packet {
    match protocol {
        "tcp" => Packet::tcp(vip(service)),
        _ => Packet::udp(vip(service)),
    }
}

// Promise: E9
#[test]
fn each_encapsulation_carries_tcp_and_udp_in_exactly_these_bytes() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let rows: Vec<Row> = [
        (
            "gue44",
            "tcp",
            "020000000101 020000000002 0800 | 4500004d 00004000 40112692 0a010002 0a01000b \
             | d499 17c0 0039 0000 | 00040000",
        ),
        (
            "gue44",
            "udp",
            "020000000101 020000000002 0800 | 45000041 00004000 4011269e 0a010002 0a01000b \
             | cb6c 17c0 002d 0000 | 00040000",
        ),
        (
            "gue46",
            "tcp",
            "020000000101 020000000002 86dd | 6007d0c7 0039 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000012 | c1b5 17c0 0039 0000 | 00040000",
        ),
        (
            "gue46",
            "udp",
            "020000000101 020000000002 86dd | 6009f345 002d 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000012 | d041 17c0 002d 0000 | 00040000",
        ),
        (
            "gue64",
            "tcp",
            "020000000101 020000000002 0800 | 45000061 00004000 4011267c 0a010002 0a01000d \
             | d6cf 17c0 004d 0000 | 00290000",
        ),
        (
            "gue64",
            "udp",
            "020000000101 020000000002 0800 | 45000055 00004000 40112688 0a010002 0a01000d \
             | f3c3 17c0 0041 0000 | 00290000",
        ),
        (
            "gue66",
            "tcp",
            "020000000101 020000000002 86dd | 6001304d 004d 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000014 | dbb8 17c0 004d 0000 | 00290000",
        ),
        (
            "gue66",
            "udp",
            "020000000101 020000000002 86dd | 600d994b 0041 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000014 | f896 17c0 0041 0000 | 00290000",
        ),
        (
            "ipip",
            "tcp",
            "020000000101 020000000002 0800 | 45000041 00004000 400426a7 0a010002 0a01000f",
        ),
        (
            "ipip",
            "udp",
            "020000000101 020000000002 0800 | 45000035 00004000 400426b3 0a010002 0a01000f",
        ),
        (
            "ip6ip6",
            "tcp",
            "020000000101 020000000002 86dd | 60058cad 0041 29 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000016",
        ),
        (
            "ip6ip6",
            "udp",
            "020000000101 020000000002 86dd | 600d346a 0035 29 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000016",
        ),
        (
            "ip4in6",
            "tcp",
            "020000000101 020000000002 86dd | 60004c96 002d 04 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000017",
        ),
        (
            "ip4in6",
            "udp",
            "020000000101 020000000002 86dd | 60010f86 0021 04 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000017",
        ),
    ]
    .into_iter()
    .map(|(service, protocol, outer)| {
        let frame = packet(service, protocol).frame();
        row("plain", service, protocol, frame, outer)
    })
    .collect();
    check(&site, &rows)
}

// Promise: E9
#[test]
fn type_of_service_and_traffic_class_are_copied_outside() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    // Expedited forwarding, ECN-capable; all ones; congestion experienced.
    for (service, tos, outer) in [
        (
            "gue44",
            0xb9,
            "020000000101 020000000002 0800 | 45b9004d 00004000 401125d9 0a010002 0a01000b \
             | d499 17c0 0039 0000 | 00040000",
        ),
        (
            "gue46",
            0xff,
            "020000000101 020000000002 86dd | 6ff7d0c7 0039 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000012 | c1b5 17c0 0039 0000 | 00040000",
        ),
        (
            "gue64",
            0x03,
            "020000000101 020000000002 0800 | 45030061 00004000 40112679 0a010002 0a01000d \
             | d6cf 17c0 004d 0000 | 00290000",
        ),
        (
            "gue66",
            0xb9,
            "020000000101 020000000002 86dd | 6b91304d 004d 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000014 | dbb8 17c0 004d 0000 | 00290000",
        ),
        (
            "ipip",
            0xff,
            "020000000101 020000000002 0800 | 45ff0041 00004000 400425a8 0a010002 0a01000f",
        ),
        (
            "ip6ip6",
            0x03,
            "020000000101 020000000002 86dd | 60358cad 0041 29 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000016",
        ),
        (
            "ip4in6",
            0xb9,
            "020000000101 020000000002 86dd | 6b904c96 002d 04 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000017",
        ),
    ] {
        let frame = packet(service, "tcp").tos(tos).frame();
        rows.push(row(&format!("TOS {tos:#x}"), service, "tcp", frame, outer));
    }
    check(&site, &rows)
}

/// Options change lengths, not the flow: the source port is that of the packet without them.
// Promise: E9
#[test]
fn ipv4_options_travel_inside() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let with = |protocol, words: usize| {
        let mut options = vec![1; words * 4];
        options[words * 4 - 1] = 0;
        packet("gue44", protocol).options(&options).frame()
    };
    let rows = [
        row(
            "one word of options",
            "gue44",
            "tcp",
            with("tcp", 1),
            "020000000101 020000000002 0800 | 45000051 00004000 4011268e 0a010002 0a01000b \
             | d499 17c0 003d 0000 | 00040000",
        ),
        row(
            "ten words of options",
            "gue44",
            "udp",
            with("udp", 10),
            "020000000101 020000000002 0800 | 45000069 00004000 40112676 0a010002 0a01000b \
             | cb6c 17c0 0055 0000 | 00040000",
        ),
    ];
    check(&site, &rows)
}

/// Ethernet fills a short packet up to 60 bytes: the outer lengths must not count what it added.
// Promise: E9
#[test]
fn padding_behind_a_short_packet_is_not_encapsulated() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let bare = |service, protocol| packet(service, protocol).payload(&[]).frame();
    let rows = [
        row(
            "6 bytes of padding",
            "gue44",
            "tcp",
            padded(bare("gue44", "tcp"), 6),
            "020000000101 020000000002 0800 | 45000048 00004000 40112697 0a010002 0a01000b \
             | d499 17c0 0034 0000 | 00040000",
        ),
        row(
            "18 bytes of padding",
            "ipip",
            "udp",
            padded(bare("ipip", "udp"), 18),
            "020000000101 020000000002 0800 | 45000030 00004000 400426b8 0a010002 0a01000f",
        ),
        row(
            "a byte of padding",
            "gue66",
            "udp",
            padded(bare("gue66", "udp"), 1),
            "020000000101 020000000002 86dd | 600d994b 003c 11 40 fd000001000000000000000000000002 \
             fd000001000000000000000000000014 | f896 17c0 003c 0000 | 00290000",
        ),
    ];
    check(&site, &rows)
}

// Promise: E10
#[test]
fn packets_leave_by_the_backends_interface_and_to_its_gateway() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let routed = row(
        "by the gateway's MAC",
        "routed",
        "tcp",
        packet("routed", "tcp").frame(),
        "020000000102 020000000002 0800 | 4500004d 00004000 40112688 0a010002 0a030013 \
         | fc38 17c0 0039 0000 | 00040000",
    );
    let elsewhere = Row {
        verdict: Verdict::Redirect,
        ..row(
            "by the other interface, from its address",
            "elsewhere",
            "udp",
            packet("elsewhere", "udp").frame(),
            "020000000201 020000000003 0800 | 45000041 00004000 40112695 0a020002 0a020012 \
             | d6fa 17c0 002d 0000 | 00040000",
        )
    };
    check(&site, &[routed, elsewhere])
}

/// Folded once, the sum of this header's words is 10000, and only folded again 1.
#[test]
fn a_header_checksum_may_carry_twice() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let row = row(
        "1ffff",
        "carry",
        "tcp",
        packet("carry", "tcp").frame(),
        "020000000102 020000000002 0800 | 4500004d 00004000 4011fffe 0a010002 ac1f847f \
         | f07c 17c0 0039 0000 | 00040000",
    );
    check(&site, &[row])
}

/// 1,600 flows: the outer source port differs from flow to flow, and stays with a flow.
// Promise: E10
#[test]
fn the_outer_source_port_is_the_flows_own() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let port_of = |ran: &crate::run::Ran| {
        let outer = oracle::encapsulated(&ran.frame).map_err(anyhow::Error::msg)?;
        outer.source_port.ok_or_else(|| anyhow::anyhow!("no UDP"))
    };
    let flows = |payload: &[u8]| -> Vec<Vec<u8>> {
        (0..1_600)
            .map(|flow| {
                packet("gue44", "tcp")
                    .ports(20_000 + flow, 8_000)
                    .payload(payload)
                    .frame()
            })
            .collect()
    };
    let first: Result<Vec<u16>> = site.run(&flows(b"one"))?.iter().map(port_of).collect();
    let again: Result<Vec<u16>> = site
        .run(&flows(b"two, longer"))?
        .iter()
        .map(port_of)
        .collect();
    let (first, again) = (first?, again?);
    assert_eq!(first, again);
    let ports: std::collections::BTreeSet<u16> = first.into_iter().collect();
    // Of 16,384 ports, 1,600 draws meet about 1,525 different ones.
    assert!(ports.len() > 1_450, "{} ports", ports.len());
    Ok(())
}

/// The VIP ends here as far as the sender is concerned: no router follows that would count.
// Promise: E9
#[test]
fn a_packet_at_the_end_of_its_ttl_is_sent_as_it_came() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for ttl in [0, 1] {
        for (name, vip, ..) in ENCAPSULATIONS.iter().filter(|s| s.0 != "elsewhere") {
            let frame = Packet::tcp(vip).frame();
            let frame = match vip.contains(':') {
                true => put(frame, IP + 7, &[ttl]),
                false => summed(put(frame, IP + 8, &[ttl])),
            };
            rows.push(sent(&format!("{name}, TTL {ttl}"), name, "tcp", frame));
        }
    }
    check(&site, &rows)
}
