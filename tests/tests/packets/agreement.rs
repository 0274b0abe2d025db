//! The programs in the kernel and the same decisions in user space, side by side.

use std::collections::BTreeSet;

use anyhow::Result;
use balancer_common::agent::{self, Evidence, Fate, Instance, Segment};
use balancer_common::clamp::{self, Limits};
use balancer_common::frame::Buffers;
use balancer_common::quoted::Quote;
use balancer_common::{Address, Reason};

use crate::agent::{Clamp, Decap, VIP_V4, VIP_V6};
use crate::by_source;
use crate::counts::Counts;
use crate::echo::request;
use crate::edge::{ENCAPSULATIONS, Service, Site};
use crate::frame::{Packet, Transport};
use crate::mutation::{first_buffer, mutated};
use crate::oracle;
use crate::outer::Outer;
use crate::rounds::{disagreement, have_met_everything, rounds};
use crate::row::{Bench, spelled};
use crate::run::{Ran, Verdict, in_buffers};
use crate::tags::tagged;

/// Services with several backends, two of which no packet can reach.
const SEVERAL: &[Service] = &[
    (
        "many4",
        "198.51.100.31",
        "gue",
        &[
            "10.1.0.31",
            "10.1.0.32",
            "10.2.0.33",
            "fd00:1::34",
            "10.3.0.35",
        ],
    ),
    (
        "many6",
        "2001:db8::32",
        "ip6ip6",
        &["fd00:1::36", "fd00:1::37", "fd00:1::38"],
    ),
    (
        "half",
        "198.51.100.33",
        "ipip",
        &["10.1.0.39", "203.0.113.9"],
    ),
    ("lost", "198.51.100.34", "ipip", &["203.0.113.10"]),
];

/// Sound packets of many flows for every service.
fn flows(services: &[Service], each: u16) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (_, vip, _, _) in services {
        for transport in [Transport::Tcp, Transport::Udp] {
            for flow in 0..each {
                let packet = Packet::new(transport, vip).ports(10_000 + flow * 7, 8_000);
                frames.push(packet.frame());
            }
        }
    }
    frames
}

/// Runs the program on all frames, and compares each with what user space made of it, and with the independent parser's
/// judgement; and the sums of what was counted, for every [`SUM`] frames. Gives what is not alike.
fn agree(
    bench: &impl Bench,
    judge: impl Fn(&[u8], &Ran) -> Result<(), String>,
    frames: &[Vec<u8>],
    expected: &[(Ran, Counts)],
) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (frames, expected) in frames.chunks(SUM).zip(expected.chunks(SUM)) {
        let before = bench.counts()?;
        let ran = bench.run(frames)?;
        let counted = bench.counts()?.since(&before);
        let mut all = Counts::default();
        for ((frame, ran), (decided, counts)) in frames.iter().zip(&ran).zip(expected) {
            wrong.extend(disagreement(frame, ran, decided));
            if let Err(fault) = judge(frame, ran) {
                let (frame, came) = (spelled(frame), spelled(&ran.frame));
                wrong.push(format!("{fault}: {frame} became {came}"));
            }
            all = all.plus(counts);
        }
        if counted != all {
            wrong.push(format!("counted {counted:?}, not {all:?}"));
        }
    }
    Ok(wrong)
}

/// Frames whose counts are compared as one sum.
const SUM: usize = 6_000;

