//! Echo requests, which the edge answers for its VIPs and for nobody else.

use anyhow::Result;
use balancer_common::Reason;

use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Site, vip};
use crate::frame::{CLIENT_V4, CLIENT_V6, EDGE, IP, Packet, ROUTER, Transport, put, summed};
use crate::row::{Out, Row, check};
use crate::run::Verdict;
use crate::tags::tagged;

const REQUEST: Transport = Transport::Icmp([8, 0, 0x12, 0x34, 0, 7]);
const REPLY: Transport = Transport::Icmp([0, 0, 0x12, 0x34, 0, 7]);
const REQUEST_V6: Transport = Transport::Icmp([128, 0, 0x12, 0x34, 0, 7]);
const REPLY_V6: Transport = Transport::Icmp([129, 0, 0x12, 0x34, 0, 7]);

/// An echo request to an address.
pub(crate) fn request(destination: &str) -> Packet {
    match destination.contains(':') {
        true => Packet::new(REQUEST_V6, destination),
        false => Packet::new(REQUEST, destination),
    }
}

/// The reply of another library to the same request.
pub(crate) fn reply(vip: &str, payload: &[u8], tos: u8) -> Vec<u8> {
    let (transport, client) = match vip.contains(':') {
        true => (REPLY_V6, CLIENT_V6),
        false => (REPLY, CLIENT_V4),
    };
    let packet = Packet::new(transport, client).from(vip).tos(tos);
    let frame = packet.payload(payload).frame();
    let frame = put(put(frame, 0, &ROUTER), 6, &EDGE);
    match vip.contains(':') {
        true => put(frame, IP + 7, &[64]),
        false => summed(put(frame, IP + 8, &[64])),
    }
}

pub(crate) fn answered(name: String, frame: Vec<u8>, reply: Vec<u8>) -> Row {
    Row {
        name,
        frame,
        verdict: Verdict::Transmit,
        out: Out::Exactly(reply),
        counted: Counts::reason(Reason::EchoAnswered),
    }
}

// Promise: E14
#[test]
fn an_echo_request_to_a_vip_is_answered_in_its_name() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for vip in [vip("gue44"), vip("gue66"), vip("elsewhere")] {
        for bytes in [0, 1, 8, 56, 1_400] {
            let payload: Vec<u8> = (0..bytes).map(|n| n as u8).collect();
            let frame = request(vip).payload(&payload).frame();
            let name = format!("{bytes} bytes to {vip}");
            rows.push(answered(name, frame, reply(vip, &payload, 0)));
        }
        let (plain, reply) = (request(vip).tos(0xb9).frame(), reply(vip, b"hello", 0xb9));
        for tags in [&[0x81, 0, 0, 7][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8]] {
            rows.push(answered(
                format!("to {vip} behind {tags:02x?}"),
                tagged(plain.clone(), tags),
                tagged(reply.clone(), tags),
            ));
        }
        rows.push(answered(format!("class to {vip}"), plain, reply));
    }
    check(&site, &rows)
}

/// The sums over these messages are at the ends of what sixteen bits hold.
// Promise: E14
#[test]
fn the_checksum_of_an_answer_is_right_for_any_request() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for vip in [vip("gue44"), vip("gue66")] {
        for word in (0..=u16::MAX).step_by(257).chain([0xf7fd, 0xf7fe, 0xf7ff]) {
            let payload = word.to_be_bytes();
            let frame = request(vip).payload(&payload).frame();
            let mut row = answered(format!("{word:x}"), frame, Vec::new());
            // The oracle's business.
            row.out = Out::Sound;
            rows.push(row);
        }
    }
    let before = site.counts()?;
    let frames: Vec<_> = rows.iter().map(|row| row.frame.clone()).collect();
    for (row, ran) in rows.iter().zip(site.run(&frames)?) {
        assert_eq!(ran.verdict, Verdict::Transmit, "{}", row.name);
        crate::oracle::judge(&row.frame, &ran).map_err(anyhow::Error::msg)?;
    }
    assert_ne!(site.counts()?, before);
    Ok(())
}

// Promise: E14
#[test]
fn what_is_no_plain_request_to_a_vip_is_not_answered() -> Result<()> {
    use Reason::{BadHeaderLength, BadTotalLength, Fragment, NotForVip, UnsupportedProtocol};
    let site = Site::new(ENCAPSULATIONS)?;
    let (vip4, vip6) = (vip("gue44"), vip("gue66"));
    let rows = [
        Row::met(NotForVip, "another address", request("10.1.0.2").frame()),
        Row::met(NotForVip, "the edge", request("fd00:1::2").frame()),
        Row::met(
            UnsupportedProtocol,
            "with options",
            request(vip4).options(&[7, 7, 4, 0, 0, 0, 0, 0]).frame(),
        ),
        Row::met(
            UnsupportedProtocol,
            "with options that look like a request",
            request(vip4).options(&[8, 0, 0, 0, 0, 0, 0, 0]).frame(),
        ),
        Row::met(
            UnsupportedProtocol,
            "a reply",
            Packet::new(REPLY, vip4).frame(),
        ),
        Row::met(
            UnsupportedProtocol,
            "a reply over IPv6",
            Packet::new(REPLY_V6, vip6).frame(),
        ),
        Row::met(
            UnsupportedProtocol,
            "ICMPv6 over IPv4",
            put(request(vip4).frame(), IP + 9, &[58]),
        ),
        Row::met(
            UnsupportedProtocol,
            "ICMP over IPv6",
            put(request(vip6).frame(), IP + 6, &[1]),
        ),
        Row::met(
            UnsupportedProtocol,
            "another code",
            put(request(vip4).frame(), 35, &[1]),
        ),
        Row::met(
            UnsupportedProtocol,
            "from everybody",
            request(vip4).from("255.255.255.255").frame(),
        ),
        Row::met(
            UnsupportedProtocol,
            "from a group",
            request(vip6).from("ff02::1").frame(),
        ),
        Row::met(
            Fragment,
            "a fragment",
            put(request(vip4).frame(), 20, &[0x20, 0]),
        ),
        Row::met(
            BadTotalLength,
            "seven bytes",
            put(request(vip4).frame(), 16, &[0, 27]),
        ),
        Row::met(
            BadTotalLength,
            "seven bytes over IPv6",
            put(request(vip6).frame(), 18, &[0, 7]),
        ),
        Row::met(
            BadTotalLength,
            "cut off",
            request(vip6).frame()[..60].to_vec(),
        ),
        Row::met(
            BadHeaderLength,
            "IHL 4",
            put(request(vip4).frame(), IP, &[0x44]),
        ),
    ];
    check(&site, &rows)
}
