//! How many instances each target is to have, by the CPU time that they use.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use balancer_config::workload::Target;
use balancer_core::model::City;

use super::cpu::CpuTimes;
use crate::{
    autoscale::{Autoscaler, Policy, Sample, Usage},
    site::{Instance, Life, Memory, TargetKey},
};

/// Every target's autoscaler.
pub(super) struct Autoscaling {
    scale_down_window_ms: u64,
    started: Instant,
    autoscalers: BTreeMap<TargetKey, Autoscaler>,
    /// When each instance was last measured, and how much CPU time it had used then.
    before: BTreeMap<String, (Instant, u64)>,
    /// The average use of the requested CPU, in percent.
    cpu_percent: BTreeMap<TargetKey, u32>,
}

/// A target that follows its load.
struct Scaled<'a> {
    key: TargetKey,
    target: &'a Target,
    target_percent: u32,
    /// What an instance requests, in thousandths of a CPU.
    request_millis: u64,
}

impl Autoscaling {
    pub(super) fn new(scale_down_window_ms: u64) -> Self {
        Self {
            scale_down_window_ms,
            started: Instant::now(),
            autoscalers: BTreeMap::new(),
            before: BTreeMap::new(),
            cpu_percent: BTreeMap::new(),
        }
    }

    /// The average use of a target's requested CPU, in percent; `None` until it was measured.
    pub(super) fn cpu_percent(&self, target: &TargetKey) -> Option<u32> {
        self.cpu_percent.get(target).copied()
    }

    /// Decides how many instances each target that follows its load is to have, from their CPU times.
    pub(super) fn decide(
        &mut self,
        memory: &Memory,
        city: &City,
        instances: &[Instance],
        used: &CpuTimes,
    ) -> BTreeMap<TargetKey, u32> {
        let mut replicas = BTreeMap::new();
        let mut cpu_percent = BTreeMap::new();
        for scaled in scaled_targets(memory, city) {
            let staying = instances
                .iter()
                .filter(|each| scaled.has(each) && !memory.leaving.contains_key(&each.name));
            let samples: Vec<Sample> = staying
                .map(|each| Sample {
                    request_millis: scaled.request_millis,
                    usage: self.usage(each, used.get(&each.name).copied().flatten()),
                })
                .collect();
            let current = memory.replicas.get(&scaled.key).copied();
            let (count, percent) = self.decide_target(&scaled, current, &samples);
            cpu_percent.extend(percent.map(|percent| (scaled.key.clone(), percent)));
            replicas.insert(scaled.key, count);
        }
        let names: BTreeSet<&str> = instances.iter().map(|each| each.name.as_str()).collect();
        self.before.retain(|name, _| names.contains(name.as_str()));
        self.autoscalers.retain(|key, _| replicas.contains_key(key));
        self.cpu_percent = cpu_percent;
        replicas
    }

    /// The number of instances, and the average use of the requested CPU in percent.
    fn decide_target(
        &mut self,
        scaled: &Scaled<'_>,
        current: Option<u32>,
        samples: &[Sample],
    ) -> (u32, Option<u32>) {
        let Scaled { key, target, .. } = scaled;
        let policy = Policy {
            scale_down_window_ms: self.scale_down_window_ms,
            ..Policy::new(
                target.min_replicas,
                target.max_replicas,
                scaled.target_percent,
            )
        };
        // Where nothing was decided before, as many as there are.
        let found = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        let current = current.unwrap_or(found);
        let current = current.clamp(target.min_replicas, target.max_replicas);
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let autoscaler = self.autoscalers.entry(key.clone()).or_default();
        let decision = autoscaler.decide(&policy, current, samples, now_ms);
        let percent = decision.demand.utilization_percent;
        if decision.replicas != current {
            tracing::info!(
                "{}: {current} to {} instances of {}, at {} % of the requested CPU",
                key.slug,
                decision.replicas,
                key.target,
                percent.unwrap_or_default()
            );
        }
        (decision.replicas, percent)
    }

    /// What an instance used since it was measured before.
    fn usage(&mut self, instance: &Instance, used: Option<(Instant, u64)>) -> Usage {
        let before = match used {
            Some(used) => self.before.insert(instance.name.clone(), used),
            None => self.before.remove(&instance.name),
        };
        let ready = instance.ready && instance.life == Life::Running;
        match (before, used) {
            _ if !ready => Usage::NotReady,
            (Some((then, was)), Some((now, is))) if now > then => {
                let elapsed = u64::try_from((now - then).as_nanos()).unwrap_or(u64::MAX);
                // A restarted container begins at 0 again.
                Usage::Measured(is.saturating_sub(was).saturating_mul(1_000) / elapsed)
            }
            (None, Some(_)) => Usage::NotReady,
            _ => Usage::Missing,
        }
    }
}

impl Scaled<'_> {
    fn has(&self, instance: &Instance) -> bool {
        instance.slug == self.key.slug && instance.target == self.key.target
    }
}

/// The instances whose CPU time decides something.
pub(super) fn scaled_instances(
    memory: &Memory,
    city: &City,
    instances: &[Instance],
) -> Vec<String> {
    let scaled: Vec<Scaled<'_>> = scaled_targets(memory, city).collect();
    let instances = instances.iter();
    instances
        .filter(|each| scaled.iter().any(|scaled| scaled.has(each)))
        .map(|each| each.name.clone())
        .collect()
}

fn scaled_targets<'a>(memory: &'a Memory, city: &'a City) -> impl Iterator<Item = Scaled<'a>> {
    memory.workloads.iter().flat_map(move |(slug, wanted)| {
        let containers = wanted.workload.containers.iter();
        let request_millis = containers.map(|each| u64::from(each.cpu_millis)).sum();
        wanted.targets(city).filter_map(move |target| {
            Some(Scaled {
                key: TargetKey {
                    slug: slug.clone(),
                    target: target.name.clone(),
                },
                target,
                target_percent: target.cpu_percent?,
                request_millis,
            })
        })
    })
}
