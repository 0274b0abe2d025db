//! A backend's health: what a row of probes says about it.

use serde::{Deserialize, Serialize};

use super::Check;

/// Whether a backend answers its checks.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Health {
    /// No probe has ended yet.
    #[default]
    Unknown,
    /// Its checks pass.
    Up,
    /// Its checks fail.
    Down,
}

/// The rise and fall of one backend: its health, and how many probes in a row have spoken against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthState {
    health: Health,
    against: u8,
}

impl HealthState {
    /// Of a backend that no probe has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a backend whose health an earlier daemon knew.
    pub fn from_known(health: Health) -> Self {
        Self { health, against: 0 }
    }

    /// The health now.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Takes in the outcome of one probe and returns the new health if it changed.
    ///
    /// The first outcome decides at once; later, `check.rise` passes in a row bring a backend up and
    /// `check.fall` failures in a row take it down.
    pub fn observe(&mut self, check: &Check, passed: bool) -> Option<Health> {
        let (told, needed) = match passed {
            true => (Health::Up, check.rise),
            false => (Health::Down, check.fall),
        };
        if told == self.health {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.health != Health::Unknown && self.against < needed {
            return None;
        }
        *self = Self::from_known(told);
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CheckKind, Tcp};

    const CHECK: Check = Check {
        kind: CheckKind::Tcp(Tcp {}),
        port: 8000,
        interval_ms: 1_000,
        timeout_ms: 500,
        rise: 2,
        fall: 3,
    };

    /// The transitions that a row of outcomes gives: `+` passed, `-` failed.
    fn transitions(mut state: HealthState, outcomes: &str) -> Vec<(usize, Health)> {
        let passed = outcomes.chars().map(|outcome| outcome == '+').enumerate();
        passed
            .filter_map(|(nth, passed)| Some((nth, state.observe(&CHECK, passed)?)))
            .collect()
    }

    // Promise: H1
    #[test]
    fn the_first_probe_decides_at_once() {
        assert_eq!(transitions(HealthState::new(), "+"), [(0, Health::Up)]);
        assert_eq!(transitions(HealthState::new(), "-"), [(0, Health::Down)]);
    }

    // Promise: H1
    #[test]
    fn a_healthy_backend_falls_after_three_failures_in_a_row() {
        let up = HealthState::from_known(Health::Up);
        assert_eq!(transitions(up, "--+--+---"), [(8, Health::Down)]);
    }

    // Promise: H1
    #[test]
    fn a_down_backend_rises_after_two_passes_in_a_row() {
        let down = HealthState::from_known(Health::Down);
        assert_eq!(transitions(down, "+-+-++"), [(5, Health::Up)]);
    }

    #[test]
    fn a_row_begins_anew_after_each_transition() {
        let outcomes = "+---++---";
        let expected = [
            (0, Health::Up),
            (3, Health::Down),
            (5, Health::Up),
            (8, Health::Down),
        ];
        assert_eq!(transitions(HealthState::new(), outcomes), expected);
    }
}
