//! A service's health check in a body.

use serde::{Deserialize, Serialize};

use balancer_core::model::{Check, CheckKind};

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckBody {
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: CheckType,
    /// The path of an HTTP check; `/` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The TCP port asked; the service's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// From the start of one probe to the start of the next, in milliseconds; 1,000 when left out.
    #[serde(default = "default_interval_ms")]
    pub interval_ms: u32,
    /// When a probe has failed, in milliseconds; 500, or the interval if that is shorter, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Passed probes in a row that make a down backend healthy; 2 when left out.
    #[serde(default = "default_rise")]
    pub rise: u8,
    /// Failed probes in a row that make a healthy backend down; 3 when left out.
    #[serde(default = "default_fall")]
    pub fall: u8,
}

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckType {
    /// A TCP connection is accepted.
    Tcp,
    /// `GET path` answers with a status from 200 to 399.
    Http,
}

fn default_interval_ms() -> u32 {
    1_000
}

/// The longest timeout that is not asked for, in milliseconds.
const DEFAULT_TIMEOUT_MS: u32 = 500;

fn default_rise() -> u8 {
    2
}

fn default_fall() -> u8 {
    3
}

impl CheckBody {
    /// A check of this type with every default.
    pub fn new(kind: CheckType) -> Self {
        Self {
            kind,
            path: None,
            port: None,
            interval_ms: default_interval_ms(),
            timeout_ms: None,
            rise: default_rise(),
            fall: default_fall(),
        }
    }

    pub(super) fn into_check(self, service_port: u16) -> Result<Check, String> {
        let kind = match (self.kind, self.path) {
            (CheckType::Http, path) => CheckKind::Http {
                path: path.unwrap_or_else(|| "/".to_owned()),
            },
            (CheckType::Tcp, None) => CheckKind::Tcp,
            (CheckType::Tcp, Some(_)) => {
                return Err(
                    "a tcp check has no path: leave `path` out, or use an http check".to_owned(),
                );
            }
        };
        Ok(Check {
            kind,
            port: self.port.unwrap_or(service_port),
            interval_ms: self.interval_ms,
            timeout_ms: self
                .timeout_ms
                .unwrap_or(DEFAULT_TIMEOUT_MS.min(self.interval_ms)),
            rise: self.rise,
            fall: self.fall,
        })
    }
}

impl From<&Check> for CheckBody {
    fn from(check: &Check) -> Self {
        let (kind, path) = match &check.kind {
            CheckKind::Tcp => (CheckType::Tcp, None),
            CheckKind::Http { path } => (CheckType::Http, Some(path.clone())),
        };
        Self {
            kind,
            path,
            port: Some(check.port),
            interval_ms: check.interval_ms,
            timeout_ms: Some(check.timeout_ms),
            rise: check.rise,
            fall: check.fall,
        }
    }
}