#[test]
fn balance_and_the_pure_function_choose_alike() -> Result<()> {
    let services = [ENCAPSULATIONS, SEVERAL, by_source::SERVICES].concat();
    let sound = flows(&services, 64);
    let base = base(&services);
    let rounds = rounds();
    let mut reasons = BTreeSet::new();
    for round in &rounds {
        let mut site = Site::within(&services, ["10.64.0.0/20", "fd00:64::/64"])?;
        site.split(first_buffer);
        let likeness = site.likeness();
        let mut decide = |frames: &[Vec<u8>]| -> Vec<(Ran, Counts)> {
            let mut expected = Vec::new();
            for decided in frames.iter().map(|frame| likeness.decide(frame)) {
                reasons.insert(decided.reason);
                expected.push((decided.ran, decided.counted));
            }
            expected
        };
        // Not the bench's own judge, which would decide again, and remember fragments that are yet to come.
        let mut wrong = agree(&site, oracle::judge, &sound, &decide(&sound))?;
        let spoilt = mutated(round.seed, round.frames, &base);
        wrong.extend(agree(&site, oracle::judge, &spoilt, &decide(&spoilt))?);
        round.close("edge", &wrong);
    }
    if !have_met_everything(&rounds) {
        return Ok(());
    }
    // What the frames are worth: they met everything that a frame can meet.
    let never = [
        Reason::NoBackend,
        Reason::NoHeadroom,
        Reason::NoTable,
        Reason::TooLarge,
        Reason::ToldTooLarge,
    ];
    for reason in Reason::ALL.iter().filter(|r| **r < Reason::Decapsulated) {
        assert_eq!(
            reasons.contains(&Some(*reason)),
            !never.contains(reason),
            "{reason:?}"
        );
    }
    assert!(reasons.contains(&None));
    Ok(())
}

/// What goes wrong in a round.
fn base(services: &[Service]) -> Vec<Vec<u8>> {
    let mut base = flows(services, 4);
    base.push(Packet::tcp("198.51.100.1").options(&[1; 40]).frame());
    base.push(Packet::udp("198.51.100.200").frame());
    for tags in [&[0x81, 0, 0, 7][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8]] {
        for (_, vip, _, _) in services {
            base.push(tagged(Packet::tcp(vip).frame(), tags));
        }
    }
    for vip in ["198.51.100.1", "2001:db8::4"] {
        base.push(request(vip).frame());
        base.push(tagged(request(vip).frame(), &[0x81, 0, 0, 7]));
    }
    base.extend(by_source::samples());
    base.extend(crate::errors::samples());
    base.extend(crate::extensions::samples());
    base.extend(crate::fragments::samples());
    base
}

/// As the agent's maps have it.
struct Serving;

impl Instance<Buffers<'_>> for Serving {
    fn is_edge(&self, source: &Address) -> bool {
        let octets = source.octets();
        let v4 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0];
        let v6 = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        octets[15] < 16 && (octets[..15] == v4 || octets[..15] == v6)
    }

    fn is_peer(&self, address: &Address) -> bool {
        let octets = address.octets();
        let v4 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0];
        octets[..15] == v4 || octets[..8] == [0xfd, 0, 0, 1, 0, 0, 0, 0]
    }

    fn is_vip(&self, address: &Address) -> bool {
        is_vip(address)
    }

    /// The instance has no sockets.
    fn knows(&self, _: &Segment<Buffers<'_>>) -> Evidence {
        Evidence::Nothing
    }

    fn knows_quoted(&self, _: &Quote) -> Evidence {
        Evidence::Nothing
    }
}

fn is_vip(address: &Address) -> bool {
    [VIP_V4, VIP_V6].iter().any(|vip| {
        let vip: std::net::IpAddr = vip.parse().expect("an address");
        *address == Address::from(vip)
    })
}

