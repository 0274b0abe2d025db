//! What a site shows of itself.

use super::controller::Controller;
use crate::{
    runtime::Observed,
    site::{self, Instance, Phase, Wanted, World},
    site_api::views::{InstanceView, SiteView, TargetView, WorkloadView},
    workload::{City, Label},
};

/// Why one that runs is restarted.
pub(super) const NOT_ALIVE: &str = "its liveness probe fails";

impl Controller {
    /// Everything that the daemon shows, taken now.
    pub(super) fn view(&self) -> SiteView {
        let workloads = self.with_world(|world| {
            let workloads = self.memory.workloads.iter();
            workloads
                .map(|(slug, wanted)| self.workload(world, slug, wanted))
                .collect()
        });
        SiteView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            city: self.city.clone(),
            runtime: self.runtime.kind().to_owned(),
            workloads,
            warnings: self.warnings.values().cloned().collect(),
        }
    }

    fn workload(&self, world: &World<'_>, slug: &Label, wanted: &Wanted) -> WorkloadView {
        let targets = wanted.targets(&self.city).map(|target| {
            let key = (slug.clone(), target.name.clone());
            TargetView {
                name: target.name.clone(),
                min_replicas: target.min_replicas,
                max_replicas: target.max_replicas,
                wanted_replicas: world.replicas(slug, target),
                cpu_percent: self.scaling.cpu_percent.get(&key).copied(),
            }
        });
        let instances = world.instances.iter().filter(|each| &each.slug == slug);
        let problem = self
            .problems
            .iter()
            .find(|(name, _)| is_of(wanted, &self.city, name));
        WorkloadView {
            slug: slug.clone(),
            vips: wanted.vips.clone(),
            digest: wanted.workload.digest(),
            instance_digest: wanted.workload.instance_digest(),
            removing: wanted.removing,
            converged: site::is_converged(world, slug, wanted),
            problem: problem.map(|(name, (trouble, _))| format!("{name}: {trouble}")),
            targets: targets.collect(),
            instances: instances
                .map(|instance| self.instance(world, instance))
                .collect(),
        }
    }

    fn instance(&self, world: &World<'_>, instance: &Instance) -> InstanceView {
        let seen = self.observed.iter().find(|seen| seen.name == instance.name);
        let phase = match site::phase(world, instance) {
            Phase::Draining if self.tasks.is_busy(&instance.name) => Phase::Stopping,
            phase => phase,
        };
        InstanceView {
            name: instance.name.clone(),
            target: instance.target.clone(),
            addresses: seen.map(|seen| seen.addresses.clone()).unwrap_or_default(),
            phase,
            restarts: instance.restarts,
            reason: self.reason(instance, seen, phase),
        }
    }

    /// Why an instance does not serve.
    fn reason(&self, instance: &Instance, seen: Option<&Observed>, phase: Phase) -> Option<String> {
        if let Some((trouble, _)) = self.problems.get(&instance.name) {
            return Some(trouble.clone());
        }
        if let Some(ended) = seen.and_then(|seen| seen.state.end()) {
            return Some(ended);
        }
        match phase {
            Phase::Failed => Some(NOT_ALIVE.to_owned()),
            Phase::Starting if !instance.ready => {
                let attended = self.attended.contains(&instance.name);
                Some(match attended {
                    true => "its readiness probe has not passed".to_owned(),
                    false => "the host's agent does not attend it yet".to_owned(),
                })
            }
            Phase::Starting => Some("an edge does not send it packets yet".to_owned()),
            _ => None,
        }
    }
}

/// Whether a name is that of an instance of this workload: of another one with a longer slug it is not.
pub(super) fn is_of(wanted: &Wanted, city: &City, name: &str) -> bool {
    wanted.workload.targets.iter().any(|target| {
        let number = name.rsplit('-').next().and_then(|last| last.parse().ok());
        number.is_some_and(|number| wanted.workload.instance_name(target, city, number) == name)
    })
}
