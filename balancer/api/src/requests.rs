//! The bodies that changes take beside the schemas of the model: [`ServiceSpec`], [`DeclarationSpec`] and [`BackendSpec`]. Unknown
//! fields are refused.
//!
//! [`DeclarationSpec`]: balancer_core::model::DeclarationSpec
//! [`BackendSpec`]: balancer_core::model::BackendSpec

use balancer_core::model::{ServiceSpec, Weight};
use serde::{Deserialize, Serialize};

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
    pub services: Vec<ServiceSpec>,
    /// Make it so even where that empties a service.
    #[serde(default)]
    pub force: bool,
    /// Work out the outcome only.
    #[serde(default)]
    pub dry_run: bool,
}
