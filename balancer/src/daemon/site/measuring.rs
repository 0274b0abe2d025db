//! CPU time is measured, and decides how many instances there are to be.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use futures::future::join_all;
use tokio::sync::mpsc;

use super::{
    controller::Controller,
    scaling::{Measured, TargetKey},
};
use crate::{
    site::Life,
    workload::{Label, Target},
};

/// How much CPU time each instance has used, in nanoseconds, and when; `None` if it was not to be had.
pub(super) type CpuTimes = BTreeMap<String, Option<(Instant, u64)>>;

impl Controller {
    /// The targets that follow their load.
    fn scaled_targets(&self) -> Vec<(Label, Target)> {
        let workloads = self.memory.workloads.iter();
        workloads
            .flat_map(|(slug, wanted)| {
                let targets = wanted.targets(&self.city);
                targets.map(|target| (slug.clone(), target.clone()))
            })
            .filter(|(_, target)| target.cpu_percent.is_some())
            .collect()
    }

    /// Has CPU time measured, beside everything else: an engine takes its time for it.
    pub(super) fn measure(&self, measured: mpsc::Sender<CpuTimes>) {
        let targets = self.scaled_targets();
        let names: Vec<String> = self
            .instances()
            .into_iter()
            .filter(|each| {
                let of = |(slug, target): &(Label, Target)| {
                    slug == &each.slug && target.name == each.target
                };
                targets.iter().any(of)
            })
            .map(|each| each.name)
            .collect();
        let runtime = Arc::clone(&self.runtime);
        tokio::spawn(async move {
            // While the last one is under way, another would say nothing new.
            let Ok(place) = measured.try_reserve() else {
                return;
            };
            let used = names.into_iter().map(|name| async {
                let used = runtime.cpu_ns(&name).await.ok();
                (name, used.map(|used| (Instant::now(), used)))
            });
            place.send(join_all(used).await.into_iter().collect());
        });
    }

    /// Decides how many instances there are to be.
    pub(super) fn scale(&mut self, used: &CpuTimes) {
        let instances = self.instances();
        let targets = self.scaled_targets();
        for (slug, target) in &targets {
            let containers = &self.memory.workloads[slug].workload.containers;
            let request = containers.iter().map(|each| u64::from(each.cpu_millis));
            let request_millis: u64 = request.sum();
            let staying = instances.iter().filter(|each| {
                &each.slug == slug
                    && each.target == target.name
                    && !self.memory.leaving.contains_key(&each.name)
            });
            let measured: Vec<Measured> = staying
                .map(|instance| Measured {
                    name: instance.name.clone(),
                    request_millis,
                    ready: instance.ready && instance.life == Life::Running,
                    used: used.get(&instance.name).copied().flatten(),
                })
                .collect();
            self.scaling.decide(slug, target, &measured);
        }
        let keys: Vec<TargetKey> = targets
            .iter()
            .map(|(slug, target)| (slug.clone(), target.name.clone()))
            .collect();
        let names: Vec<&str> = instances.iter().map(|each| each.name.as_str()).collect();
        self.scaling.retain(&keys, &names);
        let replicas = self.scaling.remembered();
        if self.memory.replicas != replicas {
            self.memory.replicas = replicas;
            self.save();
        }
    }
}
