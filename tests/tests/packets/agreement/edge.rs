//! The edge's program.

use anyhow::Result;
use balancer_common::Reason;

use super::{Watched, agree};
use crate::echo::request;
use crate::edge::{ENCAPSULATIONS, Service, Site};
use crate::edge_model::{Decided, EdgeModel};
use crate::frame::{Packet, Transport};
use crate::moves;
use crate::mutation::{first_buffer, mutated};
use crate::rounds::{Met, have_met_everything, rounds};
use crate::run::{Ran, Watch};
use crate::tags::tagged;
use crate::tally::Tally;
use crate::{by_source, oracle};

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

/// Bytes of packets that just fit behind an outer header, with three alternates or fewer; interfaces take 1,600 bytes.
const LONGEST: [usize; 9] = [
    1_496, 1_512, 1_528, 1_548, 1_552, 1_556, 1_560, 1_568, 1_580,
];

impl Watched for Site {
    fn run_watched(&self, frames: &[Vec<u8>], watch: Watch<'_>) -> Result<()> {
        Site::run_watched(self, frames, watch)
    }

    fn tally(&self) -> Result<Tally> {
        Site::tally(self)
    }
}

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

/// Packets of so many bytes, of a flow.
fn of(transport: Transport, vip: &str, bytes: usize, flow: usize) -> Vec<u8> {
    let ip = if vip.contains(':') { 40 } else { 20 };
    let header = if transport == Transport::Tcp { 20 } else { 8 };
    let payload: Vec<u8> = (0..bytes - ip - header).map(|n| n as u8).collect();
    let packet = Packet::new(transport, vip).ports(10_000 + flow as u16 * 7, 8_000);
    packet.payload(&payload).frame()
}

/// Packets that just fit and that do not, whatever travels along, for every service.
fn longest(services: &[Service]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (_, vip, ..) in services {
        for transport in [Transport::Tcp, Transport::Udp] {
            for (flow, bytes) in LONGEST.iter().enumerate() {
                frames.push(of(transport, vip, *bytes, flow));
                frames.push(of(transport, vip, bytes + 1, flow));
            }
        }
    }
    frames
}

fn decided(model: &EdgeModel, frames: &[Vec<u8>]) -> Vec<Decided> {
    frames.iter().map(|frame| model.decide(frame)).collect()
}

// Promise: E22
#[test]
fn balance_and_the_pure_function_choose_alike() -> Result<()> {
    let services = [
        ENCAPSULATIONS,
        SEVERAL,
        by_source::SERVICES,
        moves::SERVICES,
    ]
    .concat();
    let sound = [flows(&services, 64), longest(&services)].concat();
    let base = base(&services);
    let rounds = rounds();
    let mut met = Met::of(|reason| reason < Reason::Decapsulated);
    for round in &rounds {
        let mut site = Site::within(&services, ["10.64.0.0/20", "fd00:64::/64"])?;
        site.split(first_buffer);
        site.follow(moves::STEPS)?;
        let model = site.model();
        // Not the bench's own judge, which would decide again, and remember fragments that are yet to come.
        let ways = &site.ways;
        let judge = |frame: &[u8], ran: &Ran| {
            oracle::judge(frame, ran)?;
            ways.judge(frame, ran)
        };
        let mut wrong = agree(&site, judge, &sound, decided(model, &sound), &mut met)?;
        let spoilt = mutated(round.seed, round.frames, &base);
        let expected = decided(model, &spoilt);
        wrong.extend(agree(&site, judge, &spoilt, expected, &mut met)?);
        round.close("edge", &wrong);
    }
    met.tell("edge");
    if !have_met_everything(&rounds) {
        return Ok(());
    }
    // What the frames are worth: they met everything that a frame can meet.
    let never = [Reason::NoBackend, Reason::NoHeadroom, Reason::NoTable];
    met.check(&never);
    for count in 1..=3 {
        for family in ["IPv4", "IPv6"] {
            let name = format!("sent with {count} alternates over {family}");
            assert!(met.times(&name) >= 20, "{name}: {met:?}");
        }
    }
    assert!(met.times("sent") > 1_000, "{met:?}");
    // Of a burst, at least, everybody is told.
    assert!(met.times(Reason::ToldTooLarge.name()) >= 50, "{met:?}");
    Ok(())
}

/// What goes wrong in a round.
fn base(services: &[Service]) -> Vec<Vec<u8>> {
    let mut base = flows(services, 4);
    // Few of many slots have had as many owners as one likes.
    base.extend(flows(moves::SERVICES, 16));
    for (n, (_, vip, ..)) in services.iter().enumerate() {
        base.push(of(Transport::Udp, vip, 1_590, n));
        base.push(of(
            Transport::Tcp,
            vip,
            LONGEST[n % LONGEST.len()] + n % 2,
            n,
        ));
    }
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
