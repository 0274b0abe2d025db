//! On how many frames the kernel's programs and user space are compared, and from which seed.
//!
//! Within `cargo test` it is one short round for each program. `cargo xtask fuzz` asks for more by the environment.

use std::env;

use crate::row::spelled;
use crate::run::Ran;

/// Frames of a round when nobody asks for more: enough to meet everything that a frame can meet.
pub(crate) const SHORT: usize = 12_000;

/// Frames of the longest round: each has a new daemon, whose maps forget nothing during so many.
const LONG: usize = 48_000;

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
