//! Frames that leave by a VLAN: behind its tags, whatever they came with.
//!
//! The records are written here as the daemon writes them where a route leads over a VLAN; no interface is one.

use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use balancer_common::abi::{Backend, MAX_BACKENDS, VlanTags, outer};

use crate::alternates::{SERVICES, hand_over};
use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Site, to, vip};
use crate::frame::{IP, Packet, hex, tcp4};
use crate::row::{Bench, Out, Row, check};
use crate::run::{Ran, Verdict};
use crate::tags::tagged;
use crate::too_large::told;

const NONE: &[u8] = &[];
const ONE: &[u8] = &[0x81, 0, 0xe0, 100];
const TWO: &[u8] = &[0x88, 0xa8, 0, 200, 0x81, 0, 0x0f, 0xfe];

/// What frames come with.
const CAME: &[&[u8]] = &[
    NONE,
    ONE,
    &[0x88, 0xa8, 0, 7],
    &[0x81, 0, 0, 7, 0x81, 0, 0, 8],
];

/// A site whose rows say to the byte what comes out: the oracle thinks that tags stay.
struct Exact<'a>(&'a Site);

impl Bench for Exact<'_> {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        self.0.run(frames)
    }

    fn counts(&self) -> Result<Counts> {
        self.0.counts()
    }

    fn judge(&self, _: &[u8], _: &Ran) -> Result<(), String> {
        Ok(())
    }
}

/// Has frames to these backends (all, if none are named) leave with these tags.
fn leave(site: &Site, backends: &[[u8; 4]], tags: &[u8]) -> Result<()> {
    let map = MapData::from_pin(site.pin("BACKENDS"))?;
    let mut records: Array<MapData, Backend> = Map::Array(map).try_into()?;
    let tag = |at: usize| {
        tags.get(at..at + 4)
            .map(|tag| tag.try_into().expect("four"))
    };
    let tags: VlanTags = [tag(0), tag(4)];
    for id in 0..MAX_BACKENDS {
        let record = records.get(&id, 0)?;
        let destination = record.destination.octets();
        let meant = backends.is_empty() || backends.iter().any(|each| destination.ends_with(each));
        if record.outer != 0 && meant {
            let [first, second] = record.macs;
            let plain = Backend {
                outer: record.outer & outer::KIND,
                macs: [first, second & 0xffff_ffff],
                ..record
            };
            records.set(id, plain.tagged(tags), 0)?;
        }
    }
    Ok(())
}

// Promise: E13
#[test]
fn a_frame_leaves_with_exactly_the_vlans_tags_whatever_it_came_with() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut expected = Vec::new();
    for (name, vip, _, _) in ENCAPSULATIONS {
        for (protocol, packet) in [("tcp", Packet::tcp(vip)), ("udp", Packet::udp(vip))] {
            let plain = packet.tos(0xb9).frame();
            let ran = site.run(std::slice::from_ref(&plain))?.remove(0);
            expected.push((name, protocol, plain, ran));
        }
    }
    for leave_with in [ONE, TWO] {
        leave(&site, &[], leave_with)?;
        let row = |came: &[u8], (name, protocol, plain, ran): &(&&str, &str, Vec<u8>, Ran)| Row {
            name: format!("{name} {protocol}: {came:02x?} becomes {leave_with:02x?}"),
            frame: tagged(plain.clone(), came),
            verdict: ran.verdict,
            out: Out::Exactly(tagged(ran.frame.clone(), leave_with)),
            counted: to(name, protocol, plain.len() - IP),
        };
        let rows: Vec<Row> = CAME
            .iter()
            .flat_map(|came| expected.iter().map(|each| row(came, each)))
            .collect();
        check(&Exact(&site), &rows)?;
    }
    // And no longer, once the route leads elsewhere.
    leave(&site, &[], NONE)?;
    for (_, _, plain, ran) in expected {
        assert_eq!(site.run(&[plain])?.remove(0), ran);
    }
    Ok(())
}

