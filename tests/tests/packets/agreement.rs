//! The programs in the kernel and the same decisions in user space, side by side.

mod agent;
mod edge;

use anyhow::{Context, Result};
use balancer_common::clamp::{self, Limits};
use balancer_common::{Address, Reason};

use crate::agent::{Clamp, VIP_V4, VIP_V6};
use crate::counts::Counts;
use crate::edge_model::Decided;
use crate::mutation::mutated;
use crate::rounds::{Met, disagreement, have_met_everything, rounds};
use crate::row::{Bench, spelled};
use crate::run::{self, Ran, Verdict, Watch};
use crate::tally::{Row, Tally};

/// A program that can be watched frame by frame.
trait Watched: Bench {
    fn run_watched(&self, frames: &[Vec<u8>], watch: Watch<'_>) -> Result<()>;
    fn tally(&self) -> Result<Tally>;
}

impl Watched for Clamp {
    fn run_watched(&self, frames: &[Vec<u8>], watch: Watch<'_>) -> Result<()> {
        let Clamp(site) = self;
        run::classifier_watched(&site.instance, &site.pin("clamp"), frames, watch)
    }

    fn tally(&self) -> Result<Tally> {
        self.0.tally()
    }
}

/// Runs the program on all frames, and compares what became of each, and what it was counted at, with what user space made
/// of it, and with the independent parser's judgement; and for every [`SUM`] frames, what the daemon tells of its counters.
/// Gives what is not alike.
fn agree(
    bench: &impl Watched,
    judge: impl Fn(&[u8], &Ran) -> Result<(), String> + Sync,
    frames: &[Vec<u8>],
    expected: Vec<Decided>,
    met: &mut Met,
) -> Result<Vec<String>> {
    let (mut wrong, mut expected) = (Vec::new(), expected.into_iter());
    let mut tally = bench.tally()?;
    for frames in frames.chunks(SUM) {
        let before = bench.counts()?;
        let (mut all, mut left) = (Counts::default(), frames.iter());
        bench.run_watched(frames, &mut |ran| {
            let next = left.next().zip(expected.next());
            let (frame, decided) = next.context("more than was expected")?;
            let decided = decided.held_back(frame, &ran);
            wrong.extend(disagreement(frame, &ran, &decided.ran));
            if let Err(fault) = tally.counted(decided.row)? {
                wrong.push(format!("{fault}: {}", spelled(frame)));
            }
            if let Err(fault) = judge(frame, &ran) {
                let (frame, came) = (spelled(frame), spelled(&ran.frame));
                wrong.push(format!("{fault}: {frame} became {came}"));
            }
            all = std::mem::take(&mut all).plus(&decided.counted);
            met.add(&decided.name);
            Ok(())
        })?;
        for rest in tally.rest()? {
            wrong.push(format!("counted besides: {rest}"));
        }
        let counted = bench.counts()?.since(&before);
        if counted != all {
            wrong.push(format!("counted {counted:?}, not {all:?}"));
        }
    }
    Ok(wrong)
}

/// Frames whose counts are compared as one sum.
const SUM: usize = 6_000;

fn is_vip(address: &Address) -> bool {
    [VIP_V4, VIP_V6].iter().any(|vip| {
        let vip: std::net::IpAddr = vip.parse().expect("an address");
        *address == Address::from(vip)
    })
}

// Promise: E22
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
        let mut tally = bench.tally()?;
        let (mut wrong, mut left) = (Vec::new(), frames.iter());
        bench.run_watched(&frames, &mut |ran| {
            let frame = left.next().context("more than was given")?;
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
                    if let Err(fault) = tally.counted(Row::Reason(Reason::MssClamped))? {
                        wrong.push(format!("{fault}: {}", spelled(frame)));
                    }
                }
            }
            wrong.extend(disagreement(frame, &ran, &expected));
            Ok(())
        })?;
        for rest in tally.rest()? {
            wrong.push(format!("counted besides: {rest}"));
        }
        round.close("clamp", &wrong);
    }
    assert!(
        !have_met_everything(&rounds) || kept > 1_000 && lowered > 0,
        "{kept} kept, {lowered} lowered"
    );
    Ok(())
}
