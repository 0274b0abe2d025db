//! What of a workload differs from another, as people read it.

use std::fmt::{self, Write};

use crate::workload::{Probe, Workload};

/// An attribute as the workload file has it, and its value as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its path, such as `container["app"].image`.
    pub path: String,
    /// Its value.
    pub value: String,
    /// Whether instances with another value are replaced.
    pub replaces: bool,
}

/// An attribute that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// Its value so far; `None` if it was not set.
    pub old: Option<String>,
    /// Its value from now on; `None` if it is not set any more.
    pub new: Option<String>,
    /// Whether instances are replaced for it.
    pub replaces: bool,
}

/// What stands for a value that is never shown.
const HIDDEN: &str = "(sensitive value)";

/// Every attribute of a workload that is set, in the order of the file's language.
pub(super) fn attributes(workload: &Workload) -> Vec<Attribute> {
    let mut all = All(Vec::new());
    all.put("name", quoted(&workload.name), false);
    all.put("slug", quoted(workload.slug.as_str()), false);
    all.put("anycast", workload.anycast, false);
    for container in &workload.containers {
        let path = format!("container[{:?}]", container.name.as_str());
        let mut put = |key: &str, value: &dyn fmt::Display| {
            all.put(format!("{path}.{key}"), value, true);
        };
        put("image", &quoted(&container.image));
        if !container.command.is_empty() {
            put("command", &format!("{:?}", container.command));
        }
        put("cpu", &format!("{}m", container.cpu_millis));
        put("memory", &memory(container.memory_bytes));
        for (key, value) in &container.env {
            let shown = match container.sensitive.contains(key) {
                true => HIDDEN.to_owned(),
                false => quoted(value),
            };
            put(&format!("env[{key:?}]"), &shown);
        }
        for (key, probe) in [
            ("readiness_probe", &container.readiness),
            ("liveness_probe", &container.liveness),
        ] {
            if let Some(probe) = probe {
                put(key, &probe_text(probe));
            }
        }
        for port in &container.ports {
            let path = format!("{path}.port[{:?}]", port.name.as_str());
            let number = format!("{}/{}", port.port, port.protocol);
            all.put(format!("{path}.port"), number, true);
            let key = format!("{path}.enable_implicit_network_policy");
            all.put(key, port.public, false);
        }
    }
    for target in &workload.targets {
        let path = format!("target[{:?}]", target.name.as_str());
        let mut put = |key: &str, value: &dyn fmt::Display| {
            all.put(format!("{path}.{key}"), value, false);
        };
        put("min_replicas", &target.min_replicas);
        put("max_replicas", &target.max_replicas);
        if let Some(percent) = target.cpu_percent {
            put("average_utilization", &percent);
        }
        let cities: Vec<&str> = target.cities.iter().map(|city| city.as_str()).collect();
        put("cities", &format!("{cities:?}"));
    }
    all.0
}

/// What differs, in the order of the new attributes, then those that are gone.
pub(super) fn changes(old: &Workload, new: &Workload) -> Vec<Change> {
    let (old, new) = (attributes(old), attributes(new));
    let find = |among: &[Attribute], path: &str| {
        let found = among.iter().find(|attribute| attribute.path == path);
        found.map(|attribute| attribute.value.clone())
    };
    let mut changes: Vec<Change> = Vec::new();
    for attribute in &new {
        let before = find(&old, &attribute.path);
        if before.as_ref() != Some(&attribute.value) {
            changes.push(Change {
                path: attribute.path.clone(),
                old: before,
                new: Some(attribute.value.clone()),
                replaces: attribute.replaces,
            });
        }
    }
    for attribute in &old {
        if find(&new, &attribute.path).is_none() {
            changes.push(Change {
                path: attribute.path.clone(),
                old: Some(attribute.value.clone()),
                new: None,
                replaces: attribute.replaces,
            });
        }
    }
    changes
}

/// The changes of values that are never shown: all of them, when the whole differs and nothing else does.
pub(super) fn hidden_changes(workload: &Workload) -> Vec<Change> {
    let hidden = attributes(workload)
        .into_iter()
        .filter(|attribute| attribute.value == HIDDEN);
    hidden
        .map(|attribute| Change {
            path: attribute.path,
            old: Some(HIDDEN.to_owned()),
            new: Some(HIDDEN.to_owned()),
            replaces: true,
        })
        .collect()
}

struct All(Vec<Attribute>);

impl All {
    fn put(&mut self, path: impl Into<String>, value: impl fmt::Display, replaces: bool) {
        self.0.push(Attribute {
            path: path.into(),
            value: value.to_string(),
            replaces,
        });
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// In the largest unit that it is a whole number of.
fn memory(bytes: u64) -> String {
    for (shift, unit) in [(30, "Gi"), (20, "Mi"), (10, "Ki")] {
        if bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn probe_text(probe: &Probe) -> String {
    let mut text = probe.question.kind.asked(probe.question.port);
    let Probe {
        period_seconds,
        timeout_seconds,
        success_threshold,
        failure_threshold,
        initial_delay_seconds,
        ..
    } = probe;
    let _ = write!(
        text,
        ", every {period_seconds} s after {initial_delay_seconds} s, timeout {timeout_seconds} s, \
         {success_threshold} to pass, {failure_threshold} to fail"
    );
    text
}
