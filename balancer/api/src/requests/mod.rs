//! The bodies that changes take. Unknown fields are refused.

mod check;
mod service;

use std::net::IpAddr;

use balancer_core::model::{AdminState, Backend, Weight};
use serde::{Deserialize, Serialize};

pub use self::{
    check::{CheckBody, CheckType},
    service::{DEFAULT_DRAIN_TIMEOUT_MS, DeclarationBody, ServiceBody},
};

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

impl From<BackendBody> for Backend {
    fn from(body: BackendBody) -> Self {
        Self {
            address: body.address,
            weight: body.weight,
            admin: AdminState::Active,
        }
    }
}
