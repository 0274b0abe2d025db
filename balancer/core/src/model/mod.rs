//! What a service is made of, as people and the fleet agree on it. No clock, no I/O.

mod address_map;
mod announce;
mod backend;
mod broken;
mod check;
mod endpoint;
mod health;
mod id_set;
mod label;
mod service;
mod service_spec;

pub use address_map::AddressMap;
pub use announce::{Community, Gobgp, OnStop, Speaker, WhenUnhealthy};
pub use backend::{AdminState, Backend, BackendId, BackendSpec, BackendState, Weight};
pub use broken::{Broken, Field, PORT};
pub use check::{Check, CheckKind, CheckSpec, CheckType, Http, Tcp};
pub use endpoint::{Endpoint, FORMS as ENDPOINT_FORMS};
pub use health::{Health, HealthState};
pub use id_set::IdSet;
pub use label::{City, Label};
pub use service::{
    Encapsulation, HashPolicy, Protocol, Service, ServiceId, ServiceKey, ServiceName,
};
pub use service_spec::{DeclarationSpec, LeftOut, ServiceSpec};
