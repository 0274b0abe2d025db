//! What a workload is made of, checked: containers, and where how many instances of them run.

use std::{collections::BTreeMap, collections::BTreeSet};

use balancer_core::model::{City, Label, Protocol, ServiceName};
use serde::{Deserialize, Serialize};

use super::Question;
use crate::fnv1a;

/// A workload: instances of the same containers in several cities, behind one anycast address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// What people call it.
    pub name: String,
    /// What machines call it; unique, and never changed in its life.
    pub slug: Label,
    /// Whether it has a VIP, the same in all its cities.
    pub anycast: bool,
    /// What an instance runs; they share its network namespace. At least one.
    pub containers: Vec<Container>,
    /// Where it runs. At least one.
    pub targets: Vec<Target>,
}

/// One container of each instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Unique in its workload.
    pub name: Label,
    /// The image, as the container engine names it, such as `nginx:latest`.
    pub image: String,
    /// What runs instead of the image's own command; the image's own if empty.
    pub command: Vec<String>,
    /// The ports that it serves.
    pub ports: Vec<Port>,
    /// Processor time, in thousandths of a CPU: request and limit.
    pub cpu_millis: u32,
    /// Memory in bytes: request and limit.
    pub memory_bytes: u64,
    /// The environment of its processes.
    pub env: BTreeMap<String, String>,
    /// Those names of `env` whose values are never shown.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sensitive: BTreeSet<String>,
    /// Whether it can serve; always if `None`.
    pub readiness: Option<Probe>,
    /// Whether it must be restarted; never by a probe if `None`.
    pub liveness: Option<Probe>,
}

/// A port that a container serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Unique in its workload.
    pub name: Label,
    /// The number, 1 to 65535.
    pub port: u16,
    /// The protocol above IP.
    pub protocol: Protocol,
    /// Whether clients reach it through the VIP (`enable_implicit_network_policy`).
    pub public: bool,
}

/// A question that is asked of a container again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The question.
    #[serde(rename = "kind")]
    pub question: Question,
    /// From one probe to the next, in seconds.
    pub period_seconds: u32,
    /// How long an answer may take, in seconds.
    pub timeout_seconds: u32,
    /// After how many passed probes in a row the answer is yes.
    pub success_threshold: u32,
    /// After how many failed probes in a row the answer is no.
    pub failure_threshold: u32,
    /// From the container's start to its first probe, in seconds.
    pub initial_delay_seconds: u32,
}

/// Where a workload runs, and how many instances of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Unique in its workload.
    pub name: Label,
    /// The fewest instances in each city, at least 1.
    pub min_replicas: u32,
    /// The most instances in each city, at least `min_replicas`.
    pub max_replicas: u32,
    /// The average use of the requested CPU that the autoscaler aims at, in percent; `None` leaves the number at
    /// `min_replicas`.
    pub cpu_percent: Option<u32>,
    /// The cities, each once, in the file's order. At least one.
    pub cities: Vec<City>,
}

impl Workload {
    /// Every port of every container.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.containers
            .iter()
            .flat_map(|container| &container.ports)
    }

    /// Every city of every target, each once, in order.
    pub fn cities(&self) -> BTreeSet<&City> {
        self.targets
            .iter()
            .flat_map(|target| &target.cities)
            .collect()
    }

    /// The name of instance `number` of a target in a city: `web-global-sea-1`.
    pub fn instance_name(&self, target: &Target, city: &City, number: u32) -> String {
        let city = city.as_str().to_ascii_lowercase();
        format!("{}-{}-{city}-{number}", self.slug, target.name)
    }

    /// The name of a port's service at the edges: `web-http`.
    ///
    /// # Errors
    ///
    /// When slug and port name are too long together, which the rules of a workload refuse.
    pub fn service_name(&self, port: &Port) -> Result<ServiceName, String> {
        format!("{}-{}", self.slug, port.name).parse()
    }

    /// A digest of all of it, in 16 hexadecimal digits: equal digests mean that nothing is to be changed.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("workloads have string keys");
        format!("{:016x}", fnv1a(&json))
    }

    /// Itself with empty texts for its sensitive values, to be shown or kept.
    pub fn without_secrets(&self) -> Workload {
        let mut workload = self.clone();
        for container in &mut workload.containers {
            let sensitive = &container.sensitive;
            let hidden = container.env.iter_mut();
            for (_, value) in hidden.filter(|(key, _)| sensitive.contains(*key)) {
                value.clear();
            }
        }
        workload
    }

    /// A digest of what each instance is made of, in 16 hexadecimal digits: instances with another digest are to be
    /// replaced. Replicas, cities, public ports and names for people make no difference.
    pub fn instance_digest(&self) -> String {
        let mut containers = self.containers.clone();
        for port in containers
            .iter_mut()
            .flat_map(|container| &mut container.ports)
        {
            // A matter of the edges.
            port.public = false;
        }
        let json = serde_json::to_vec(&containers).expect("containers have string keys");
        format!("{:016x}", fnv1a(&json))
    }
}
