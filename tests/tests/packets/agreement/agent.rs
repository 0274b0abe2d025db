//! The agent's program that opens packets.

use anyhow::{Context, Result};
use balancer_common::agent::{self, Evidence, Fate, Instance, Segment};
use balancer_common::frame::WithFrags;
use balancer_common::icmp_error::Quote;
use balancer_common::{Address, Reason};

use super::{Watched, agree, is_vip};
use crate::agent::{Decap, Site, VIP_V4, VIP_V6};
use crate::edge_model::Decided;
use crate::frame::Packet;
use crate::known_flows::{self, Connections};
use crate::mutation::{first_buffer, mutated};
use crate::outer::Outer;
use crate::rounds::{Met, have_met_everything, rounds};
use crate::run::{self, Arrival, Watch, with_frags};
use crate::tally::Tally;
use crate::{congestion, oracle, second_chance};

impl Site {
    /// What its programs count for single frames.
    pub(super) fn tally(&self) -> Result<Tally> {
        let pin = self.pin("decap");
        Tally::open(pin.parent().context("no directory")?, 0)
    }
}

impl Watched for Decap {
    fn run_watched(&self, frames: &[Vec<u8>], watch: Watch<'_>) -> Result<()> {
        let Decap(site) = self;
        let arrival = Arrival {
            first: site.first,
            ..Arrival::default()
        };
        let pin = site.pin("decap");
        run::xdp_watched(&site.instance, &pin, arrival, frames, watch)
    }

    fn tally(&self) -> Result<Tally> {
        self.0.tally()
    }
}

/// As the agent's maps have it, and the instance's sockets.
struct Serving<'a>(&'a Connections);

impl Instance<WithFrags<'_>> for Serving<'_> {
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

    fn knows(&self, segment: &Segment<WithFrags<'_>>) -> Evidence {
        self.0
            .knows(&segment.source, &segment.destination, segment.ports)
    }

    fn knows_quoted(&self, quote: &Quote) -> Evidence {
        let flow = &quote.flow;
        self.0.knows(&flow.source, &flow.destination, flow.ports)
    }
}

// Promise: E22
#[test]
fn decap_and_the_pure_function_open_alike() -> Result<()> {
    let mut base = vec![Packet::udp(VIP_V4).frame()];
    for outer in Outer::ALL {
        for vip in [VIP_V4, VIP_V6] {
            base.push(outer.around(&Packet::tcp(vip).frame()));
            base.push(outer.around_with(&Packet::udp(vip).frame(), &[0xaa; 8]));
            for private in second_chance::samples(outer) {
                base.push(outer.around_with(&Packet::tcp(vip).frame(), &private));
            }
        }
    }
    for outer in [Outer::GueIpv4, Outer::GueIpv6] {
        for inner in known_flows::samples() {
            for private in second_chance::samples(outer) {
                base.push(outer.around_with(&inner, &private));
            }
        }
    }
    // As many as of the others.
    for _ in 0..8 {
        base.extend(congestion::samples());
    }
    let rounds = rounds();
    let mut met = Met::of(|reason| reason >= Reason::Decapsulated);
    for round in &rounds {
        let mut bench = Decap(Site::new()?);
        bench.0.first = Some(first_buffer);
        let frames = mutated(round.seed, round.frames, &base);
        let connections = Connections::make(&bench.0.instance)?;
        let serving = Serving(&connections);
        let expected = frames.iter().map(|frame| opened(frame, &serving)).collect();
        let wrong = agree(&bench, oracle::judge_opened, &frames, expected, &mut met)?;
        connections.check_age()?;
        round.close("agent", &wrong);
    }
    met.tell("agent");
    if have_met_everything(&rounds) {
        // That is the other program's.
        met.check(&[Reason::MssClamped]);
        assert!(met.times(Reason::SecondChance.name()) >= 100, "{met:?}");
    }
    Ok(())
}

/// What user space makes of a frame.
fn opened(frame: &[u8], serving: &Serving<'_>) -> Decided {
    let (reason, out) = match agent::open(with_frags(frame, Some(first_buffer)), serving) {
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
    };
    Decided::met(reason, out)
}
