//! A backend: what receives packets.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

/// A backend of one service: an address that decapsulates, and how much of the service it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Where encapsulated packets go; unique within a service.
    pub address: IpAddr,
    /// Its share of the slots, relative to the other active backends.
    pub weight: Weight,
    /// What the operator asked for.
    pub admin: AdminState,
}

/// A backend as a file, the API and `lbctl` have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendSpec {
    /// Where encapsulated packets go.
    pub address: IpAddr,
    /// Its share of the slots, 0 to 1,000.
    #[serde(default)]
    pub weight: Weight,
}

impl From<BackendSpec> for Backend {
    fn from(spec: BackendSpec) -> Self {
        Self {
            address: spec.address,
            weight: spec.weight,
            admin: AdminState::Active,
        }
    }
}

impl From<&Backend> for BackendSpec {
    fn from(backend: &Backend) -> Self {
        Self {
            address: backend.address,
            weight: backend.weight,
        }
    }
}

/// A relative share of a service's slots: 0 to 1,000. Zero takes no new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

impl Weight {
    /// The largest weight.
    pub const MAX: u16 = 1_000;
    /// What a weight has to be.
    pub const EXPECTED: &str = "0 to 1000";

    /// The number itself.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u16> for Weight {
    type Error = String;

    fn try_from(weight: u16) -> Result<Self, String> {
        if weight > Self::MAX {
            return Err(format!("weight {weight} is above {}", Self::MAX));
        }
        Ok(Self(weight))
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> u16 {
        weight.0
    }
}

/// What the operator asked of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminState {
    /// Takes new flows while it is healthy.
    #[default]
    Active,
    /// Takes no new flows; removed when its drain ends.
    Draining,
}

/// What a backend is to the data plane: the operator's wish and its health together.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BackendState {
    /// Takes new flows.
    Active,
    /// Keeps old flows only.
    Draining,
    /// Takes none: its health checks fail, or none has passed yet.
    Down,
}

/// A backend's number in the data plane, 1 to 32,767; 0 means "no owner".
///
/// Fleet-wide per (service, address); the index of its record and of its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackendId(pub u16);

impl From<BackendId> for u16 {
    fn from(id: BackendId) -> u16 {
        id.0
    }
}
