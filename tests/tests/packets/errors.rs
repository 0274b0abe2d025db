//! ICMP and ICMPv6 errors about packets of a VIP.

use anyhow::Result;
use balancer_common::Reason;

use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Service, Site, sent, vip};
use crate::frame::{
    BEHIND_IPV4, BEHIND_IPV6, CLIENT_PORT, CLIENT_V4, CLIENT_V6, IP, PORT, Packet, Transport, put,
};
use crate::oracle;
use crate::row::{Row, check};
use crate::run::Verdict;
use crate::tags::tagged;

/// Several backends each, so that a flow's own one is to be found.
const SEVERAL: &[Service] = &[
    (
        "errors4",
        "198.51.100.51",
        "gue",
        &["10.1.0.51", "10.1.0.52", "10.1.0.53", "10.1.0.54"],
    ),
    (
        "errors6",
        "2001:db8::52",
        "ip6ip6",
        &["fd00:1::51", "fd00:1::52", "fd00:1::53", "fd00:1::54"],
    ),
];

/// Unreachable, fragmentation needed, time exceeded, parameter problem.
pub(crate) const KINDS: &[[u8; 6]] = &[
    [3, 1, 0, 0, 0, 0],
    [3, 4, 0, 0, 5, 0xdc],
    [11, 0, 0, 0, 0, 0],
    [12, 0, 20, 0, 0, 0],
];
/// Unreachable, packet too big, time exceeded, parameter problem.
pub(crate) const KINDS_V6: &[[u8; 6]] = &[
    [1, 3, 0, 0, 0, 0],
    [2, 0, 0, 0, 5, 0xdc],
    [3, 0, 0, 0, 0, 0],
    [4, 1, 0, 0, 0, 40],
];

/// An answer of the VIP to the client's port.
fn answer(transport: Transport, vip: &str, client_port: u16) -> Packet {
    let client = if vip.contains(':') {
        CLIENT_V6
    } else {
        CLIENT_V4
    };
    let packet = Packet::new(transport, client).from(vip);
    packet.ports(PORT, client_port).payload(&[3; 100])
}

/// A router's error of this kind that quotes so many bytes of an IP packet to it.
pub(crate) fn about(kind: [u8; 6], vip: &str, packet: &[u8], bytes: usize) -> Vec<u8> {
    let router = if vip.contains(':') {
        "fd00:9::1"
    } else {
        "203.0.113.1"
    };
    let error = Packet::new(Transport::Icmp(kind), vip).from(router);
    error.payload(&packet[..bytes]).frame()
}

/// Samples for frames that something goes wrong with.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (vip, kinds, header) in [(vip("gue44"), KINDS, 20), (vip("gue66"), KINDS_V6, 40)] {
        let quoted = answer(Transport::Tcp, vip, CLIENT_PORT).frame();
        frames.push(about(kinds[1], vip, &quoted[IP..], header + 8));
        frames.push(about(kinds[0], vip, &quoted[IP..], header + 20));
    }
    frames
}

// Promise: E15
#[test]
fn an_error_goes_where_the_flow_goes_that_it_quotes() -> Result<()> {
    let site = Site::new(SEVERAL)?;
    let (mut flows, mut errors) = (Vec::new(), Vec::new());
    for (vip, kinds, header) in [(SEVERAL[0].1, KINDS, 20), (SEVERAL[1].1, KINDS_V6, 40)] {
        for transport in [Transport::Tcp, Transport::Udp] {
            for n in 0..64 {
                let port = 10_000 + n * 7;
                let quoted = answer(transport, vip, port).frame();
                for (kind, bytes) in kinds.iter().zip([8, 8, 20, 60]) {
                    let flow = Packet::new(transport, vip).ports(port, PORT);
                    flows.push(flow.frame());
                    errors.push(about(*kind, vip, &quoted[IP..], header + bytes));
                }
            }
        }
    }
    let before = site.counts()?;
    let expected = site.run(&flows)?;
    let between = site.counts()?;
    let ran = site.run(&errors)?;
    let mut ways = std::collections::BTreeSet::new();
    for ((frame, ran), expected) in errors.iter().zip(&ran).zip(&expected) {
        assert_eq!(ran.verdict, Verdict::Transmit);
        oracle::judge(frame, ran).map_err(anyhow::Error::msg)?;
        assert_eq!(site.model().decide(frame).ran, *ran);
        let way = |frame: &[u8]| oracle::way(frame).map_err(anyhow::Error::msg);
        assert_eq!(way(&ran.frame)?, way(&expected.frame)?);
        ways.insert(way(&ran.frame)?.0);
    }
    assert_eq!(ways.len(), 8, "each backend was reached");
    // Counted at the same backends, too.
    let packets = |counts: Counts| counts.only("packets");
    let (flows, errors) = (between.since(&before), site.counts()?.since(&between));
    assert_eq!(packets(flows), packets(errors));
    Ok(())
}

// Promise: E15
#[test]
fn an_error_travels_like_any_packet() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for (name, vip, _, _) in ENCAPSULATIONS.iter().filter(|s| s.0 != "elsewhere") {
        let (kind, header) = match vip.contains(':') {
            true => (KINDS_V6[1], 40),
            false => (KINDS[1], 20),
        };
        for (protocol, transport) in [("tcp", Transport::Tcp), ("udp", Transport::Udp)] {
            let quoted = answer(transport, vip, CLIENT_PORT).frame();
            let error = about(kind, vip, &quoted[IP..], header + 8);
            let what = format!("{name} {protocol}");
            rows.push(sent(&what, name, protocol, error.clone()));
            let error = tagged(error, &[0x81, 0, 0, 7]);
            rows.push(sent(&format!("{what}, tagged"), name, protocol, error));
        }
    }
    // Options of the error and of what it quotes.
    let vip = vip("gue44");
    let quoted = answer(Transport::Tcp, vip, CLIENT_PORT).options(&[1; 12]);
    let error = Packet::new(Transport::Icmp(KINDS[0]), vip).options(&[1; 8]);
    let error = error.payload(&quoted.frame()[IP..][..40]).frame();
    rows.push(sent("options", "gue44", "tcp", error));
    check(&site, &rows)
}

