//! `cargo xtask fuzz`: the kernel's programs and the same decisions in user space, on as many frames as one likes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::{narrate, setup, workspace};

/// Programs that are compared, each by a test of its own, which draws frames of its own.
const PROGRAMS: u64 = 3;

/// The tests, which are among the packet tests with a smaller number of frames.
const TESTS: &str = "agreement::";

/// Draws `frames` frames in all from `seed`, or from that of the repository.
pub(crate) fn run(frames: u64, seed: Option<u64>) -> Result<()> {
    if !workspace::is_root() {
        bail!("fuzzing makes network namespaces and loads BPF programs: run it as root");
    }
    ensure!(frames > 0, "no frames: say how many, like --frames 1000000");
    setup::run()?;
    narrate::step("cargo build", workspace::cargo().arg("build"))?;
    let mut test = workspace::cargo();
    test.args([
        "test",
        "--quiet",
        "--package",
        "testbed",
        "--test",
        "packets",
    ])
    .args(["--", TESTS, "--nocapture"])
    .env(
        "BALANCER_FUZZ_FRAMES",
        frames.div_ceil(PROGRAMS).to_string(),
    );
    if let Some(seed) = seed {
        test.env("BALANCER_FUZZ_SEED", seed.to_string());
    }
    let started = Instant::now();
    let mut tests = test
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut sum = Sum::default();
    for line in BufReader::new(tests.stdout.take().context("no stdout")?).lines() {
        let line = line?;
        sum.read_met(&line);
        if sum.read(&line) {
            let seconds = started.elapsed().as_secs_f64();
            println!("{} of {frames} frames, {seconds:.0} s", sum.frames);
        }
    }
    let passed = tests.wait()?.success();
    for ((program, what), times) in &sum.met {
        println!("{program}: {times} times {what}");
    }
    println!("{}", sum.summary());
    ensure!(
        passed && sum.disagreements == 0,
        "the kernel's programs and user space disagree, or a test could not run: see above"
    );
    ensure!(
        sum.frames >= frames,
        "only {} of {frames} frames were compared",
        sum.frames
    );
    Ok(())
}

/// What the tests tell of their rounds.
#[derive(Default)]
struct Sum {
    frames: u64,
    disagreements: u64,
    /// The smallest: rounds count on from it.
    seed: Option<u64>,
    /// How often frames met something, by program and what.
    met: BTreeMap<(String, String), u64>,
}

impl Sum {
    /// Whether the line tells of a round: `fuzz edge: 48000 frames, seed 7, 0 disagreements`, where libtest may have
    /// written in front.
    fn read(&mut self, line: &str) -> bool {
        let Some((frames, seed, disagreements)) = round(line) else {
            return false;
        };
        self.frames += frames;
        self.disagreements += disagreements;
        self.seed = Some(self.seed.map_or(seed, |least| least.min(seed)));
        true
    }

    /// Reads a line that tells what frames met: `fuzz edge: 7 times no_next_hop`.
    fn read_met(&mut self, line: &str) {
        let told = line.split_once("fuzz ").and_then(|(_, told)| {
            let (program, told) = told.split_once(": ")?;
            let (times, what) = told.split_once(" times ")?;
            Some((program, what, times.parse::<u64>().ok()?))
        });
        if let Some((program, what, times)) = told {
            let key = (program.to_owned(), what.to_owned());
            *self.met.entry(key).or_default() += times;
        }
    }

    fn summary(&self) -> String {
        let seed = self.seed.map_or("none".to_owned(), |seed| seed.to_string());
        format!(
            "{} frames, seed {seed}, {} disagreements",
            self.frames, self.disagreements
        )
    }
}

fn round(line: &str) -> Option<(u64, u64, u64)> {
    let (_, told) = line.split_once("fuzz ")?.1.split_once(": ")?;
    let (frames, rest) = told.split_once(" frames, seed ")?;
    let (seed, rest) = rest.split_once(", ")?;
    let disagreements = rest.strip_suffix(" disagreements")?;
    Some((
        frames.parse().ok()?,
        seed.parse().ok()?,
        disagreements.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_summed_and_the_first_seed_is_told() {
        let mut sum = Sum::default();
        assert!(sum.read("test a ... fuzz edge: 40 frames, seed 8, 0 disagreements"));
        assert!(sum.read("fuzz agent: 2 frames, seed 7, 3 disagreements"));
        assert!(!sum.read("running 3 tests"));
        sum.read_met("fuzz edge: 7 times no_next_hop");
        sum.read_met("fuzz edge: 40 frames, seed 8, 0 disagreements");
        let key = ("edge".to_owned(), "no_next_hop".to_owned());
        assert_eq!(sum.met, BTreeMap::from([(key, 7)]));
        assert_eq!(sum.summary(), "42 frames, seed 7, 3 disagreements");
    }
}
