//! The bodies that changes take. Unknown fields are refused.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::model::{
    AdminState, Backend, Check, CheckKind, Encapsulation, Protocol, Service, ServiceKey,
    ServiceName, Weight,
};

/// How long a draining backend stays when nothing is said, in milliseconds.
pub const DEFAULT_DRAIN_TIMEOUT_MS: u32 = 30_000;

/// A service: the body of `POST /v1/services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceBody {
    /// Its name.
    pub name: ServiceName,
    /// The anycast address.
    pub vip: IpAddr,
    /// The destination port.
    pub port: u16,
    /// The protocol above IP; `tcp` when left out.
    #[serde(default = "tcp")]
    pub protocol: Protocol,
    /// How packets travel to its backends; `gue` when left out.
    #[serde(default)]
    pub encapsulation: Encapsulation,
    /// How its backends' health is asked for; not at all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckBody>,
    /// How long a draining backend stays, in milliseconds; 30,000 when left out.
    #[serde(default = "default_drain_timeout_ms")]
    pub drain_timeout_ms: u32,
    /// Its backends.
    #[serde(default)]
    pub backends: Vec<BackendBody>,
}

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
    /// When a probe has failed, in milliseconds; 500 when left out.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
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

/// A backend: the body of `POST /v1/services/NAME/backends`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendBody {
    /// Where encapsulated packets go.
    pub address: IpAddr,
    /// Its share of the slots, 0 to 1,000; 1 when left out.
    #[serde(default)]
    pub weight: Weight,
}

/// The body of `PUT /v1/services/NAME/backends/ADDRESS/weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightBody {
    /// The new weight, 0 to 1,000.
    pub weight: Weight,
}

/// The body of `PUT /v1/desired`: the whole set of services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredBody {
    /// Every service that shall be.
    pub services: Vec<ServiceBody>,
    /// Make it so even where that empties a service.
    #[serde(default)]
    pub force: bool,
    /// Work out the outcome only.
    #[serde(default)]
    pub dry_run: bool,
}

fn tcp() -> Protocol {
    Protocol::Tcp
}

fn default_drain_timeout_ms() -> u32 {
    DEFAULT_DRAIN_TIMEOUT_MS
}

fn default_interval_ms() -> u32 {
    1_000
}

fn default_timeout_ms() -> u32 {
    500
}

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
            timeout_ms: default_timeout_ms(),
            rise: default_rise(),
            fall: default_fall(),
        }
    }

    fn into_check(self, service_port: u16) -> Result<Check, String> {
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
            timeout_ms: self.timeout_ms,
            rise: self.rise,
            fall: self.fall,
        })
    }
}

impl From<BackendBody> for Backend {
    fn from(body: BackendBody) -> Self {
        Self {
            address: body.address,
            weight: body.weight,
            admin: AdminState::Active,
        }
    }
}

impl TryFrom<ServiceBody> for Service {
    type Error = String;

    /// Checks what a body alone can tell; the state checks the rest.
    fn try_from(body: ServiceBody) -> Result<Self, String> {
        let mut backends = BTreeMap::new();
        for backend in body.backends {
            let address = backend.address;
            if backends.insert(address, backend.into()).is_some() {
                return Err(format!(
                    "service `{}` names backend {address} twice: leave one out",
                    body.name
                ));
            }
        }
        Ok(Self {
            name: body.name,
            key: ServiceKey {
                vip: body.vip,
                port: body.port,
                protocol: body.protocol,
            },
            encapsulation: body.encapsulation,
            check: body
                .check
                .map(|check| check.into_check(body.port))
                .transpose()?,
            drain_timeout_ms: body.drain_timeout_ms,
            backends,
        })
    }
}

impl From<&Service> for ServiceBody {
    fn from(service: &Service) -> Self {
        Self {
            name: service.name.clone(),
            vip: service.key.vip,
            port: service.key.port,
            protocol: service.key.protocol,
            encapsulation: service.encapsulation,
            check: service.check.as_ref().map(CheckBody::from),
            drain_timeout_ms: service.drain_timeout_ms,
            backends: service
                .backends
                .values()
                .map(|backend| BackendBody {
                    address: backend.address,
                    weight: backend.weight,
                })
                .collect(),
        }
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
            timeout_ms: check.timeout_ms,
            rise: check.rise,
            fall: check.fall,
        }
    }
}