/// An answer of the VIP in a fragment: these are offset and flags of its fragment header, whose next header is `protocol`.
fn fragment(vip: &str, protocol: u8, offset: u16) -> Vec<u8> {
    let whole = answer(Transport::Tcp, vip, CLIENT_PORT).frame();
    let (length, mut frame) = ((whole.len() - BEHIND_IPV6 + 8) as u16, whole);
    let [high, low] = offset.to_be_bytes();
    let header = [protocol, 0, high, low, 0, 0, 0, 7];
    frame.splice(BEHIND_IPV6..BEHIND_IPV6, header);
    put(put(frame, IP + 4, &length.to_be_bytes()), IP + 6, &[44])
}

/// A VIP's host may send its answers in fragments, and its router may put the header of one around a whole packet (RFC 6145).
// Promise: E15
#[test]
fn an_icmpv6_error_about_a_fragment_finds_its_flow_by_the_first_one_only() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for service in ["gue66", "ip6ip6"] {
        let vip = vip(service);
        for kind in KINDS_V6 {
            for (what, offset) in [("whole", 0), ("the first", 1)] {
                let quoted = fragment(vip, 6, offset);
                let error = about(*kind, vip, &quoted[IP..], 48 + 8);
                let name = format!("{what}, {service}, {kind:?}");
                rows.push(sent(&name, service, "tcp", error));
            }
            let mut dropped = |what: &str, quoted: Vec<u8>, bytes| {
                let error = about(*kind, vip, &quoted[IP..], bytes);
                let name = format!("{what}, {service}, {kind:?}");
                rows.push(Row::met(Reason::BadQuote, &name, error));
            };
            for offset in [8, 9, 0x100, 0xfff8] {
                let quoted = fragment(vip, 6, offset);
                dropped("a later one", quoted, 48 + 60);
            }
            dropped("seven bytes of it", fragment(vip, 6, 1), 48 + 7);
            dropped("half its header", fragment(vip, 6, 1), 40 + 3);
            dropped("its header only", fragment(vip, 6, 1), 48);
            dropped("of a ping", fragment(vip, 58, 1), 48 + 8);
            let short = put(fragment(vip, 6, 1), IP + 4, &[0, 8 + 7]);
            dropped("too short for ports", short, 48 + 8);
            let other = put(fragment(vip, 6, 1), IP + 23, &[0xee]);
            dropped("another VIP's", other, 48 + 8);
        }
    }
    check(&site, &rows)
}

// Promise: E15
#[test]
fn an_error_that_quotes_no_flow_of_the_vip_is_dropped() -> Result<()> {
    use Reason::{BadQuote, BadTotalLength, Fragment, UndeclaredPort, UnsupportedProtocol};
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for (vip, other, kinds, header) in [
        (vip("gue44"), vip("ipip"), KINDS, 20),
        (vip("gue66"), vip("ip6ip6"), KINDS_V6, 40),
    ] {
        let quoted = answer(Transport::Tcp, vip, CLIENT_PORT);
        let frame = quoted.frame();
        let packet = &frame[IP..];
        let whole = about(kinds[0], vip, packet, header + 8);
        let mut met = |reason, what: &str, frame: Vec<u8>| {
            rows.push(Row::met(reason, &format!("{what}, {header}"), frame));
        };
        let of = |packet: &Packet| about(kinds[0], vip, &packet.frame()[IP..], header + 8);
        met(BadQuote, "another VIP's", of(&quoted.clone().from(other)));
        let quote = IP + header + 8;
        met(
            BadQuote,
            "seven bytes",
            about(kinds[0], vip, packet, header + 7),
        );
        met(BadQuote, "half a header", about(kinds[0], vip, packet, 12));
        met(BadQuote, "nothing", about(kinds[0], vip, packet, 0));
        let (at, short) = if header == 20 { (2, 27) } else { (4, 7) };
        met(
            BadQuote,
            "of a packet too short for ports",
            put(whole.clone(), quote + at, &[0, short]),
        );
        met(BadQuote, "version 0", put(whole.clone(), quote, &[5]));
        let protocol = if header == 20 { 9 } else { 6 };
        let icmp = put(
            whole.clone(),
            quote + protocol,
            &[if header == 20 { 1 } else { 58 }],
        );
        met(BadQuote, "a ping", icmp);
        met(
            UndeclaredPort,
            "of another port",
            of(&quoted.clone().ports(22, CLIENT_PORT)),
        );
        // The ports as the client's own packets have them.
        met(
            UndeclaredPort,
            "the wrong way round",
            of(&quoted.clone().ports(CLIENT_PORT, PORT)),
        );
        let redirect = if header == 20 { 5 } else { 137 };
        met(
            UnsupportedProtocol,
            "a redirect",
            put(whole.clone(), IP + header, &[redirect]),
        );
        met(BadTotalLength, "cut off", whole[..whole.len() - 1].to_vec());
        if header == 20 {
            met(
                BadQuote,
                "a later fragment",
                put(whole.clone(), quote + 6, &[0, 9]),
            );
            met(
                BadQuote,
                "options of nobody",
                put(whole.clone(), quote, &[0x4f]),
            );
            met(
                Fragment,
                "in fragments",
                put(whole.clone(), BEHIND_IPV4 - 14, &[0x20]),
            );
        }
    }
    check(&site, &rows)
}
