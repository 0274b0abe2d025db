//! What a site remembers, and what it sees.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use balancer_config::workload::{Target, Workload};
use balancer_core::{
    model::{City, Label, Service, ServiceKey, ServiceName},
    state::OperationId,
};
use serde::{Deserialize, Serialize};

use super::{StateChange, services};

/// What a site has to remember over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The workloads that it runs.
    pub workloads: BTreeMap<Label, Wanted>,
    /// The instances that are on their way out, and when their connections are cut at the latest, in milliseconds
    /// since 1970.
    pub leaving: BTreeMap<String, u64>,
    /// How many instances each target that follows its load is to have; a target that is not here has its `min_replicas`.
    #[serde(default)]
    pub replicas: BTreeMap<TargetKey, u32>,
    /// Services that edges may have, and are to forget.
    #[serde(default)]
    pub unwanted: BTreeSet<Declared>,
}

impl Memory {
    /// Makes a planned change.
    pub fn apply(&mut self, change: &StateChange) {
        match change {
            StateChange::Leave {
                name,
                deadline_unix_ms,
            } => drop(self.leaving.insert(name.clone(), *deadline_unix_ms)),
            StateChange::Forget(slug) => drop(self.workloads.remove(slug)),
        }
    }

    /// Has a workload run as it is here. The services that the one before it had beyond that are unwanted from now on.
    pub fn put(&mut self, wanted: Wanted) {
        let wished: BTreeSet<Declared> = services(&wanted).iter().map(Declared::from).collect();
        let earlier = self.workloads.insert(wanted.workload.slug.clone(), wanted);
        let earlier = earlier.iter().flat_map(services);
        self.unwanted
            .extend(earlier.map(|service| Declared::from(&service)));
        self.unwanted.retain(|service| !wished.contains(service));
    }

    /// The VIPs of every workload but one, and whose they are.
    pub fn vips_of_others(&self, slug: &Label) -> BTreeMap<IpAddr, &Label> {
        let others = self.workloads.iter().filter(|(of, _)| *of != slug);
        others
            .flat_map(|(of, wanted)| wanted.vips.iter().map(move |vip| (*vip, of)))
            .collect()
    }
}

/// A target of a workload; `SLUG/TARGET` in text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetKey {
    /// The workload.
    pub slug: Label,
    /// The target's name.
    pub target: Label,
}

impl TryFrom<String> for TargetKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (slug, target) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is no target: expected SLUG/TARGET"))?;
        Ok(Self {
            slug: slug.parse()?,
            target: target.parse()?,
        })
    }
}

impl From<TargetKey> for String {
    fn from(key: TargetKey) -> String {
        format!("{}/{}", key.slug, key.target)
    }
}

/// A service as edges tell it from others: its name, and what packets call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Declared {
    /// Its name.
    pub name: ServiceName,
    /// VIP, port and protocol.
    #[serde(flatten)]
    pub key: ServiceKey,
}

impl From<&Service> for Declared {
    fn from(service: &Service) -> Self {
        Self {
            name: service.name.clone(),
            key: service.key,
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

    /// Whether a name is that of one of its instances in a city, whatever the target and number.
    pub fn names(&self, city: &City, name: &str) -> bool {
        let number = name.rsplit('-').next().and_then(|last| last.parse().ok());
        number.is_some_and(|number| {
            // Another workload's slug may begin with this one's: only the whole name tells.
            let mut targets = self.workload.targets.iter();
            targets.any(|target| self.workload.instance_name(target, city, number) == name)
        })
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
    pub declared: BTreeMap<ServiceName, Service>,
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
    /// Now, in milliseconds since 1970.
    pub now_unix_ms: u64,
}

impl World<'_> {
    /// How many instances of a target there are to be.
    pub fn replicas(&self, slug: &Label, target: &Target) -> u32 {
        let key = TargetKey {
            slug: slug.clone(),
            target: target.name.clone(),
        };
        let wished = self.memory.replicas.get(&key);
        let wished = wished.copied().unwrap_or(target.min_replicas);
        wished.clamp(target.min_replicas, target.max_replicas)
    }

    /// Whether an instance is on its way out.
    pub fn is_leaving(&self, instance: &Instance) -> bool {
        self.memory.leaving.contains_key(&instance.name)
    }
}
