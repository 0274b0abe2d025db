//! Frames that are cut off at every length, from nothing to the last byte of the longest header.

use anyhow::Result;
use balancer_common::Reason;

use crate::agent::{Decap, OWN_V4, VIP_V4, VIP_V6};
use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Site, to, vip};
use crate::frame::{Packet, put};
use crate::outer::Outer;
use crate::row::{Bench, spelled};
use crate::run::Verdict;
use crate::tally::Row;

/// Shorter ones the kernel does not run a program on: drivers never deliver them either.
const SHORTEST: usize = 14;

/// The longest headers first: IPv4 with ten words of options, TCP with ten words of options.
fn whole() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let options = Packet::tcp(vip("gue44"))
        .options(&[1; 40])
        .payload(&[1; 41])
        .frame();
    let longest = put(options, 14 + 60 + 12, &[0xf0]);
    vec![
        ("gue44", "tcp", longest),
        ("gue44", "tcp", Packet::tcp(vip("gue44")).frame()),
        ("ipip", "udp", Packet::udp(vip("ipip")).frame()),
        ("gue66", "tcp", Packet::tcp(vip("gue66")).frame()),
        ("ip6ip6", "udp", Packet::udp(vip("ip6ip6")).frame()),
    ]
}

/// Runs the program on each frame; each must meet its reason, and nothing else be counted.
fn meet(bench: &impl Bench, frames: &[Vec<u8>], expected: &[Reason]) -> Result<()> {
    let before = bench.counts()?;
    let ran = bench.run(frames)?;
    let counted = bench.counts()?.since(&before);
    let mut all = Counts::default();
    for ((frame, ran), reason) in frames.iter().zip(&ran).zip(expected) {
        let verdict = Verdict::of(*reason);
        let what = format!("{} bytes: {}", frame.len(), spelled(frame));
        assert_eq!(ran.verdict, verdict, "{what}");
        assert_eq!(ran.frame, *frame, "{what}");
        all = all.plus(&Counts::reason(*reason));
    }
    assert_eq!(counted, all);
    Ok(())
}

// Promise: E8
#[test]
fn a_packet_that_is_cut_off_anywhere_is_not_sent_on() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    for (service, protocol, frame) in whole() {
        // Where the destination address ends.
        let told = if frame[12] == 0x08 { 34 } else { 54 };
        let reason = |length| match length < told {
            true => Reason::ShortFrame,
            false => Reason::BadTotalLength,
        };
        for length in 0..SHORTEST {
            assert!(
                site.run(&[frame[..length].to_vec()]).is_err(),
                "{length} bytes ran"
            );
            let decided = site.model().decide(&frame[..length]);
            assert_eq!(
                decided.row,
                Row::Reason(Reason::ShortFrame),
                "{length} bytes"
            );
        }
        let lengths = SHORTEST..frame.len();
        let frames: Vec<_> = lengths
            .clone()
            .map(|length| frame[..length].to_vec())
            .collect();
        let reasons: Vec<_> = lengths.map(reason).collect();
        meet(&site, &frames, &reasons)?;
        let bytes = frame.len() - 14;
        let before = site.counts()?;
        assert_eq!(site.run(&[frame])?[0].verdict, Verdict::Transmit);
        assert_eq!(site.counts()?.since(&before), to(service, protocol, bytes));
    }
    Ok(())
}

/// The IP header tells the truth about the length, so that it is TCP's and UDP's that lie.
// Promise: E8
#[test]
fn a_segment_that_is_cut_off_anywhere_is_not_sent_on() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    for (_, _, frame) in whole() {
        let ipv4 = frame[12] == 0x08;
        let header = if ipv4 {
            14 + usize::from(frame[14] & 0xf) * 4
        } else {
            54
        };
        let tcp = frame[if ipv4 { 23 } else { 20 }] == 6;
        let offset = usize::from(frame[header + 12] >> 4) * 4;
        let (mut frames, mut reasons) = (Vec::new(), Vec::new());
        for length in header..frame.len() {
            let segment = length - header;
            reasons.push(match tcp {
                // From here on only payload is missing.
                true if segment >= offset => break,
                true if segment >= 20 => Reason::BadHeaderLength,
                _ => Reason::BadTotalLength,
            });
            let (at, told) = if ipv4 {
                (16, length - 14)
            } else {
                (18, segment)
            };
            let cut = frame[..length].to_vec();
            frames.push(put(cut, at, &(told as u16).to_be_bytes()));
        }
        meet(&site, &frames, &reasons)?;
    }
    Ok(())
}

// Promise: A4
#[test]
fn an_encapsulated_packet_that_is_cut_off_anywhere_is_not_opened() -> Result<()> {
    let bench = Decap(crate::agent::Site::new()?);
    for outer in Outer::ALL {
        for vip in [VIP_V4, VIP_V6] {
            let inner = Packet::tcp(vip).payload(&[1; 40]).frame();
            let alternates = crate::second_chance::samples(outer).swap_remove(1);
            for private in [&[][..], &[0xaa; 8], &alternates] {
                let frame = outer.around_with(&inner, private);
                // Where the header ends that tells whether it is one of our encapsulations.
                let told = match outer {
                    Outer::Ipv4 => 34,
                    Outer::Ipv6 => 54,
                    Outer::GueIpv4 => 38,
                    Outer::GueIpv6 => 58,
                };
                for length in 0..SHORTEST {
                    let cut = [frame[..length].to_vec()];
                    assert!(bench.run(&cut).is_err(), "{length} bytes ran");
                }
                let lengths = SHORTEST..frame.len();
                let frames: Vec<_> = lengths
                    .clone()
                    .map(|length| frame[..length].to_vec())
                    .collect();
                let reasons: Vec<_> = lengths
                    .map(|length| match length < told {
                        true => Reason::NotEncapsulated,
                        false => Reason::BadOuterHeader,
                    })
                    .collect();
                meet(&bench, &frames, &reasons)?;
            }
        }
    }
    Ok(())
}

/// The outer header tells the truth about the length, so that it is the inner packet that ends early.
// Promise: A4
#[test]
fn an_inner_packet_that_is_cut_off_anywhere_is_not_opened() -> Result<()> {
    let bench = Decap(crate::agent::Site::new()?);
    for vip in [VIP_V4, VIP_V6] {
        let inner = Packet::udp(vip).frame();
        let whole = Outer::GueIpv4.around(&inner);
        let (mut frames, mut reasons) = (Vec::new(), Vec::new());
        for length in 42..whole.len() {
            let frame = put(
                whole[..length].to_vec(),
                16,
                &((length - 14) as u16).to_be_bytes(),
            );
            frames.push(put(frame, 38, &((length - 34) as u16).to_be_bytes()));
            reasons.push(match length < 46 {
                true => Reason::BadGueHeader,
                false => Reason::BadInnerHeader,
            });
        }
        meet(&bench, &frames, &reasons)?;
    }
    let short = Packet::udp(OWN_V4)
        .from("10.1.0.2")
        .ports(1, 6080)
        .payload(&[]);
    meet(&bench, &[short.frame()], &[Reason::BadGueHeader])
}
