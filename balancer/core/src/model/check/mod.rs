//! How a backend's health is asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A health check of every backend of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// The TCP port asked; usually the service's own.
    pub port: u16,
    /// From the start of one probe to the start of the next, in milliseconds; jittered by 10 %, only ever earlier.
    pub interval_ms: u32,
    /// A probe without an answer for this long, in milliseconds, has failed; at most the interval.
    pub timeout_ms: u32,
    /// Passed probes in a row that make a down backend healthy.
    pub rise: u8,
    /// Failed probes in a row that make a healthy backend down.
    pub fall: u8,
}

/// What a probe asks of a backend's own address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CheckKind {
    /// A TCP connection is accepted.
    Tcp,
    /// `GET path` over HTTP/1.1 answers with a status from 200 to 399.
    Http {
        /// The request's path, beginning with `/`.
        path: String,
    },
}

impl Check {
    /// From the start of one probe to the start of the next.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.into())
    }

    /// How long a probe may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }
}
