//! The programs in the kernel and the same decisions in user space, side by side.

use std::collections::BTreeSet;

use anyhow::Result;
use balancer_common::agent::{self, Evidence, Fate, Instance, Segment};
use balancer_common::clamp::{self, Limits};
use balancer_common::{Address, Reason};

use crate::agent::{Clamp, Decap, VIP_V4, VIP_V6};
use crate::counts::Counts;
use crate::echo::request;
use crate::edge::{ENCAPSULATIONS, Service, Site};
use crate::frame::{Packet, Transport};
use crate::mutation::mutated;
use crate::oracle;
use crate::outer::Outer;
use crate::row::{Bench, spelled};
use crate::run::{Ran, Verdict};
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

const SEED: u64 = 20_260_801;

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

/// Runs the program on all frames, compares each with what user space made of it, and the sum of
/// what was counted.
fn agree(
    bench: &impl Bench,
    judge: impl Fn(&[u8], &Ran) -> Result<(), String>,
    frames: &[Vec<u8>],
    expected: &[(Ran, Counts)],
) -> Result<()> {
    let before = bench.counts()?;
    let ran = bench.run(frames)?;
    let counted = bench.counts()?.since(&before);
    let mut all = Counts::default();
    for ((frame, ran), (decided, counts)) in frames.iter().zip(&ran).zip(expected) {
        assert_eq!(ran, decided, "on {}", spelled(frame));
        if let Err(fault) = judge(frame, ran) {
            panic!("{fault}: {} became {}", spelled(frame), spelled(&ran.frame));
        }
        all = all.plus(counts);
    }
    assert_eq!(counted, all);
    Ok(())
}

#[test]
fn balance_and_the_pure_function_choose_alike() -> Result<()> {
    let services = [ENCAPSULATIONS, SEVERAL].concat();
    let site = Site::new(&services)?;
    let likeness = site.likeness();
    let decide = |frames: &[Vec<u8>]| -> (Vec<(Ran, Counts)>, BTreeSet<Option<Reason>>) {
        let decided: Vec<_> = frames.iter().map(|frame| likeness.decide(frame)).collect();
        let reasons = decided.iter().map(|decided| decided.reason).collect();
        let expected = decided.into_iter().map(|d| (d.ran, d.counted)).collect();
        (expected, reasons)
    };
    let sound = flows(&services, 64);
    // Not the bench's own judge, which would decide again, and remember fragments that are yet to come.
    agree(&site, oracle::judge, &sound, &decide(&sound).0)?;

    let mut base = flows(&services, 4);
    base.push(Packet::tcp("198.51.100.1").options(&[1; 40]).frame());
    base.push(Packet::udp("198.51.100.200").frame());
    for tags in [&[0x81, 0, 0, 7][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8]] {
        for (_, vip, _, _) in &services {
            base.push(tagged(Packet::tcp(vip).frame(), tags));
        }
    }
    for vip in ["198.51.100.1", "2001:db8::4"] {
        base.push(request(vip).frame());
        base.push(tagged(request(vip).frame(), &[0x81, 0, 0, 7]));
    }
    base.extend(crate::errors::samples());
    base.extend(crate::extensions::samples());
    base.extend(crate::fragments::samples());
    let spoilt = mutated(SEED, 6_000, &base);
    let (expected, reasons) = decide(&spoilt);
    agree(&site, oracle::judge, &spoilt, &expected)?;
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

/// As the agent's maps have it.
struct Serving;

impl Instance<&[u8]> for Serving {
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
    fn knows(&self, _: &Segment<&[u8]>) -> Evidence {
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
    let bench = Decap(crate::agent::Site::new()?);
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
    let frames = mutated(SEED, 6_000, &base);
    let mut reasons = BTreeSet::new();
    let expected: Vec<(Ran, Counts)> = frames
        .iter()
        .map(|frame| {
            let (reason, out) = match agent::open(&frame[..], &Serving) {
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
                    let mut out = frame.clone();
                    match hand_on.next.is_ipv4() {
                        true => hand_on.write_ipv4(&mut out[..]),
                        false => hand_on.write_ipv6(&mut out[..]),
                    }
                    (hand_on.reason, out)
                }
                Err(reason) => (reason, frame.clone()),
            };
            reasons.insert(reason);
            let ran = Ran {
                verdict: Verdict::of(reason),
                frame: out,
            };
            (ran, Counts::reason(reason))
        })
        .collect();
    agree(&bench, oracle::judge_opened, &frames, &expected)?;
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

#[test]
fn clamp_and_the_pure_function_find_alike() -> Result<()> {
    let bench = Clamp(crate::agent::Site::new()?);
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
    let frames: Vec<Vec<u8>> = mutated(SEED, 6_000, &base)
        .into_iter()
        .filter(|frame| crate::clamp::runs(frame))
        .collect();
    let before = bench.counts()?;
    let ran = bench.run(&frames)?;
    let counted = bench.counts()?.since(&before);
    let (mut lowered, mut kept) = (Counts::default(), 0);
    for (frame, ran) in frames.iter().zip(&ran) {
        assert_eq!(ran.verdict, Verdict::Pass);
        let Some(excess) = clamp::excess(&frame[..], limits, is_vip) else {
            assert_eq!(ran.frame, *frame);
            kept += 1;
            continue;
        };
        let mut expected = frame.clone();
        expected[excess.value_at..excess.value_at + 2].copy_from_slice(&excess.limit.to_be_bytes());
        // The checksum is the rows' business; that it changes alike, this one's.
        let sum = excess.checksum_at;
        expected[sum..sum + 2].copy_from_slice(&ran.frame[sum..sum + 2]);
        assert_eq!(ran.frame, expected, "on {}", spelled(frame));
        lowered = lowered.plus(&Counts::reason(Reason::MssClamped));
    }
    assert_eq!(counted, lowered);
    assert!(
        kept > 1_000 && lowered != Counts::default(),
        "{kept} kept, {lowered:?}"
    );
    Ok(())
}
