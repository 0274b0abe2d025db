//! The instances that the runtime has.

use std::sync::Arc;

use balancer_api::site_api::command::SiteRefusal;
use balancer_config::workload::Workload;
use balancer_core::model::{City, Label};

use super::{agent::Agent, probes::Probes, warning::Warning};
use crate::{
    runtime::{InstanceSpec, Observed, Runtime, State},
    site::{Instance, Life, Memory, Wanted, services},
};

/// Labels of instances.
const SLUG: &str = "workload";
const TARGET: &str = "target";
const DIGEST: &str = "digest";

/// Every instance of a workload, as the runtime last showed it.
pub(super) struct Instances {
    runtime: Arc<dyn Runtime>,
    seen: Vec<Seen>,
    /// Whether the runtime has shown them once.
    are_known: bool,
    warning: Warning,
}

/// An instance, and what its labels say of it.
pub(super) struct Seen {
    pub(super) slug: Label,
    pub(super) target: Label,
    /// [`Workload::instance_digest`] of when it was launched.
    pub(super) digest: String,
    pub(super) observed: Observed,
}

impl Instances {
    pub(super) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            seen: Vec::new(),
            are_known: false,
            warning: Warning::default(),
        }
    }

    /// Asks the runtime; false if it does not answer.
    pub(super) async fn refresh(&mut self) -> bool {
        match self.runtime.list().await {
            Ok(observed) => {
                self.warning.clear();
                self.seen = observed.into_iter().filter_map(Seen::of).collect();
                self.are_known = true;
                true
            }
            Err(error) => {
                let sentence = format!("instances are not seen: {error}");
                self.warning.raise(sentence);
                false
            }
        }
    }

    /// Whether the runtime has shown them once.
    pub(super) fn are_known(&self) -> bool {
        self.are_known
    }

    /// Every instance, in order of names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter()
    }

    /// Every instance whose workload is remembered, with the workload.
    pub(super) fn with_workloads<'a>(
        &'a self,
        memory: &'a Memory,
    ) -> impl Iterator<Item = (&'a Seen, &'a Wanted)> {
        self.iter()
            .filter_map(|seen| Some((seen, memory.workloads.get(&seen.slug)?)))
    }

    /// An instance by its name.
    pub(super) fn get(&self, name: &str) -> Option<&Observed> {
        let seen = self.seen.iter().find(|seen| seen.observed.name == name);
        seen.map(|seen| &seen.observed)
    }

    /// Whether there is an instance of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// An instance was removed since they were last seen.
    pub(super) fn forget(&mut self, name: &str) {
        self.seen.retain(|seen| seen.observed.name != name);
    }

    /// Every instance, as plans and views see it.
    pub(super) fn planned(&self, memory: &Memory, agent: &Agent, probes: &Probes) -> Vec<Instance> {
        let planned = self.iter().map(|seen| {
            let observed = &seen.observed;
            let (name, started) = (&observed.name, observed.started_unix_ms);
            let reached = memory.workloads.get(&seen.slug).is_none_or(|wanted| {
                services(wanted).is_empty() || agent.attends(name, &observed.netns, &wanted.vips)
            });
            Instance {
                name: name.clone(),
                slug: seen.slug.clone(),
                target: seen.target.clone(),
                digest: seen.digest.clone(),
                address: observed.addresses.first().copied(),
                incarnation: started,
                life: match observed.state {
                    State::Running => Life::Running,
                    State::Exited { at_unix_ms, .. } => Life::Ended(at_unix_ms),
                    State::Incomplete => Life::Incomplete,
                },
                restarts: observed.restarts,
                ready: reached && probes.is_ready(name, started),
                dead: !probes.is_alive(name, started),
            }
        });
        planned.collect()
    }

    /// The names of a workload's instances, or the one that is asked for.
    ///
    /// # Errors
    ///
    /// When the workload has no instance of this name.
    pub(super) fn names(
        &self,
        slug: &Label,
        instance: Option<&str>,
        city: &City,
    ) -> Result<Vec<String>, SiteRefusal> {
        let of_workload = self.iter().filter(|seen| &seen.slug == slug);
        let names = of_workload.map(|seen| seen.observed.name.clone());
        let names: Vec<String> = names
            .filter(|name| instance.is_none_or(|wanted| wanted == name))
            .collect();
        match (instance, names.is_empty()) {
            (Some(name), true) => Err(SiteRefusal::NotFound(format!(
                "workload `{slug}` has no instance `{name}` in {city}"
            ))),
            _ => Ok(names),
        }
    }

    /// Why they are not seen now.
    pub(super) fn warning(&self) -> Option<&str> {
        self.warning.sentence()
    }
}

impl Seen {
    /// `None` if it is no instance of a workload.
    fn of(observed: Observed) -> Option<Self> {
        let label = |key: &str| observed.labels.get(key);
        Some(Self {
            slug: label(SLUG)?.parse().ok()?,
            target: label(TARGET)?.parse().ok()?,
            digest: label(DIGEST)?.clone(),
            observed,
        })
    }
}

/// What an instance of a target is launched as, so that [`Instances`] finds it again.
pub(super) fn spec(name: &str, target: &Label, workload: &Workload) -> InstanceSpec {
    let labels = [
        (SLUG, workload.slug.to_string()),
        (TARGET, target.to_string()),
        (DIGEST, workload.instance_digest()),
    ];
    InstanceSpec {
        name: name.to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        containers: workload.containers.clone(),
    }
}
