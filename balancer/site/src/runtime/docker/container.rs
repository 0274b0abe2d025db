//! One container as the engine is asked for it, and the labels that it is found again by.

use std::collections::HashMap;

use balancer_config::{HostNetwork, fnv1a};
use bollard::models::{
    ContainerCreateBody, ContainerSummary, EndpointSettings, HostConfig, HostConfigLogConfig,
    NetworkingConfig,
};

use crate::runtime::{InstanceSpec, LOG_BYTES};

/// Instance that a container is of.
pub(super) const INSTANCE: &str = "balancer.instance";
/// Which of the instance's containers it is.
const CONTAINER: &str = "balancer.container";
/// Its place among them, from 0; the first owns the network namespace.
const INDEX: &str = "balancer.index";
/// How many there are.
const COUNT: &str = "balancer.count";
/// A digest of the specification.
const SPEC: &str = "balancer.spec";
/// The specification's labels as JSON: an image's own labels mix with a container's.
const LABELS: &str = "balancer.labels";

/// A container of ours, from the engine's list.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) instance: String,
    pub(super) container: String,
    pub(super) index: usize,
    pub(super) count: usize,
    pub(super) spec: String,
    pub(super) labels: String,
    /// Only the first container's is told.
    pub(super) restarts: u32,
}

impl Part {
    /// `None` for a container that lacks one of our labels.
    pub(super) fn read(summary: ContainerSummary) -> Option<Self> {
        let mut labels = summary.labels?;
        let name = summary.names?.into_iter().next()?;
        let index = labels.get(INDEX)?.parse().ok()?;
        Some(Self {
            id: summary.id?,
            instance: labels.remove(INSTANCE)?,
            container: labels.remove(CONTAINER)?,
            index,
            count: labels.get(COUNT)?.parse().ok()?,
            spec: labels.remove(SPEC)?,
            labels: labels.remove(LABELS)?,
            restarts: match index {
                0 => name.rsplit('.').next()?.parse().ok()?,
                _ => 0,
            },
        })
    }
}

/// The engine's name for a container; the first one's has the number of restarts.
pub(super) fn container_name(
    instance: &str,
    container: &str,
    index: usize,
    restarts: u32,
) -> String {
    match index {
        0 => format!("{instance}.{container}.{restarts}"),
        _ => format!("{instance}.{container}"),
    }
}

/// A digest of everything that an instance is made of.
pub(super) fn digest(spec: &InstanceSpec) -> String {
    let json = serde_json::to_vec(spec).expect("a specification has string keys");
    format!("{:016x}", fnv1a(&json))
}

/// What the engine is asked to create for container `index`; `owner` is the id of the network's owner for all but it.
pub(super) fn body(
    spec: &InstanceSpec,
    index: usize,
    network: &HostNetwork,
    owner: Option<&str>,
) -> ContainerCreateBody {
    let container = &spec.containers[index];
    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    labels.extend([
        (INSTANCE.to_owned(), spec.name.clone()),
        (CONTAINER.to_owned(), container.name.to_string()),
        (INDEX.to_owned(), index.to_string()),
        (COUNT.to_owned(), spec.containers.len().to_string()),
        (SPEC.to_owned(), digest(spec)),
        (
            LABELS.to_owned(),
            serde_json::to_string(&spec.labels).expect("string keys"),
        ),
    ]);
    let network_name = super::network::name(network);
    let memory = i64::try_from(container.memory_bytes).unwrap_or(i64::MAX);
    let log_size = (LOG_BYTES / 2).to_string();
    ContainerCreateBody {
        image: Some(container.image.clone()),
        // As a whole: a workload's command replaces the image's entry point.
        entrypoint: (!container.command.is_empty()).then(|| container.command.clone()),
        env: Some(
            container
                .env
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
        ),
        // The others have the owner's name.
        hostname: owner
            .is_none()
            .then(|| spec.name.chars().take(63).collect()),
        labels: Some(labels),
        host_config: Some(HostConfig {
            nano_cpus: Some(i64::from(container.cpu_millis) * 1_000_000),
            memory: Some(memory),
            // No swap beside it.
            memory_swap: Some(memory),
            network_mode: Some(match owner {
                Some(owner) => format!("container:{owner}"),
                None => network_name.clone(),
            }),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), log_size),
                    ("max-file".to_owned(), "2".to_owned()),
                ])),
            }),
            ..HostConfig::default()
        }),
        networking_config: owner.is_none().then(|| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network_name, EndpointSettings::default())])),
        }),
        ..ContainerCreateBody::default()
    }
}
