//! The desired state as a value: the declared services, their ids, and their tables with histories.
//!
//! [`State::change`] is the only way from one state to the next. It has no clock and no I/O.

mod change;
mod desired;
mod drain;
mod former;
mod ids;
mod lifecycle;
mod numbers;
mod operation;
mod refusal;
pub mod rules;
mod services;
mod settle;
mod taken;
mod transition;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

pub use change::{Change, Outcome};
pub use former::FormerState;
pub use lifecycle::{Event, Happened, Life, MAX_REMEMBERED, PRUNE_EVERY, Phase, REMEMBERED_MS};
pub use numbers::Numbers;
pub use operation::{DoneReason, Operation, OperationId};
pub use refusal::Refusal;
pub use services::Services;

use crate::{
    model::{BackendId, Service, ServiceId},
    table::Table,
};

/// What a fleet agrees on. It is the fold of changes, each with its time: the same changes give the same state everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Counts the changes.
    pub generation: u64,
    /// The key of the flow hash; the same on all edges of a fleet.
    pub hash_key: u64,
    /// The services by name; the next state shares those that a change leaves alone.
    pub services: Services,
    /// Where the search for a free service id begins: ids are used in turn, so that one rests before it is used again.
    next_service_id: u16,
    /// Where the search for a free backend id begins.
    next_backend_id: u16,
}

/// A service and what the edge made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceState {
    /// What was declared, with the backends as they are now.
    pub service: Service,
    /// Its number on this edge.
    pub id: ServiceId,
    /// The generation of the state that changed it last.
    pub generation: u64,
    /// The ids of its backends; every id in its table is here.
    pub ids: BTreeMap<IpAddr, BackendId>,
    /// Owners and history by the operator's wishes alone; health is laid over it by `reconcile`.
    pub table: Arc<Table>,
    /// When draining backends are removed, in milliseconds since 1970; one that drains without an end is not here.
    pub drain_deadline_unix_ms: BTreeMap<IpAddr, u64>,
    /// What events said of its backends, also of those that are gone: these are many, and a copy shares them.
    pub lives: Lives,
    /// The service goes with the last of its draining backends.
    pub removed_when_drained: bool,
}

/// Lives by address.
pub type Lives = RedBlackTreeMapSync<IpAddr, Life>;

impl State {
    /// The state of an edge that has nothing to do yet.
    pub fn new(hash_key: u64) -> State {
        State {
            generation: 0,
            hash_key,
            services: Services::default(),
            next_service_id: 0,
            next_backend_id: 1,
        }
    }

    /// Whether [`Change::EndDrains`] would remove something: a drain's deadline is at or before `now_unix_ms`.
    pub fn has_drain_over(&self, now_unix_ms: u64) -> bool {
        let services = self.services.values();
        services
            .flat_map(|service| service.drain_deadline_unix_ms.values())
            .any(|&deadline| deadline <= now_unix_ms)
    }
}
