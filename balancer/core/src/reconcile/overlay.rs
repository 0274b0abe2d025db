//! What this edge's view of health does to a table.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::NextHops;
use crate::{
    model::{AdminState, Backend, BackendId, BackendState, Health},
    state::ServiceState,
    table::Table,
};

/// The table that packets use: the base table, with the slots of unusable backends dealt out to the usable ones.
///
/// A function of the base table and of who is usable now, never of what was before. When nobody is
/// usable it is the base table: the service fails open.
pub fn overlay(
    service: &ServiceState,
    health: &dyn Fn(BackendId) -> Health,
    next_hops: &NextHops,
) -> Arc<Table> {
    let usable = usable(service, health, next_hops);
    // Everybody is: the base table is for these weights already.
    if usable == service.weights() {
        return Arc::clone(&service.table);
    }
    // Without a usable weight a step leaves the table as it is.
    Arc::new(service.table.step(&usable))
}

/// Whether new flows go to unusable backends because no backend that should take them is usable.
pub fn fails_open(
    service: &ServiceState,
    health: &dyn Fn(BackendId) -> Health,
    next_hops: &NextHops,
) -> bool {
    service.weights().values().any(|&weight| weight > 0) && !has_usable(service, health, next_hops)
}

/// Whether a backend that takes new flows is usable.
pub(super) fn has_usable(
    service: &ServiceState,
    health: &dyn Fn(BackendId) -> Health,
    next_hops: &NextHops,
) -> bool {
    let weights = usable(service, health, next_hops);
    weights.values().any(|&weight| weight > 0)
}

/// What a backend is to the data plane; down if the service has no such backend.
pub fn backend_state(
    service: &ServiceState,
    address: IpAddr,
    health: &dyn Fn(BackendId) -> Health,
) -> BackendState {
    match service.service.backends.get(&address) {
        Some(Backend {
            admin: AdminState::Draining,
            ..
        }) => BackendState::Draining,
        Some(_) if is_healthy(service, address, health) => BackendState::Active,
        _ => BackendState::Down,
    }
}

/// The weights of the active backends that are healthy and have a next hop.
fn usable(
    service: &ServiceState,
    health: &dyn Fn(BackendId) -> Health,
    next_hops: &NextHops,
) -> BTreeMap<BackendId, u16> {
    let mut weights = service.weights();
    for (address, id) in &service.ids {
        if !(is_healthy(service, *address, health) && next_hops.contains_key(address)) {
            weights.remove(id);
        }
    }
    weights
}

fn is_healthy(
    service: &ServiceState,
    address: IpAddr,
    health: &dyn Fn(BackendId) -> Health,
) -> bool {
    let id = service.ids.get(&address);
    id.is_some_and(|&id| service.service.check.is_none() || health(id) == Health::Up)
}
