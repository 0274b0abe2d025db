//! What holds a decision back: limits, the stabilisation window, and the pace of growth.

use std::collections::VecDeque;

use super::demand::{Demand, Sample, demand};

/// How instances follow their load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The fewest instances.
    pub min: u32,
    /// The most instances; at least `min`.
    pub max: u32,
    /// The average CPU utilisation to keep, in per cent of the request; above 0.
    pub target_percent: u32,
    /// How far off the target nothing is done, in per cent of it.
    pub tolerance_percent: u32,
    /// Fewer instances only when nothing in this time asked for more, in milliseconds.
    pub scale_down_window_ms: u64,
    /// The time that the next two are for, in milliseconds.
    pub scale_up_period_ms: u64,
    /// At least so many instances may be added in a period.
    pub scale_up_instances: u32,
    /// Or so many, if that is more, in per cent of the instances at the period's start.
    pub scale_up_percent: u32,
}

impl Policy {
    /// The documented defaults: tolerance 10 %; down after 300 s; up by 4 instances or 100 % in 15 s, whichever is more.
    pub fn new(min: u32, max: u32, target_percent: u32) -> Self {
        Self {
            min,
            max,
            target_percent,
            tolerance_percent: 10,
            scale_down_window_ms: 300_000,
            scale_up_period_ms: 15_000,
            scale_up_instances: 4,
            scale_up_percent: 100,
        }
    }
}

/// What an autoscaler decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How many instances there shall be.
    pub replicas: u32,
    /// What the formula said.
    pub demand: Demand,
}

/// One target's autoscaler: what it said in the time that still counts.
///
/// A new one begins with the number that it finds, so that a restarted daemon takes nothing away before a whole window.
#[derive(Clone, Debug, Default)]
pub struct Autoscaler {
    /// When, and what the formula said; oldest first.
    said: VecDeque<(u64, u32)>,
    /// When, and how many were added; oldest first.
    grown: VecDeque<(u64, u32)>,
}

impl Autoscaler {
    /// Decides for `current` wanted instances, of which `samples` tell. `now_ms` does not go backwards.
    pub fn decide(
        &mut self,
        policy: &Policy,
        current: u32,
        samples: &[Sample],
        now_ms: u64,
    ) -> Decision {
        if self.said.is_empty() {
            self.said.push_back((now_ms, current));
        }
        let demand = demand(
            current,
            samples,
            policy.target_percent,
            policy.tolerance_percent,
        );
        forget(&mut self.said, now_ms, policy.scale_down_window_ms);
        forget(&mut self.grown, now_ms, policy.scale_up_period_ms);
        self.said.push_back((now_ms, demand.replicas));
        let highest = self.said.iter().map(|&(_, said)| said).max();
        let held = match demand.replicas > current {
            true => demand.replicas.min(self.reachable(policy, current)),
            false => highest.unwrap_or(current).min(current),
        };
        let replicas = held.clamp(policy.min, policy.max);
        if replicas > current {
            self.grown.push_back((now_ms, replicas - current));
        }
        Decision { replicas, demand }
    }

    /// The most instances that the pace of growth allows now.
    fn reachable(&self, policy: &Policy, current: u32) -> u32 {
        let added: u32 = self.grown.iter().map(|&(_, added)| added).sum();
        let start = current.saturating_sub(added);
        let by_share = u64::from(start) * u64::from(100 + policy.scale_up_percent);
        let by_share = u32::try_from(by_share.div_ceil(100)).unwrap_or(u32::MAX);
        let allowed = by_share.max(start.saturating_add(policy.scale_up_instances));
        allowed.max(current)
    }
}

/// Drops what is older than `keep_ms`.
fn forget(entries: &mut VecDeque<(u64, u32)>, now_ms: u64, keep_ms: u64) {
    while entries
        .front()
        .is_some_and(|&(at, _)| now_ms.saturating_sub(at) > keep_ms)
    {
        entries.pop_front();
    }
}
