//! The second half of a change: rules, numbers, tables, and the account of what moved.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Outcome, Refusal, ServiceState, State,
    rules::{self, Totals, Violation},
    services::Edits,
    transition::{Draft, Force},
};
use crate::{
    model::{AdminState, BackendId, Service, ServiceName},
    table::{minimum_moved, moved, slots_for},
};

/// Checks the edited services against the rules, and makes the next state of them.
pub(super) fn settle(
    before: &State,
    draft: Draft<'_>,
    force: Force,
) -> Result<(State, Outcome), Refusal> {
    let Draft {
        mut services,
        mut ids,
        notes,
        ..
    } = draft;
    let differing = services.differing();
    check(&services, &differing)?;

    let mut outcome = Outcome {
        generation: before.generation,
        notes,
        ..Outcome::default()
    };
    if differing.is_empty() {
        return Ok((before.clone(), outcome));
    }
    for name in &differing {
        let was = before.services.get(name);
        let Some(state) = services.get_mut(name) else {
            continue;
        };
        if force == Force::No {
            refuse_emptying(was.map(|was| &was.service), &state.service)?;
        }
        state.generation = before.generation + 1;
        for &address in state.service.backends.keys() {
            if state.ids.contains_key(&address) {
                continue;
            }
            let id = ids.backend().ok_or_else(|| Refusal::Invalid {
                problem: format!("no number is left for backend {address} of service `{name}`"),
                remedy: "remove backends in a change of their own first".into(),
            })?;
            state.ids.insert(address, id);
        }
        retable(state, &mut outcome);
    }
    let (next_service_id, next_backend_id) = ids.next();
    let state = State {
        generation: before.generation + 1,
        hash_key: before.hash_key,
        services: services.done(),
        next_service_id,
        next_backend_id,
    };
    outcome.changed = true;
    outcome.generation = state.generation;
    outcome.services = differing;
    Ok((state, outcome))
}

/// Checks the services that differ, beside the others where these matter.
fn check(services: &Edits<'_>, differing: &BTreeSet<ServiceName>) -> Result<(), Violation> {
    let (before, now) = (services.before(), services.now());
    let keeps_key = |name: &ServiceName| match (before.get(name), now.get(name)) {
        (Some(was), Some(is)) => was.service.key == is.service.key,
        (_, is) => is.is_none(),
    };
    let gets_no_backend = |name: &ServiceName| match (before.get(name), now.get(name)) {
        (Some(was), Some(is)) => {
            let was = &was.service.backends;
            (is.service.backends.keys()).all(|address| was.contains_key(address))
        }
        (_, is) => is.is_none(),
    };
    let changed = differing.iter().filter_map(|name| now.get(name));
    let changed = changed.map(|state| &state.service);
    let moved = !differing.iter().all(keeps_key);
    // Whoever leaves, or has backends leave, clashes with nobody.
    if !moved && differing.iter().all(gets_no_backend) {
        return rules::check_values(changed);
    }
    if moved {
        let unchanged = now.iter().filter(|(name, _)| !differing.contains(*name));
        let unchanged = unchanged.map(|(_, state)| &state.service);
        return rules::check_edited(unchanged, changed);
    }
    // Keys are as they were: of all that is unchanged, only a service with its VIP at a backend's address can clash.
    let addresses = differing.iter().filter_map(|name| now.get(name));
    let addresses = addresses.flat_map(|state| state.service.backends.keys());
    let clashing: BTreeSet<&ServiceName> = addresses
        .flat_map(|&address| before.taken().at(address))
        .filter(|name| !differing.contains(*name))
        .collect();
    let apart = differing.iter().chain(clashing.iter().copied());
    let mut others = Totals {
        services: before.len(),
        backends: before.taken().backends(),
    };
    for state in apart.filter_map(|name| before.get(name)) {
        others.services -= 1;
        others.backends -= state.service.backends.len();
    }
    let clashing = clashing.into_iter().map(|name| &before[name].service);
    rules::check_beside(others, clashing.chain(changed).collect())
}

/// Brings ids and table to the declared backends, and adds what moved to `outcome`.
fn retable(state: &mut ServiceState, outcome: &mut Outcome) {
    let weights = state.weights();
    let takers = weights.values().filter(|&&weight| weight > 0).count();
    let before = Arc::clone(&state.table);
    let slots = slots_for(takers).max(before.slots());
    let mut table = before.grown(slots);
    let backends = &state.service.backends;
    state.ids.retain(|address, id| {
        let stays = backends.contains_key(address);
        if !stays {
            table = table.without(*id);
        }
        stays
    });
    let table = table.step(&weights);
    if table != *before {
        state.table = Arc::new(table);
    }

    let moved = moved(&before, &state.table);
    outcome.moved_slots += moved;
    outcome.total_slots += slots;
    // Without a taker only the slots of removed backends move, and each of them has to.
    outcome.minimum_moved_slots += match takers {
        0 => moved,
        _ => minimum_moved(&before, slots, &weights),
    };
}

impl ServiceState {
    /// The weights that the base table is for: those of active backends.
    pub fn weights(&self) -> BTreeMap<BackendId, u16> {
        let backends = self.service.backends.values();
        backends
            .filter(|backend| backend.admin == AdminState::Active)
            .filter_map(|backend| Some((*self.ids.get(&backend.address)?, backend.weight.get())))
            .collect()
    }
}

/// Refuses to take a service's last backend, or the last one that takes new flows.
fn refuse_emptying(was: Option<&Service>, is: &Service) -> Result<(), Refusal> {
    let Some(was) = was else { return Ok(()) };
    if !was.backends.is_empty() && is.backends.is_empty() {
        return Err(Refusal::leaves_nobody(&is.name, "no backend"));
    }
    if takes_new_flows(was) && !takes_new_flows(is) {
        return Err(Refusal::leaves_nobody(
            &is.name,
            "no backend that takes new flows",
        ));
    }
    Ok(())
}

fn takes_new_flows(service: &Service) -> bool {
    let mut backends = service.backends.values();
    backends.any(|backend| backend.admin == AdminState::Active && backend.weight.get() > 0)
}
