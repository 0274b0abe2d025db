//! A service in a body.

use std::{collections::BTreeMap, net::IpAddr};

use balancer_core::model::{Encapsulation, HashPolicy, Protocol, Service, ServiceKey, ServiceName};
use serde::{Deserialize, Serialize};

use super::{BackendBody, CheckBody};

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
    /// Which of a packet's fields choose its backend; `flow` when left out.
    #[serde(default)]
    pub hash: HashPolicy,
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

/// A service without its backends: the body of `PUT /v1/services/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclarationBody {
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
    /// Which of a packet's fields choose its backend; `flow` when left out.
    #[serde(default)]
    pub hash: HashPolicy,
    /// How its backends' health is asked for; not at all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckBody>,
    /// How long a draining backend stays, in milliseconds; 30,000 when left out.
    #[serde(default = "default_drain_timeout_ms")]
    pub drain_timeout_ms: u32,
}

impl DeclarationBody {
    /// The service of this name, without backends.
    ///
    /// # Errors
    ///
    /// A sentence, when the check cannot be.
    pub fn into_service(self, name: ServiceName) -> Result<Service, String> {
        ServiceBody {
            name,
            vip: self.vip,
            port: self.port,
            protocol: self.protocol,
            encapsulation: self.encapsulation,
            hash: self.hash,
            check: self.check,
            drain_timeout_ms: self.drain_timeout_ms,
            backends: Vec::new(),
        }
        .try_into()
    }
}

fn tcp() -> Protocol {
    Protocol::Tcp
}

fn default_drain_timeout_ms() -> u32 {
    DEFAULT_DRAIN_TIMEOUT_MS
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
            hash: body.hash,
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
            hash: service.hash,
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
