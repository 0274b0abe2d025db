//! Looking at instances.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use bollard::{
    models::{ContainerInspectResponse, ContainerStateStatusEnum},
    query_parameters::{InspectContainerOptions, StatsOptionsBuilder},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Docker, container::Part, is_missing};
use crate::runtime::{Observed, RuntimeError, State};

/// How many questions the engine gets at once.
const MAX_CONCURRENT: usize = 8;

impl Docker {
    pub(super) async fn observe_all(&self) -> Result<Vec<Observed>, RuntimeError> {
        let parts = self.parts(None).await?;
        let instances: Vec<Vec<Part>> = parts
            .chunk_by(|a, b| a.instance == b.instance)
            .map(<[Part]>::to_vec)
            .collect();
        let seen: Vec<Option<Observed>> = stream::iter(instances)
            .map(|parts| async move { self.observe(&parts).await })
            .buffered(MAX_CONCURRENT)
            .try_collect()
            .await?;
        Ok(seen.into_iter().flatten().collect())
    }

    /// `None` when it was removed in between.
    pub(super) async fn observe(&self, parts: &[Part]) -> Result<Option<Observed>, RuntimeError> {
        let mut containers = Vec::new();
        for part in parts {
            let inspected = self
                .client
                .inspect_container(&part.id, None::<InspectContainerOptions>)
                .await;
            match inspected {
                Ok(inspected) => containers.push((part, inspected)),
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => {
                    return Err(self.refused(format!("inspect {}", part.instance))(error));
                }
            }
        }
        let Some((first, owner)) = containers.first() else {
            return Ok(None);
        };
        let complete = parts.len() == first.count && first.index == 0;
        let started: Vec<u64> = containers
            .iter()
            .map(|(_, seen)| started_at(seen))
            .collect();
        let state = match complete && !started.contains(&0) {
            false => State::Incomplete,
            true => Observed::state_of(containers.iter().map(|(part, seen)| end(part, seen))),
        };
        Ok(Some(Observed {
            name: first.instance.clone(),
            labels: serde_json::from_str(&first.labels).unwrap_or_default(),
            addresses: addresses(owner),
            netns: netns(owner),
            state,
            restarts: first.restarts,
            started_unix_ms: started.into_iter().max().unwrap_or(0),
            notes: Vec::new(),
        }))
    }

    pub(super) async fn cpu_of(&self, name: &str) -> Result<u64, RuntimeError> {
        let mut sum = 0;
        for part in self.existing(name).await? {
            let options = StatsOptionsBuilder::default()
                .stream(false)
                .one_shot(true)
                .build();
            let mut stats = self.client.stats(&part.id, Some(options));
            let stats = stats.try_next().await;
            let stats = stats.map_err(self.refused(format!("measure {name}")))?;
            sum += stats
                .and_then(|stats| stats.cpu_stats?.cpu_usage?.total_usage)
                .unwrap_or(0);
        }
        Ok(sum)
    }
}

/// A container's end, unless it runs.
fn end(part: &Part, seen: &ContainerInspectResponse) -> Option<(String, i32, u64)> {
    use ContainerStateStatusEnum::{PAUSED, RESTARTING, RUNNING, STOPPING};
    let state = seen.state.as_ref()?;
    if matches!(state.status, Some(RUNNING | PAUSED | RESTARTING | STOPPING)) {
        return None;
    }
    let code = state
        .exit_code
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(-1);
    let at = state.finished_at.as_deref().map_or(0, unix_ms);
    Some((part.container.clone(), code, at))
}

/// 0 for a container that never was.
fn started_at(seen: &ContainerInspectResponse) -> u64 {
    let state = seen.state.as_ref();
    state
        .and_then(|state| state.started_at.as_deref())
        .map_or(0, unix_ms)
}

/// The engine's times are RFC 3339 in UTC; its word for "never" is the year 1.
fn unix_ms(text: &str) -> u64 {
    let time = humantime::parse_rfc3339(text).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since
        .and_then(|since| since.as_millis().try_into().ok())
        .unwrap_or(0)
}

fn addresses(owner: &ContainerInspectResponse) -> Vec<IpAddr> {
    let networks = owner
        .network_settings
        .as_ref()
        .and_then(|settings| settings.networks.as_ref());
    let mut addresses: Vec<IpAddr> = networks
        .into_iter()
        .flat_map(|networks| networks.values())
        .flat_map(|endpoint| [&endpoint.ip_address, &endpoint.global_ipv6_address])
        .filter_map(|address| address.as_deref()?.parse().ok())
        .collect();
    addresses.sort();
    addresses
}

/// The engine's own file of the namespace, which leads nowhere once the container has ended; where it is not to be seen from here,
/// the process's.
fn netns(owner: &ContainerInspectResponse) -> PathBuf {
    let settings = owner.network_settings.as_ref();
    let key = settings
        .and_then(|settings| settings.sandbox_key.clone())
        .unwrap_or_default();
    if !key.is_empty() && Path::new(&key).exists() {
        return key.into();
    }
    match owner.state.as_ref().and_then(|state| state.pid) {
        Some(pid) if pid > 0 => format!("/proc/{pid}/ns/net").into(),
        _ => key.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_word_for_never_is_zero() {
        assert_eq!(unix_ms("0001-01-01T00:00:00Z"), 0);
        assert_eq!(unix_ms("2018-02-14T00:28:07.133999999Z"), 1_518_568_087_133);
    }
}