#[test]
fn decap_and_the_pure_function_open_alike() -> Result<()> {
    let mut base = vec![Packet::udp(VIP_V4).frame()];
    for outer in Outer::ALL {
        for vip in [VIP_V4, VIP_V6] {
            base.push(outer.around(&Packet::tcp(vip).frame()));
            base.push(outer.around_with(&Packet::udp(vip).frame(), &[0xaa; 8]));
            for private in crate::second_chance::samples(outer) {
                base.push(outer.around_with(&Packet::tcp(vip).frame(), &private));
            }
        }
    }
    base.extend(crate::congestion::samples());
    let rounds = rounds();
    let mut reasons = BTreeSet::new();
    for round in &rounds {
        let mut bench = Decap(crate::agent::Site::new()?);
        bench.0.first = Some(first_buffer);
        let frames = mutated(round.seed, round.frames, &base);
        let expected: Vec<(Ran, Counts)> = frames
            .iter()
            .map(|frame| {
                let (reason, frame) = opened(frame);
                reasons.insert(reason);
                let verdict = Verdict::of(reason);
                (Ran { verdict, frame }, Counts::reason(reason))
            })
            .collect();
        let wrong = agree(&bench, oracle::judge_opened, &frames, &expected)?;
        round.close("agent", &wrong);
    }
    if !have_met_everything(&rounds) {
        return Ok(());
    }
    for reason in Reason::ALL.iter().filter(|r| **r >= Reason::Decapsulated) {
        // Without sockets nobody knows a flow.
        let never = [Reason::MssClamped, Reason::SecondChance];
        assert_eq!(
            reasons.contains(reason),
            !never.contains(reason),
            "{reason:?}"
        );
    }
    Ok(())
}

/// What user space makes of a frame.
fn opened(frame: &[u8]) -> (Reason, Vec<u8>) {
    match agent::open(in_buffers(frame, Some(first_buffer)), &Serving) {
        Ok(Fate::Opened(opened)) => {
            let mut out = frame[..12].to_vec();
            out.extend(opened.ether_type.to_ne_bytes());
            out.extend_from_slice(&frame[14 + opened.outer_length..]);
            if let Some(mark) = opened.mark {
                mark.write(&mut out[..], 14);
            }
            (opened.reason, out)
        }
        Ok(Fate::HandedOn(hand_on)) => {
            let mut out = frame.to_vec();
            match hand_on.next.is_ipv4() {
                true => hand_on.write_ipv4(&mut out[..]),
                false => hand_on.write_ipv6(&mut out[..]),
            }
            (hand_on.reason, out)
        }
        Err(reason) => (reason, frame.to_vec()),
    }
}

#[test]
fn clamp_and_the_pure_function_find_alike() -> Result<()> {
    let limits = Limits::new(1_600, true);
    let mut base = Vec::new();
    for vip in [VIP_V4, VIP_V6] {
        for options in [
            &[2, 4, 0x23, 0][..],
            &[1, 2, 4, 0x23, 0],
            &[
                1, 3, 3, 7, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0x23, 0,
            ],
            &[2, 4, 5, 0xb4],
        ] {
            base.push(crate::clamp::syn_ack(vip, options));
        }
    }
    let rounds = rounds();
    let (mut kept, mut lowered) = (0, 0);
    for round in &rounds {
        let bench = Clamp(crate::agent::Site::new()?);
        let frames: Vec<Vec<u8>> = mutated(round.seed, round.frames, &base)
            .into_iter()
            .filter(|frame| crate::clamp::runs(frame))
            .collect();
        let before = bench.counts()?;
        let ran = bench.run(&frames)?;
        let counted = bench.counts()?.since(&before);
        let (mut wrong, mut all) = (Vec::new(), Counts::default());
        for (frame, ran) in frames.iter().zip(&ran) {
            let mut expected = Ran {
                verdict: Verdict::Pass,
                frame: frame.clone(),
            };
            match clamp::excess(&frame[..], limits, is_vip) {
                None => kept += 1,
                Some(excess) => {
                    let (value, sum) = (excess.value_at, excess.checksum_at);
                    expected.frame[value..value + 2].copy_from_slice(&excess.limit.to_be_bytes());
                    // The checksum is the rows' business; that it changes alike, this one's.
                    expected.frame[sum..sum + 2].copy_from_slice(&ran.frame[sum..sum + 2]);
                    lowered += 1;
                    all = all.plus(&Counts::reason(Reason::MssClamped));
                }
            }
            wrong.extend(disagreement(frame, ran, &expected));
        }
        if counted != all {
            wrong.push(format!("counted {counted:?}, not {all:?}"));
        }
        round.close("clamp", &wrong);
    }
    assert!(
        !have_met_everything(&rounds) || kept > 1_000 && lowered > 0,
        "{kept} kept, {lowered} lowered"
    );
    Ok(())
}
