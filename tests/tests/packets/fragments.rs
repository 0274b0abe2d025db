//! Fragments: the first one leads, the others follow.

use anyhow::Result;
use balancer_common::Reason;

use crate::echo::request;
use crate::edge::{ENCAPSULATIONS, Service, Site, sent, vip};
use crate::extensions::{fragment, with};
use crate::frame::{BEHIND_IPV4, BEHIND_IPV6, IP, Packet, Transport, put, summed};
use crate::oracle;
use crate::row::{Row, check};
use crate::run::Verdict;
use crate::tags::tagged;

/// Several backends each, so that a flow's own one is to be found.
const SEVERAL: &[Service] = &[
    (
        "pieces4",
        "198.51.100.61",
        "gue",
        &["10.1.0.61", "10.1.0.62", "10.1.0.63", "10.1.0.64"],
    ),
    (
        "pieces6",
        "2001:db8::62",
        "gue",
        &["fd00:1::61", "fd00:1::62", "fd00:1::63", "fd00:1::64"],
    ),
];

/// The frames of a packet's fragments, split behind so many bytes of its payload.
pub(crate) fn split(frame: &[u8], at: &[usize], id: u16) -> Vec<Vec<u8>> {
    let ipv4 = frame[12] == 8;
    let header = if ipv4 { BEHIND_IPV4 } else { BEHIND_IPV6 };
    let payload = &frame[header..];
    let mut pieces = Vec::new();
    let ends = at.iter().copied().chain([payload.len()]);
    let mut start = 0;
    for end in ends {
        let mut piece = frame[..header].to_vec();
        piece.extend_from_slice(&payload[start..end]);
        let (offset, more) = ((start / 8) as u16, end != payload.len());
        pieces.push(if ipv4 {
            let bits = offset | u16::from(more) << 13;
            let piece = put(piece, 16, &((20 + end - start) as u16).to_be_bytes());
            let piece = put(piece, 18, &id.to_be_bytes());
            summed(put(piece, 20, &bits.to_be_bytes()))
        } else {
            with(piece, &[(44, fragment(offset, more, u32::from(id)))])
        });
        start = end;
    }
    pieces
}

/// Samples for frames that something goes wrong with.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for vip in [vip("gue44"), vip("gue66")] {
        for (id, transport) in [(1, Transport::Tcp), (2, Transport::Udp)] {
            let packet = Packet::new(transport, vip).payload(&[5; 100]);
            frames.extend(split(&packet.frame(), &[48, 72], id));
        }
    }
    frames
}

// Promise: E17
#[test]
fn later_fragments_follow_the_first_to_the_flows_backend() -> Result<()> {
    let site = Site::new(SEVERAL)?;
    let mut ways = std::collections::BTreeSet::new();
    for (_, vip, ..) in SEVERAL {
        for transport in [Transport::Tcp, Transport::Udp] {
            for n in 0..24 {
                let packet = Packet::new(transport, vip).ports(10_000 + n * 7, 8_000);
                let whole = packet.payload(&[5; 100]).frame();
                let mut frames = split(&whole, &[24, 48, 96], 100 + n);
                frames.insert(0, whole);
                let ran = site.run(&frames)?;
                let way = |frame: &[u8]| oracle::way(frame).map_err(anyhow::Error::msg);
                let expected = way(&ran[0].frame)?;
                for (frame, ran) in frames.iter().zip(&ran) {
                    assert_eq!(ran.verdict, Verdict::Transmit);
                    assert_eq!(way(&ran.frame)?, expected);
                    oracle::judge(frame, ran).map_err(anyhow::Error::msg)?;
                }
                ways.insert(expected.0);
            }
        }
    }
    assert_eq!(ways.len(), 8, "each backend was reached");
    Ok(())
}

// Promise: E17
#[test]
fn fragments_of_each_service_are_sent() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for (name, vip, ..) in ENCAPSULATIONS.iter().filter(|s| s.0 != "elsewhere") {
        for (protocol, transport) in [("tcp", Transport::Tcp), ("udp", Transport::Udp)] {
            let packet = Packet::new(transport, vip).payload(&[5; 100]);
            for (n, piece) in split(&packet.frame(), &[32, 64], 7).into_iter().enumerate() {
                let what = format!("{name} {protocol} {n}");
                rows.push(sent(&what, name, protocol, piece.clone()));
                let piece = tagged(piece, &[0x81, 0, 0, 7]);
                rows.push(sent(&format!("{what}, tagged"), name, protocol, piece));
            }
        }
    }
    let options = Packet::udp(vip("gue44")).options(&[1; 8]).frame();
    let first = put(options, 20, &[0x20, 0]);
    rows.push(sent("options", "gue44", "udp", first));
    check(&site, &rows)
}

// Promise: E17
#[test]
fn a_later_fragment_without_its_first_is_dropped() -> Result<()> {
    use Reason::{BadTotalLength, Fragment, NotForVip, UndeclaredPort};
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for vip in [vip("gue44"), vip("gue66")] {
        let packet = Packet::udp(vip).payload(&[5; 100]);
        let pieces = split(&packet.frame(), &[32, 64], 7);
        let name = if vip.contains(':') { "gue66" } else { "gue44" };
        rows.push(Row::met(
            Fragment,
            "the last comes first",
            pieces[2].clone(),
        ));
        rows.push(sent("the first", name, "udp", pieces[0].clone()));
        rows.push(sent("the last", name, "udp", pieces[2].clone()));
        rows.push(sent("the middle one", name, "udp", pieces[1].clone()));
        let mut met = |reason, what: &str, frame: Vec<u8>| {
            rows.push(Row::met(reason, &format!("{what}, {name}"), frame));
        };
        let of = |packet: &Packet, id| split(&packet.frame(), &[32, 64], id);
        met(Fragment, "another id", of(&packet, 8)[1].clone());
        let other = if vip.contains(':') {
            "fd00:2::3"
        } else {
            "192.0.2.3"
        };
        met(
            Fragment,
            "another client",
            of(&packet.clone().from(other), 7)[1].clone(),
        );
        let stranger = packet.clone().ports(40_000, 22);
        met(
            UndeclaredPort,
            "port 22, the first",
            of(&stranger, 9)[0].clone(),
        );
        met(Fragment, "port 22, the second", of(&stranger, 9)[1].clone());
        let ping = request(vip).payload(&[5; 100]);
        met(Fragment, "a ping, the first", of(&ping, 10)[0].clone());
        met(Fragment, "a ping, the second", of(&ping, 10)[1].clone());
        let short = split(&Packet::tcp(vip).payload(&[5; 100]).frame(), &[16], 11);
        met(BadTotalLength, "half a TCP header", short[0].clone());
        met(Fragment, "what follows that", short[1].clone());
        let cut = pieces[1][..pieces[1].len() - 1].to_vec();
        met(BadTotalLength, "cut off", cut);
    }
    let tcp = split(
        &Packet::tcp(vip("gue44")).payload(&[5; 100]).frame(),
        &[32],
        7,
    );
    rows.push(Row::met(Fragment, "another protocol", tcp[1].clone()));
    let stranger = Packet::udp("198.51.100.200").payload(&[5; 100]);
    for piece in split(&stranger.frame(), &[32], 7) {
        rows.push(Row::met(NotForVip, "another address", piece));
    }
    let whole = put(Packet::udp(vip("gue44")).frame(), IP + 6, &[0x40, 0]);
    rows.push(sent("don't fragment", "gue44", "udp", whole));
    check(&site, &rows)
}
