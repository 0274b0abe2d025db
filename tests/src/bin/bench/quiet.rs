//! Whether the machine was quiet while a sample was taken.
//!
//! An empty program is run before and after each sample. The machine's speed jumps between levels for reasons that
//! lie outside; a sample between two slow runs of the empty program says nothing, and is taken again.

use anyhow::Result;

/// How much slower than its best the empty program may be.
const SLOWER: f64 = 1.08;

/// How often a sample is taken before an unquiet one is kept.
const TRIES: usize = 60;

/// What is measured, and the empty program beside it.
pub(crate) trait Probe {
    /// Runs the empty program; nanoseconds a run.
    fn empty(&mut self) -> Result<f64>;
    /// Runs what is measured; nanoseconds a packet.
    fn sample(&mut self) -> Result<f64>;
}

/// A sample, and whether the machine was quiet around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) ns: f64,
    pub(crate) quiet: bool,
}

/// Remembers how fast the empty program can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    best: f64,
    taken: usize,
    kept: usize,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            best: f64::INFINITY,
            taken: 0,
            kept: 0,
        }
    }

    /// The empty program's best, nanoseconds.
    pub(crate) fn best(&self) -> f64 {
        self.best
    }

    /// How many samples were taken so far.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// How many of them were not good, and taken again.
    pub(crate) fn again(&self) -> usize {
        self.taken - self.kept
    }

    /// Takes a sample until the machine is quiet around one; the last one if it never is.
    pub(crate) fn sample(&mut self, probe: &mut impl Probe) -> Result<Sample> {
        let mut before = probe.empty()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let ns = probe.sample()?;
            let after = probe.empty()?;
            self.best = self.best.min(before).min(after);
            let quiet = before.max(after) <= self.best * SLOWER;
            self.taken += 1;
            if quiet || tries == TRIES {
                self.kept += 1;
                return Ok(Sample { ns, quiet });
            }
            before = after;
        }
    }
}

/// The value in the middle; the mean of both if there are two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of the empty program as they come; samples are numbered.
    struct Script {
        empty: Vec<f64>,
        samples: usize,
    }

    impl Probe for Script {
        fn empty(&mut self) -> Result<f64> {
            Ok(match self.empty.len() {
                1 => self.empty[0],
                _ => self.empty.remove(0),
            })
        }

        fn sample(&mut self) -> Result<f64> {
            self.samples += 1;
            Ok(self.samples as f64)
        }
    }

    fn sampled(empty: &[f64]) -> (Sample, usize) {
        let mut script = Script {
            empty: empty.to_vec(),
            samples: 0,
        };
        let mut gate = Gate {
            best: 13.0,
            ..Gate::new()
        };
        let sample = gate.sample(&mut script).unwrap();
        assert_eq!(gate.again(), gate.taken() - 1);
        (sample, script.samples)
    }

    #[test]
    fn a_sample_among_quiet_runs_is_the_first() {
        let (sample, taken) = sampled(&[13.1, 14.0]);
        assert_eq!((sample.ns, sample.quiet, taken), (1.0, true, 1));
    }

    #[test]
    fn a_sample_is_taken_again_until_both_runs_around_it_are_quiet() {
        let (sample, taken) = sampled(&[13.0, 24.0, 24.0, 13.0, 13.2, 13.0]);
        assert_eq!((sample.ns, sample.quiet, taken), (4.0, true, 4));
    }

    #[test]
    fn a_machine_that_is_never_quiet_is_told() {
        let (sample, taken) = sampled(&[24.0]);
        assert_eq!((sample.quiet, taken), (false, TRIES));
    }

    #[test]
    fn a_faster_run_is_the_new_best() {
        let mut script = Script {
            empty: vec![12.0],
            samples: 0,
        };
        let mut gate = Gate::new();
        gate.sample(&mut script).unwrap();
        assert_eq!(gate.best(), 12.0);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 30.0]), 3.0);
    }
}
