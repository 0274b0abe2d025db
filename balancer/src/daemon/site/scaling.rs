//! How many instances each target is to have, by the CPU time that they use.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    autoscale::{Autoscaler, Policy, Sample, Usage},
    workload::{Label, Target},
};

/// A target of a workload.
pub(super) type TargetKey = (Label, Label);

/// What is known of an instance's CPU now.
pub(super) struct Measured {
    pub(super) name: String,
    /// Of all its containers together, in thousandths of a CPU.
    pub(super) request_millis: u64,
    pub(super) ready: bool,
    /// CPU time so far, in nanoseconds, and when that was; `None` if it was not to be had.
    pub(super) used: Option<(Instant, u64)>,
}

/// Every target's autoscaler.
pub(super) struct Scaling {
    scale_down_window_ms: u64,
    started: Instant,
    autoscalers: BTreeMap<TargetKey, Autoscaler>,
    /// When, and how much CPU time an instance had used.
    before: BTreeMap<String, (Instant, u64)>,
    /// How many instances there are to be.
    pub(super) replicas: BTreeMap<TargetKey, u32>,
    /// The average use of the requested CPU, in percent.
    pub(super) cpu_percent: BTreeMap<TargetKey, u32>,
}

impl Scaling {
    /// Goes on with the numbers that an earlier daemon came to, by `SLUG/TARGET`.
    pub(super) fn new(scale_down_window_ms: u64, earlier: &BTreeMap<String, u32>) -> Self {
        let key = |name: &String| -> Option<TargetKey> {
            let (slug, target) = name.split_once('/')?;
            Some((slug.parse().ok()?, target.parse().ok()?))
        };
        let replicas = earlier.iter();
        let replicas = replicas.filter_map(|(name, &count)| Some((key(name)?, count)));
        Self {
            scale_down_window_ms,
            started: Instant::now(),
            autoscalers: BTreeMap::new(),
            before: BTreeMap::new(),
            replicas: replicas.collect(),
            cpu_percent: BTreeMap::new(),
        }
    }

    /// Decides for one target, of whose instances that are to stay this was measured.
    pub(super) fn decide(&mut self, slug: &Label, target: &Target, measured: &[Measured]) {
        let key = (slug.clone(), target.name.clone());
        let Some(target_percent) = target.cpu_percent else {
            self.replicas.remove(&key);
            self.cpu_percent.remove(&key);
            return;
        };
        let samples: Vec<Sample> = measured.iter().map(|each| self.sample(each)).collect();
        let policy = Policy {
            scale_down_window_ms: self.scale_down_window_ms,
            ..Policy::new(target.min_replicas, target.max_replicas, target_percent)
        };
        // A daemon that has just started goes on with what it finds.
        let found = u32::try_from(measured.len()).unwrap_or(u32::MAX);
        let current = self.replicas.get(&key).copied().unwrap_or(found);
        let current = current.clamp(target.min_replicas, target.max_replicas);
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let autoscaler = self.autoscalers.entry(key.clone()).or_default();
        let decision = autoscaler.decide(&policy, current, &samples, now_ms);
        if decision.replicas != current {
            tracing::info!(
                "{slug}: {} to {} instances of {}, at {} % of the requested CPU",
                current,
                decision.replicas,
                target.name,
                decision.demand.utilization_percent.unwrap_or_default()
            );
        }
        match decision.demand.utilization_percent {
            Some(percent) => self.cpu_percent.insert(key.clone(), percent),
            None => self.cpu_percent.remove(&key),
        };
        self.replicas.insert(key, decision.replicas);
    }

    fn sample(&mut self, measured: &Measured) -> Sample {
        let before = match measured.used {
            Some(used) => self.before.insert(measured.name.clone(), used),
            None => self.before.remove(&measured.name),
        };
        let usage = match (before, measured.used) {
            _ if !measured.ready => Usage::NotReady,
            (Some((then, was)), Some((now, is))) if now > then => {
                let elapsed = u64::try_from((now - then).as_nanos()).unwrap_or(u64::MAX);
                // A restarted container begins at 0 again.
                Usage::Measured(is.saturating_sub(was).saturating_mul(1_000) / elapsed)
            }
            (None, Some(_)) => Usage::NotReady,
            _ => Usage::Missing,
        };
        Sample {
            request_millis: measured.request_millis,
            usage,
        }
    }

    /// The numbers, to be remembered.
    pub(super) fn remembered(&self) -> BTreeMap<String, u32> {
        let replicas = self.replicas.iter();
        replicas
            .map(|((slug, target), &count)| (format!("{slug}/{target}"), count))
            .collect()
    }

    /// Forgets targets and instances that are gone.
    pub(super) fn retain(&mut self, targets: &[TargetKey], instances: &[&str]) {
        self.replicas.retain(|key, _| targets.contains(key));
        self.cpu_percent.retain(|key, _| targets.contains(key));
        self.autoscalers.retain(|key, _| targets.contains(key));
        self.before
            .retain(|name, _| instances.contains(&name.as_str()));
    }
}
