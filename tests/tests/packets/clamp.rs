//! The MSS of SYN-ACKs that leave an instance.
//!
//! The interface takes 1,600 bytes. The longest outer header is IPv6's, because the agent has edges
//! of that family: 40 and UDP 8 and GUE 8 + 3 x 16, in all 104; then TCP's 20.

use anyhow::Result;
use balancer_common::Reason;
use etherparse::PacketBuilder;

use crate::agent::{Clamp, Site, VIP_V4, VIP_V6};
use crate::counts::Counts;
use crate::frame::{CLIENT_V4, CLIENT_V6, put};
use crate::row::{Out, Row, check};
use crate::run::Verdict;

const LIMIT_V4: u16 = 1_600 - 104 - 20 - 20;
const LIMIT_V6: u16 = 1_600 - 104 - 20 - 40;

/// The kernel runs a classifier only on frames with a whole IP header, which every frame has that a
/// stack sends; the pure function is tried on shorter ones.
pub(crate) fn runs(frame: &[u8]) -> bool {
    let shortest = match frame.get(12..14) {
        Some([0x08, 0x00]) => 34,
        Some([0x86, 0xdd]) => 54,
        _ => 14,
    };
    frame.len() >= shortest
}

/// Where options begin.
const OPTIONS_V4: usize = 54;
const OPTIONS_V6: usize = 74;

/// A segment of the VIP's with these flags and options.
fn segment(vip: &str, (syn, ack): (bool, bool), options: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let ip = match (vip.parse(), CLIENT_V4.parse(), CLIENT_V6.parse()) {
        (Ok(std::net::IpAddr::V4(vip)), Ok(client), _) => {
            let client: std::net::Ipv4Addr = client;
            ethernet.ipv4(vip.octets(), client.octets(), 64)
        }
        (Ok(std::net::IpAddr::V6(vip)), _, Ok(client)) => {
            let client: std::net::Ipv6Addr = client;
            ethernet.ipv6(vip.octets(), client.octets(), 64)
        }
        _ => panic!("no address: {vip}"),
    };
    let mut tcp = ip.tcp(8_000, 40_000, 0x0102_0304, 0x7210);
    if syn {
        tcp = tcp.syn();
    }
    if ack {
        tcp = tcp.ack(0x0506_0708);
    }
    let mut frame = Vec::new();
    tcp.options_raw(options)
        .expect("at most 40 bytes")
        .write(&mut frame, &[])
        .expect("a sound packet");
    frame
}

pub(crate) fn syn_ack(vip: &str, options: &[u8]) -> Vec<u8> {
    segment(vip, (true, true), options)
}

/// The option, with this value.
fn mss(value: u16) -> Vec<u8> {
    let [high, low] = value.to_be_bytes();
    vec![2, 4, high, low]
}

fn kept(name: &str, frame: Vec<u8>) -> Row {
    Row::untouched(name, frame, Verdict::Pass, Counts::default())
}

/// The same segment leaves, as if it had been made with `after` for options; its checksum too.
fn lowered(name: &str, vip: &str, before: &[u8], after: &[u8]) -> Row {
    Row {
        name: name.to_owned(),
        frame: syn_ack(vip, before),
        verdict: Verdict::Pass,
        out: Out::Exactly(syn_ack(vip, after)),
        counted: Counts::reason(Reason::MssClamped),
    }
}

// Promise: A5
#[test]
fn an_mss_above_the_limit_is_lowered_to_it() -> Result<()> {
    let mut rows = Vec::new();
    for (vip, limit) in [(VIP_V4, LIMIT_V4), (VIP_V6, LIMIT_V6)] {
        for value in [limit + 1, limit + 255, 1_540, 9_000, 0x8000, 0xfffe, 0xffff] {
            let name = format!("{value} from {vip}");
            rows.push(lowered(&name, vip, &mss(value), &mss(limit)));
        }
        for value in [limit, limit - 1, 1_220, 536, 1, 0] {
            let name = format!("{value} from {vip}");
            rows.push(kept(&name, syn_ack(vip, &mss(value))));
        }
    }
    check(&Clamp(Site::new()?), &rows)
}

/// The bytes themselves, once: an MSS of 1,540 becomes 1,456 (0x5b0).
// Promise: A5
#[test]
fn a_syn_ack_leaves_in_exactly_these_bytes() -> Result<()> {
    let frame = syn_ack(VIP_V4, &[2, 4, 0x06, 0x04, 1, 1, 4, 2]);
    let checksum = u16::from_be_bytes([frame[50], frame[51]]);
    // RFC 1624: a word that is smaller by d makes the checksum larger by d.
    let expected = put(frame.clone(), OPTIONS_V4 + 2, &[0x05, 0xb0]);
    let expected = put(expected, 50, &(checksum + (0x604 - 0x5b0)).to_be_bytes());
    let row = Row {
        name: "1540".to_owned(),
        frame,
        verdict: Verdict::Pass,
        out: Out::Exactly(expected),
        counted: Counts::reason(Reason::MssClamped),
    };
    check(&Clamp(Site::new()?), &[row])
}