/// The whole of it once, by hand.
// Promise: E13
#[test]
fn the_vlans_tags_stand_in_front_of_the_outer_header_in_exactly_these_bytes() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let frame = tcp4().frame();
    for (leave_with, outer) in [
        (
            ONE,
            "020000000101 020000000002 8100e064 0800 | 4500004d 00004000 40112692 0a010002 0a01000b \
             | d499 17c0 0039 0000 | 00040000",
        ),
        (
            TWO,
            "020000000101 020000000002 88a800c8 81000ffe 0800 | 4500004d 00004000 40112692 0a010002 \
             0a01000b | d499 17c0 0039 0000 | 00040000",
        ),
    ] {
        leave(&site, &[], leave_with)?;
        let mut out = hex(outer);
        out.extend_from_slice(&frame[IP..]);
        let ran = site.run(std::slice::from_ref(&frame))?.remove(0);
        assert_eq!((ran.verdict, ran.frame), (Verdict::Transmit, out));
    }
    Ok(())
}

/// Out of the ordinary otherwise, too long for the way, and on a slot that moved: in every way a frame may be both.
// Promise: E13
#[test]
fn what_is_for_the_slow_path_too_large_or_moved_leaves_with_them_too() -> Result<()> {
    let mut site = Site::new(&[ENCAPSULATIONS, SERVICES].concat())?;
    let large = tcp4().payload(&[7; 1_529]).frame();
    let told = told("large", large, 1_552);
    let frames = [
        tcp4().options(&[1; 40]).frame(),
        Packet::udp(vip("gue44")).frame(),
    ];
    let expected = site.run(&frames)?;
    leave(&site, &[], TWO)?;
    for (frame, plain) in frames.iter().zip(expected) {
        let ran = site.run(std::slice::from_ref(frame))?.remove(0);
        assert_eq!(ran.frame, tagged(plain.frame, TWO));
    }
    // Back to its sender, on the wire that it came by.
    check(&Exact(&site), &[told])?;

    hand_over(&mut site, "second4-tcp", "10.1.0.41", "10.1.0.42")?;
    hand_over(&mut site, "second6-tcp", "fd00:1::41", "fd00:1::42")?;
    let (before, now) = (
        [[10, 1, 0, 41], [0, 0, 0, 0x41]],
        [[10, 1, 0, 42], [0, 0, 0, 0x42]],
    );
    for vip in ["198.51.100.41", "2001:db8::42"] {
        let frame = Packet::tcp(vip).frame();
        let run = |site: &Site| -> Result<Vec<u8>> {
            Ok(site.run(std::slice::from_ref(&frame))?.remove(0).frame)
        };
        leave(&site, &[], NONE)?;
        let carrying = run(&site)?;
        leave(&site, &now, ONE)?;
        assert_eq!(
            run(&site)?,
            tagged(carrying.clone(), ONE),
            "{vip}: only the owner's way has tags"
        );
        leave(&site, &before, TWO)?;
        assert_eq!(
            run(&site)?,
            tagged(carrying.clone(), ONE),
            "{vip}: both ways have tags"
        );
        leave(&site, &now, NONE)?;
        assert_eq!(
            run(&site)?,
            carrying,
            "{vip}: only the earlier owner's way has tags"
        );
        // The alternate is really in it.
        leave(&site, &before, NONE)?;
        let plain = site.run(&[Packet::udp(vip).frame()])?.remove(0).frame;
        let length = |packet: Packet| packet.frame().len();
        let more =
            (carrying.len() - length(Packet::tcp(vip))) - (plain.len() - length(Packet::udp(vip)));
        assert_eq!(more, if vip.contains(':') { 20 } else { 8 });
    }
    Ok(())
}

/// A program on a bond runs on its members, and frames leave by the bond.
// Promise: E13
#[test]
fn tags_stay_from_a_member_to_its_bond() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let plain = tcp4().frame();
    let expected = site.run(std::slice::from_ref(&plain))?.remove(0).frame;
    // No daemon that knows better.
    site.edge.kill();
    let member = site.index("eth1")?;
    let run = |came: &[u8]| -> Result<Ran> {
        Ok(site
            .run_from(member, &[tagged(plain.clone(), came)])?
            .remove(0))
    };
    let sent = |frame: Vec<u8>| Ran {
        verdict: Verdict::Redirect,
        frame,
    };
    assert_eq!(run(TWO)?, sent(expected.clone()));
    let map = MapData::from_pin(site.pin("MEMBERS"))?;
    let mut members: HashMap<MapData, u32, u32> =
        Map::HashMap(map).try_into().context("MEMBERS")?;
    members.insert(member, site.ingress, 0)?;
    for came in [NONE, ONE, TWO] {
        assert_eq!(run(came)?, sent(tagged(expected.clone(), came)));
    }
    leave(&site, &[], ONE)?;
    assert_eq!(run(TWO)?, sent(tagged(expected, ONE)));
    Ok(())
}
