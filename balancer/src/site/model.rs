//! What a site remembers, and what it sees.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::ServiceSpec;
use crate::{
    model::{Protocol, ServiceName},
    state::OperationId,
    workload::{City, Label, Target, Workload},
};

/// What a site has to remember over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The workloads that it runs.
    pub workloads: BTreeMap<Label, Wanted>,
    /// The instances that are on their way out, and when their connections are cut at the latest, in milliseconds
    /// since 1970.
    pub leaving: BTreeMap<String, u64>,
    /// How many instances each target that follows its load was last to have, by `SLUG/TARGET`.
    #[serde(default)]
    pub replicas: BTreeMap<String, u32>,
    /// Services that edges may have, and are to forget.
    #[serde(default)]
    pub unwanted: BTreeSet<Declared>,
}

/// A service as edges tell it from others: its name, and what packets call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Declared {
    /// Its name.
    pub name: ServiceName,
    /// Its VIP.
    pub vip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl From<&ServiceSpec> for Declared {
    fn from(service: &ServiceSpec) -> Self {
        Self {
            name: service.name.clone(),
            vip: service.vip,
            port: service.port,
            protocol: service.protocol,
        }
    }
}

/// A workload as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What runs.
    pub workload: Workload,
    /// Its VIPs.
    pub vips: Vec<IpAddr>,
    /// How long an instance that goes may keep its connections, in milliseconds.
    pub drain_timeout_ms: u64,
    /// Whether it is to go.
    pub removing: bool,
}

impl Wanted {
    /// Its targets in a city; none when it is to go.
    pub fn targets<'a>(&'a self, city: &'a City) -> impl Iterator<Item = &'a Target> {
        let targets = self.workload.targets.iter();
        targets.filter(move |target| !self.removing && target.cities.contains(city))
    }
}

/// An instance as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its workload.
    pub slug: Label,
    /// Its target.
    pub target: Label,
    /// What it is made of: [`Workload::instance_digest`] of when it was launched.
    pub digest: String,
    /// Where packets go; `None` while it has no address.
    pub address: Option<IpAddr>,
    /// Which life of it, in milliseconds since 1970.
    pub incarnation: u64,
    /// Whether it runs.
    pub life: Life,
    /// How often it was restarted.
    pub restarts: u32,
    /// Whether it can take packets: its readiness probes pass, and its agent attends it.
    pub ready: bool,
    /// Whether its liveness probes fail.
    pub dead: bool,
}

/// Whether an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It does.
    Running,
    /// One of its containers has ended, at this time in milliseconds since 1970.
    Ended(u64),
    /// Its launch did not end.
    Incomplete,
}

/// What is known of an edge.
#[derive(Clone, Debug, PartialEq)]
pub enum Edge {
    /// What it last said, after everything that it was told.
    Seen(EdgeView),
    /// It was told something, and has not been asked since.
    Pending,
    /// It does not answer.
    Unreachable,
}

/// What an edge says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeView {
    /// Its services.
    pub services: BTreeSet<Declared>,
    /// Those that it has as they were last declared, by this daemon.
    pub declared: BTreeMap<ServiceName, ServiceSpec>,
    /// Its backends.
    pub backends: BTreeMap<(ServiceName, IpAddr), Backend>,
    /// Which drains are over.
    pub done: BTreeSet<OperationId>,
    /// Which life of each backend this daemon has told it of.
    pub told: BTreeMap<(ServiceName, IpAddr), u64>,
}

impl EdgeView {
    /// Whether it has a service of this name.
    pub fn has(&self, name: &ServiceName) -> bool {
        self.services.iter().any(|service| service.name == *name)
    }
}

/// What a backend is to an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Whether it takes no new connections.
    pub draining: bool,
}

/// Everything that a plan is made of.
pub struct World<'a> {
    /// The site's city.
    pub city: &'a City,
    /// What it remembers.
    pub memory: &'a Memory,
    /// Every instance there is, in order of names.
    pub instances: &'a [Instance],
    /// Every edge of the site.
    pub edges: &'a BTreeMap<String, Edge>,
    /// How many instances there are to be, by workload and target; a target that is not here has its `min_replicas`.
    pub replicas: &'a BTreeMap<(Label, Label), u32>,
    /// Now, in milliseconds since 1970.
    pub now_unix_ms: u64,
}

impl World<'_> {
    /// How many instances of a target there are to be.
    pub fn replicas(&self, slug: &Label, target: &Target) -> u32 {
        let wished = self.replicas.get(&(slug.clone(), target.name.clone()));
        let wished = wished.copied().unwrap_or(target.min_replicas);
        wished.clamp(target.min_replicas, target.max_replicas)
    }

    /// Whether an instance is on its way out.
    pub fn is_leaving(&self, instance: &Instance) -> bool {
        self.memory.leaving.contains_key(&instance.name)
    }
}
