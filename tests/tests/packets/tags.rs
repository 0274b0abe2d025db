//! Frames with VLAN tags.

use anyhow::Result;
use balancer_common::Reason;

use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Site, sent, to, vip};
use crate::frame::{IP, Packet, hex, padded, put, tcp4, tcp6, udp4};
use crate::row::{Out, Row, check};
use crate::run::Verdict;
use crate::too_large::{told, told_behind};

/// Each kind of tag alone, and both orders of two.
const TAGS: &[&[u8]] = &[
    &[0x81, 0, 0, 7],
    &[0x88, 0xa8, 0xe1, 0x23],
    &[0x88, 0xa8, 0, 7, 0x81, 0, 0x60, 8],
    &[0x81, 0, 0, 7, 0x81, 0, 0, 8],
];

/// The frame with tags behind its addresses.
pub(crate) fn tagged(mut frame: Vec<u8>, tags: &[u8]) -> Vec<u8> {
    frame.splice(12..12, tags.iter().copied());
    frame
}

// Promise: E12
#[test]
fn a_tagged_frame_leaves_as_it_would_without_tags_but_with_them() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for (name, vip, _, _) in ENCAPSULATIONS.iter().filter(|s| s.0 != "elsewhere") {
        for (protocol, packet) in [("tcp", Packet::tcp(vip)), ("udp", Packet::udp(vip))] {
            let plain = packet.tos(0xb9).frame();
            let expected = site.run(std::slice::from_ref(&plain))?.remove(0);
            assert_eq!(expected.verdict, Verdict::Transmit);
            for tags in TAGS {
                rows.push(Row {
                    name: format!("{name} {protocol} behind {tags:02x?}"),
                    frame: tagged(plain.clone(), tags),
                    verdict: Verdict::Transmit,
                    out: Out::Exactly(tagged(expected.frame.clone(), tags)),
                    counted: to(name, protocol, plain.len() - IP),
                });
            }
        }
    }
    check(&site, &rows)
}

/// The whole of it once, by hand.
// Promise: E12
#[test]
fn the_tags_stay_in_front_of_the_outer_header_in_exactly_these_bytes() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let row = |tags: &[u8], outer: &str| {
        let frame = tcp4().frame();
        let mut out = hex(outer);
        out.extend_from_slice(&frame[IP..]);
        Row {
            name: format!("behind {tags:02x?}"),
            verdict: Verdict::Transmit,
            counted: to("gue44", "tcp", frame.len() - IP),
            frame: tagged(frame, tags),
            out: Out::Exactly(out),
        }
    };
    let rows = [
        row(
            &[0x81, 0, 0x20, 7],
            "020000000101 020000000002 81002007 0800 | 4500004d 00004000 40112692 0a010002 0a01000b \
             | d499 17c0 0039 0000 | 00040000",
        ),
        row(
            &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8],
            "020000000101 020000000002 88a80007 81000008 0800 | 4500004d 00004000 40112692 0a010002 \
             0a01000b | d499 17c0 0039 0000 | 00040000",
        ),
    ];
    check(&site, &rows)
}

/// There the tag would mean another network, or none.
// Promise: E12
#[test]
fn on_another_interface_a_frame_leaves_without_its_tags() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let plain = Packet::tcp(vip("elsewhere")).frame();
    let expected = site.run(std::slice::from_ref(&plain))?.remove(0);
    assert_eq!(expected.verdict, Verdict::Redirect);
    let rows: Vec<Row> = TAGS
        .iter()
        .map(|tags| Row {
            name: format!("behind {tags:02x?}"),
            frame: tagged(plain.clone(), tags),
            verdict: Verdict::Redirect,
            out: Out::Exactly(expected.frame.clone()),
            counted: to("elsewhere", "tcp", plain.len() - IP),
        })
        .collect();
    check(&site, &rows)
}

// Promise: E12
#[test]
fn a_tagged_frame_meets_the_same_reasons_as_one_without() -> Result<()> {
    use Reason::{BadHeaderLength, BadTotalLength, NotForVip, NotIp, ShortFrame, UndeclaredPort};
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for tags in TAGS {
        let mut met = |reason, what: &str, frame: Vec<u8>| {
            let name = format!("{what} behind {tags:02x?}");
            rows.push(Row::met(reason, &name, tagged(frame, tags)));
        };
        met(NotIp, "ARP", put(tcp4().frame(), 12, &[8, 6]));
        met(
            ShortFrame,
            "an IPv4 type and nothing",
            tcp4().frame()[..14].to_vec(),
        );
        met(ShortFrame, "half an address", tcp4().frame()[..32].to_vec());
        met(
            NotForVip,
            "another address",
            Packet::udp("10.1.0.2").frame(),
        );
        met(
            NotForVip,
            "another address, broken",
            put(Packet::udp("10.1.0.2").frame(), IP, &[0x40]),
        );
        met(
            NotForVip,
            "an IPv4 VIP in an IPv6 header",
            Packet::tcp("::ffff:198.51.100.5").frame(),
        );
        met(UndeclaredPort, "port 22", tcp6().ports(1, 22).frame());
        met(BadHeaderLength, "IHL 0", put(udp4().frame(), IP, &[0x40]));
        met(
            BadTotalLength,
            "a packet that is cut off",
            tcp4().frame()[..50].to_vec(),
        );
        let large = told("large", tcp4().payload(&[7; 1_529]).frame(), 1_552);
        rows.push(told_behind(tags, large));
        let longest = tcp4().payload(&[7; 1_528]).frame();
        let fits = tagged(padded(longest, 8), tags);
        rows.push(Row::sent(
            format!("the longest behind {tags:02x?}"),
            fits,
            to("gue44", "tcp", 1_568),
        ));
        let options = tagged(tcp4().options(&[1; 40]).frame(), tags);
        rows.push(sent(
            &format!("options behind {tags:02x?}"),
            "gue44",
            "tcp",
            options,
        ));
    }
    let three = tagged(
        tcp4().frame(),
        &[0x81, 0, 0, 7, 0x81, 0, 0, 8, 0x81, 0, 0, 9],
    );
    rows.push(Row::met(NotIp, "three tags", three));
    let other = tagged(tcp4().frame(), &[0x91, 0, 0, 7]);
    rows.push(Row::untouched(
        "a tag of no standard",
        other,
        Verdict::Pass,
        Counts::reason(NotIp),
    ));
    check(&site, &rows)
}

/// The kernel forgets who takes over from `balance` once nobody outside holds the map that says so.
// Promise: E12
#[test]
fn tagged_frames_are_sent_without_the_daemon_and_after_its_restart() -> Result<()> {
    let mut site = Site::new(ENCAPSULATIONS)?;
    let frame = tagged(tcp4().frame(), TAGS[0]);
    let sent = |site: &Site| -> Result<()> {
        let ran = site.run(std::slice::from_ref(&frame))?.remove(0);
        assert_eq!(ran.verdict, Verdict::Transmit);
        Ok(())
    };
    site.edge.kill();
    sent(&site)?;
    for _ in 0..2 {
        site.start_again()?;
        sent(&site)?;
        site.edge.kill();
        sent(&site)?;
    }
    Ok(())
}
