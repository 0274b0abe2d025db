//! What a service is made of, as people and the fleet agree on it. No clock, no I/O.

mod announce;
mod backend;
mod check;
mod endpoint;
mod health;
mod id_set;
mod label;
mod service;

pub use announce::{Community, Gobgp, OnStop, Speaker, WhenUnhealthy};
pub use backend::{AdminState, Backend, BackendId, BackendState, Weight};
pub use check::{Check, CheckKind};
pub use endpoint::{Endpoint, FORMS as ENDPOINT_FORMS};
pub use health::{Health, HealthState};
pub use id_set::IdSet;
pub use label::{City, Label};
pub use service::{
    Encapsulation, HashPolicy, Protocol, Service, ServiceId, ServiceKey, ServiceName,
};
