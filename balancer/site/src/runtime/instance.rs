//! What an instance is to be, and what was seen of it.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use balancer_config::workload::Container;

/// An instance as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// `<slug>-<target>-<city>-<n>`, unique among the host's instances: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What the instance is found again by. Keys that begin with `balancer.` are the runtime's own.
    pub labels: BTreeMap<String, String>,
    /// At least one; they share the instance's network namespace.
    pub containers: Vec<Container>,
}

/// An instance as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its name.
    pub name: String,
    /// The labels of its specification.
    pub labels: BTreeMap<String, String>,
    /// Its addresses in the host's network, IPv4 first. Empty while it has none.
    pub addresses: Vec<IpAddr>,
    /// Its network namespace. The path, or what is at it, may change with a restart; no namespace may be there once it
    /// has ended.
    pub netns: PathBuf,
    /// Whether it runs.
    pub state: State,
    /// How many times it was restarted.
    pub restarts: u32,
    /// When it was last started, in milliseconds since 1970; 0 if never.
    pub started_unix_ms: u64,
    /// What it does not have that its specification asks for, in sentences.
    pub notes: Vec<String>,
}

/// Whether an instance runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All its containers run.
    Running,
    /// A container has ended; the others may still run.
    Exited {
        /// The first that ended.
        container: String,
        /// Its exit code; 128 and the signal's number if a signal ended it.
        code: i32,
        /// When, in milliseconds since 1970.
        at_unix_ms: u64,
    },
    /// Its launch was interrupted: another launch makes it whole, a removal cleans it.
    Incomplete,
}

impl State {
    /// How an instance that has ended did so, in a sentence.
    pub fn end(&self) -> Option<String> {
        match self {
            Self::Exited {
                container, code, ..
            } => Some(format!("container {container} ended with exit code {code}")),
            Self::Running | Self::Incomplete => None,
        }
    }
}

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The container's name.
    pub container: String,
    /// The line, without its end.
    pub text: String,
}

impl Observed {
    /// The state of an instance from those of its containers, in their order: `None` while one runs, else its end.
    pub(super) fn state_of(ends: impl IntoIterator<Item = Option<(String, i32, u64)>>) -> State {
        let first = ends.into_iter().flatten().min_by_key(|(_, _, at)| *at);
        match first {
            None => State::Running,
            Some((container, code, at_unix_ms)) => State::Exited {
                container,
                code,
                at_unix_ms,
            },
        }
    }
}

impl InstanceSpec {
    /// Refuses what no runtime could keep apart.
    pub(super) fn check(&self) -> Result<(), super::RuntimeError> {
        let refuse = |reason| {
            Err(super::RuntimeError::Spec {
                instance: self.name.clone(),
                reason,
            })
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !self.name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !self.name.chars().all(fits)
        {
            return refuse(
                "a name has letters, digits, '-', '_' and '.', the first a letter or digit",
            );
        }
        if self.name.len() > 200 {
            return refuse("a name has at most 200 bytes");
        }
        if self.containers.is_empty() {
            return refuse("an instance has at least one container");
        }
        if self.labels.keys().any(|key| key.starts_with("balancer.")) {
            return refuse("labels that begin with `balancer.` are the runtime's own");
        }
        let names: std::collections::BTreeSet<_> = self
            .containers
            .iter()
            .map(|container| &container.name)
            .collect();
        if names.len() < self.containers.len() {
            return refuse("two of its containers have the same name");
        }
        Ok(())
    }
}
