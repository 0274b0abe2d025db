//! What a site shows.

use std::net::IpAddr;

use balancer_core::model::{City, Label};
use serde::{Deserialize, Serialize};

/// A site: the one item of `GET /v1/site`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteView {
    /// The daemon's version.
    pub version: String,
    /// Its city.
    pub city: City,
    /// What its instances run in: `docker` or `builtin`.
    pub runtime: String,
    /// Its workloads, in order of their slugs.
    pub workloads: Vec<WorkloadView>,
    /// What goes wrong now, a sentence each.
    pub warnings: Vec<String>,
}

/// A workload at a site: an item of `GET /v1/workloads`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadView {
    /// Its slug.
    pub slug: Label,
    /// Its VIPs.
    pub vips: Vec<IpAddr>,
    /// [`balancer_config::workload::Workload::digest`] of what was asked for last.
    pub digest: String,
    /// [`balancer_config::workload::Workload::instance_digest`] of what was asked for last.
    pub instance_digest: String,
    /// Whether it is being removed.
    pub removing: bool,
    /// Whether everything is as it was asked for: as many instances as wanted serve, and no others are there.
    pub converged: bool,
    /// Why it does not get there, in a sentence; `None` while nothing stands in the way.
    pub problem: Option<String>,
    /// Its targets in this city.
    pub targets: Vec<TargetView>,
    /// Its instances, in order of their names.
    pub instances: Vec<InstanceView>,
}

/// A target of a workload at a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Its name.
    pub name: Label,
    /// The fewest instances.
    pub min_replicas: u32,
    /// The most instances.
    pub max_replicas: u32,
    /// How many there are to be now.
    pub wanted_replicas: u32,
    /// The average use of the requested CPU, in percent; `None` until it was measured.
    pub cpu_percent: Option<u32>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its name.
    pub name: String,
    /// Its target.
    pub target: Label,
    /// Its addresses, without prefix lengths.
    pub addresses: Vec<IpAddr>,
    /// How far it is.
    pub phase: Phase,
    /// How often it was restarted.
    pub restarts: u32,
    /// Why it is not further, in a sentence.
    pub reason: Option<String>,
}

/// How far an instance is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// Launched, and not ready yet, or not known to every edge yet.
    Starting,
    /// Ready, and every edge that can be reached sends it packets.
    Serving,
    /// It ended or does not answer, and will be restarted.
    Failed,
    /// It takes no new connections, and goes when the old ones have ended.
    Draining,
    /// It is being removed.
    Stopping,
}
