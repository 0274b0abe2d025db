//! What a site shows of itself.

use balancer_api::site_api::views::{InstanceView, Phase, TargetView, WorkloadView};
use balancer_core::model::Label;

use super::{
    agent::Agent, autoscaling::Autoscaling, instances::Instances, problems::Problems, tasks::Tasks,
};
use crate::{
    runtime::Observed,
    site::{self, Instance, TargetKey, Wanted, World},
};

/// Why one that runs is restarted.
pub(super) const NOT_ALIVE: &str = "its liveness probe fails";

/// What views are made of.
pub(super) struct Shown<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) instances: &'a Instances,
    pub(super) agent: &'a Agent,
    pub(super) autoscaling: &'a Autoscaling,
    pub(super) tasks: &'a Tasks,
    pub(super) problems: &'a Problems,
}

impl Shown<'_> {
    /// Every workload, in order of slugs.
    pub(super) fn workloads(&self) -> Vec<WorkloadView> {
        let workloads = self.world.memory.workloads.iter();
        workloads
            .map(|(slug, wanted)| self.workload(slug, wanted))
            .collect()
    }

    fn workload(&self, slug: &Label, wanted: &Wanted) -> WorkloadView {
        let world = self.world;
        let targets = wanted.targets(world.city).map(|target| TargetView {
            name: target.name.clone(),
            min_replicas: target.min_replicas,
            max_replicas: target.max_replicas,
            wanted_replicas: world.replicas(slug, target),
            cpu_percent: self.autoscaling.cpu_percent(&TargetKey {
                slug: slug.clone(),
                target: target.name.clone(),
            }),
        });
        let instances = world.instances.iter().filter(|each| &each.slug == slug);
        let mut problems = self.problems.iter();
        let problem = problems.find(|(name, _)| wanted.names(world.city, name));
        WorkloadView {
            slug: slug.clone(),
            vips: wanted.vips.clone(),
            digest: wanted.workload.digest(),
            instance_digest: wanted.workload.instance_digest(),
            removing: wanted.removing,
            converged: site::is_converged(world, slug, wanted),
            problem: problem.map(|(name, sentence)| format!("{name}: {sentence}")),
            targets: targets.collect(),
            instances: instances
                .map(|instance| self.instance(wanted, instance))
                .collect(),
        }
    }

    fn instance(&self, wanted: &Wanted, instance: &Instance) -> InstanceView {
        let seen = self.instances.get(&instance.name);
        let phase = match site::phase(self.world, instance) {
            Phase::Draining if self.tasks.is_instance_busy(&instance.name) => Phase::Stopping,
            phase => phase,
        };
        InstanceView {
            name: instance.name.clone(),
            target: instance.target.clone(),
            addresses: seen.map(|seen| seen.addresses.clone()).unwrap_or_default(),
            phase,
            restarts: instance.restarts,
            reason: self.reason(wanted, instance, seen, phase),
        }
    }

    /// Why an instance does not serve.
    fn reason(
        &self,
        wanted: &Wanted,
        instance: &Instance,
        seen: Option<&Observed>,
        phase: Phase,
    ) -> Option<String> {
        if let Some(problem) = self.problems.of(&instance.name) {
            return Some(problem.clone());
        }
        if let Some(ended) = seen.and_then(|seen| seen.state.end()) {
            return Some(ended);
        }
        let attends = |seen: &Observed| {
            let agent = self.agent;
            agent.attends(&seen.name, &seen.netns, &wanted.vips)
        };
        let reason = match phase {
            Phase::Failed => NOT_ALIVE,
            Phase::Starting if instance.ready => "an edge does not send it packets yet",
            Phase::Starting if seen.is_some_and(attends) => "its readiness probe has not passed",
            Phase::Starting => "the host's agent does not attend it yet",
            Phase::Serving | Phase::Draining | Phase::Stopping => return None,
        };
        Some(reason.to_owned())
    }
}
