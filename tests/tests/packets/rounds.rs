//! On how many frames the kernel's programs and user space are compared, and from which seed.
//!
//! Within `cargo test` it is one short round for each program. `cargo xtask fuzz` asks for more by the environment.

use std::collections::BTreeMap;
use std::env;

use balancer_common::Reason;

use crate::row::spelled;
use crate::run::Ran;

/// Frames of a round when nobody asks for more: enough to meet everything that a frame can meet.
pub(crate) const SHORT: usize = 12_000;

/// Frames of the longest round: each has a new daemon, whose maps forget nothing during so many.
const LONG: usize = 96_000;

/// Where draws begin when nobody says.
const SEED: u64 = 20_260_801;

/// Disagreements that are shown.
const SHOWN: usize = 10;

/// So many frames, drawn from a seed of their own.
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) frames: usize,
}

/// The rounds of one program.
pub(crate) fn rounds() -> Vec<Round> {
    let frames = number("BALANCER_FUZZ_FRAMES").map_or(SHORT, |frames| frames as usize);
    let seed = number("BALANCER_FUZZ_SEED").unwrap_or(SEED);
    (0..frames.div_ceil(LONG))
        .map(|round| Round {
            seed: seed.wrapping_add(round as u64),
            frames: LONG.min(frames - round * LONG),
        })
        .collect()
}

/// Whether so many frames have met everything that a frame can meet.
pub(crate) fn have_met_everything(rounds: &[Round]) -> bool {
    rounds.iter().map(|round| round.frames).sum::<usize>() >= SHORT
}

impl Round {
    /// Tells what `cargo xtask fuzz` sums up, and fails with what the two sides disagree about.
    pub(crate) fn close(&self, program: &str, disagreements: &[String]) {
        let (Round { seed, frames }, wrong) = (self, disagreements.len());
        println!("fuzz {program}: {frames} frames, seed {seed}, {wrong} disagreements");
        let shown = &disagreements[..wrong.min(SHOWN)];
        assert!(
            wrong == 0,
            "{program}, seed {seed}: {wrong} disagreements, among them\n{}",
            shown.join("\n")
        );
    }
}

/// How often frames met what they can meet.
#[derive(Debug)]
pub(crate) struct Met {
    times: BTreeMap<String, u64>,
    reasons: Vec<Reason>,
}

impl Met {
    /// Of a program that gives these reasons; they are told of though no frame meets them.
    pub(crate) fn of(gives: impl Fn(Reason) -> bool) -> Met {
        let reasons = Reason::ALL.iter().copied().filter(|reason| gives(*reason));
        let reasons: Vec<Reason> = reasons.collect();
        let names = reasons.iter().map(|reason| (reason.name().to_owned(), 0));
        Met {
            times: names.collect(),
            reasons,
        }
    }

    /// Once more.
    pub(crate) fn add(&mut self, name: &str) {
        match self.times.get_mut(name) {
            Some(times) => *times += 1,
            None => {
                self.times.insert(name.to_owned(), 1);
            }
        }
    }

    pub(crate) fn times(&self, name: &str) -> u64 {
        self.times.get(name).copied().unwrap_or(0)
    }

    /// Tells what `cargo xtask fuzz` sums up.
    pub(crate) fn tell(&self, program: &str) {
        for (name, times) in &self.times {
            println!("fuzz {program}: {times} times {name}");
        }
    }

    /// Fails unless every reason was met but these, which were not.
    pub(crate) fn check(&self, never: &[Reason]) {
        for reason in &self.reasons {
            let times = self.times(reason.name());
            assert_eq!(
                times == 0,
                never.contains(reason),
                "{reason:?}: {times} times"
            );
        }
    }
}

/// What the two sides make of a frame, where it is not the same.
pub(crate) fn disagreement(frame: &[u8], kernel: &Ran, user: &Ran) -> Option<String> {
    (kernel != user).then(|| {
        format!(
            "on {}:\n  the kernel {:?} {}\n  user space {:?} {}",
            spelled(frame),
            kernel.verdict,
            spelled(&kernel.frame),
            user.verdict,
            spelled(&user.frame)
        )
    })
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}