/// At an odd offset the value straddles two words of the checksum.
// Promise: A5
#[test]
fn the_option_is_found_behind_others() -> Result<()> {
    let mut rows = Vec::new();
    for (vip, limit) in [(VIP_V4, LIMIT_V4), (VIP_V6, LIMIT_V6)] {
        for before in [
            &[1][..],
            &[1, 1],
            &[1, 1, 1],
            // SACK permitted; window scale; timestamps; an option that nobody knows.
            &[4, 2],
            &[3, 3, 7],
            &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
            &[254, 5, 0, 0, 0],
            // The last of the 16 options that are looked at.
            &[1; 15],
        ] {
            let options = |value: u16| [before, &mss(value)].concat();
            let name = format!("{vip}: behind {before:?}");
            rows.push(lowered(&name, vip, &options(8_960), &options(limit)));
        }
        let twice = |first: u16| [mss(first), mss(8_960)].concat();
        let name = format!("{vip}: the first of two");
        rows.push(lowered(&name, vip, &twice(8_960), &twice(limit)));
    }
    check(&Clamp(Site::new()?), &rows)
}

#[test]
fn without_a_sound_option_nothing_is_changed() -> Result<()> {
    let large = mss(8_960);
    let mut rows = Vec::new();
    for (name, options) in [
        ("none", vec![]),
        ("others only", vec![1, 3, 3, 7, 4, 2]),
        (
            "behind more options than any stack sends",
            [&[1; 16][..], &large].concat(),
        ),
        ("behind the end of the list", [&[0, 0][..], &large].concat()),
        ("a length of 0 before it", [&[3, 0][..], &large].concat()),
        ("a length of 1 before it", [&[3, 1][..], &large].concat()),
        (
            "a length beyond the header before it",
            [&[3, 200][..], &large].concat(),
        ),
        ("its own length 3", vec![2, 3, 0x23, 0]),
        ("its own length 5", vec![2, 5, 0x23, 0, 0, 0]),
        ("cut off by the end of the header", vec![1, 1, 2, 4]),
        ("cut off in its value", vec![1, 2, 4, 0x23]),
    ] {
        for vip in [VIP_V4, VIP_V6] {
            rows.push(kept(&format!("{vip}: {name}"), syn_ack(vip, &options)));
        }
    }
    // The value would stand in what is no option any more.
    let mut frame = syn_ack(VIP_V4, &[1, 1, 1, 1]);
    frame.extend_from_slice(&large);
    rows.push(kept("in the payload", frame));
    for words in [0, 4] {
        let frame = put(syn_ack(VIP_V4, &large), 46, &[words << 4]);
        rows.push(kept(&format!("data offset {words}"), frame));
    }
    check(&Clamp(Site::new()?), &rows)
}

// Promise: A5
#[test]
fn only_syn_acks_of_vips_are_changed() -> Result<()> {
    let large = mss(8_960);
    let v4 = syn_ack(VIP_V4, &large);
    let v6 = syn_ack(VIP_V6, &large);
    let mut rows = vec![
        kept("SYN", segment(VIP_V4, (true, false), &large)),
        kept("SYN, IPv6", segment(VIP_V6, (true, false), &large)),
        kept("ACK", segment(VIP_V4, (false, true), &large)),
        kept("no flags", segment(VIP_V4, (false, false), &large)),
        kept("from no VIP", syn_ack("198.51.100.11", &large)),
        kept("from no VIP, IPv6", syn_ack("2001:db8::11", &large)),
        kept("a fragment", put(v4.clone(), 20, &[0x20, 0])),
        kept("a last fragment", put(v4.clone(), 20, &[0, 9])),
        kept("UDP", put(v4.clone(), 23, &[17])),
        kept("UDP, IPv6", put(v6.clone(), 20, &[17])),
        kept("ARP", put(v4.clone(), 12, &[8, 6])),
        kept("version 6 as IPv4", put(v4.clone(), 14, &[0x65])),
    ];
    for flags in [0x13, 0x16, 0x17] {
        let frame = put(v4.clone(), 47, &[flags]);
        rows.push(kept(&format!("flags {flags:#x}"), frame));
    }
    // Every length at which the segment may be cut off.
    for length in 34..OPTIONS_V4 + 4 {
        rows.push(kept(
            &format!("{length} bytes of IPv4"),
            v4[..length].to_vec(),
        ));
    }
    for length in 54..OPTIONS_V6 + 4 {
        rows.push(kept(
            &format!("{length} bytes of IPv6"),
            v6[..length].to_vec(),
        ));
    }
    check(&Clamp(Site::new()?), &rows)
}
