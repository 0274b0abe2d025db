//! The bodies that changes take. Unknown fields are refused.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use balancer_config::workload::Workload;
use balancer_core::model::Service;

/// A workload that a site is to run: the body of `PUT /v1/workloads/SLUG`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadBody {
    /// What is to run, with all its targets; a site looks for its own city in them.
    pub workload: Workload,
    /// The workload's VIPs, at most one of each family; none if it is not anycast.
    pub vips: Vec<IpAddr>,
    /// How long an instance that goes may keep its connections, in seconds.
    #[serde(default = "default_drain_timeout_seconds")]
    pub drain_timeout_seconds: u32,
}

/// The drain timeout of a workload that says nothing, in seconds: that of a service.
pub const DEFAULT_DRAIN_TIMEOUT_SECONDS: u32 = Service::DRAIN_TIMEOUT_MS / 1_000;

fn default_drain_timeout_seconds() -> u32 {
    DEFAULT_DRAIN_TIMEOUT_SECONDS
}
