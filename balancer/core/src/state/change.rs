//! What can be asked of a state, and what came of it.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::Event;
use crate::model::{Backend, Service, ServiceName, Weight};

/// One change that an operator, a configuration file or the passing of time asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A new service, with or without backends.
    AddService(Service),
    /// A service goes: when its backends have drained, or at once.
    RemoveService {
        /// Which.
        name: ServiceName,
        /// At once, with its connections.
        now: bool,
        /// Also when it has backends.
        force: bool,
    },
    /// A new backend; a draining one with this address takes new flows again.
    AddBackend {
        /// Of which service.
        service: ServiceName,
        /// The backend.
        backend: Backend,
    },
    /// A backend goes: when its drain timeout is over, or at once.
    RemoveBackend {
        /// Of which service.
        service: ServiceName,
        /// Which.
        address: IpAddr,
        /// At once, with its connections.
        now: bool,
        /// Also when no other backend takes new flows.
        force: bool,
    },
    /// A backend takes no new flows until it is added again; it stays until it is removed.
    Drain {
        /// Of which service.
        service: ServiceName,
        /// Which.
        address: IpAddr,
        /// Also when no other backend takes new flows.
        force: bool,
    },
    /// A backend gets another share.
    SetWeight {
        /// Of which service.
        service: ServiceName,
        /// Which.
        address: IpAddr,
        /// The new weight.
        weight: Weight,
        /// Also when no backend takes new flows then.
        force: bool,
    },
    /// The services are to be exactly these. Backends that are not among them drain and go;
    /// services that are not among them go at once.
    Apply {
        /// The whole desired set.
        services: Vec<Service>,
        /// Also when services with backends go, or no backend of a service takes new flows then.
        force: bool,
    },
    /// A service is there with this check and drain time, whatever backends it has; those named here do not count.
    DeclareService(Service),
    /// Something happened to a backend.
    Hear(Event),
    /// A backend that is to be terminated has no socket left.
    Drained {
        /// Of which service.
        service: ServiceName,
        /// Which.
        address: IpAddr,
        /// Which life of it.
        incarnation: u64,
    },
    /// Flows are hashed with another key: most of them go to another backend.
    SetHashKey(u64),
    /// Draining backends whose deadline has passed go.
    EndDrains,
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the state is another one.
    pub changed: bool,
    /// The generation of the state after the change.
    pub generation: u64,
    /// The services that are new, gone or otherwise than before.
    pub services: BTreeSet<ServiceName>,
    /// Slots of the changed services that have another owner now.
    pub moved_slots: usize,
    /// Slots of the changed services.
    pub total_slots: usize,
    /// The fewest slots that had to move for the asked shares.
    pub minimum_moved_slots: usize,
    /// What happened, in sentences for people.
    pub notes: Vec<String>,
}
