//! The second half of a change: rules, numbers, tables, and the account of what moved.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Outcome, Refusal, ServiceState, State,
    rules::{self, Violation},
    transition::{Draft, Force},
};
use crate::{
    model::{AdminState, BackendId, Service, ServiceName},
    table::{minimum_moved, moved, slots_for},
};

/// Services by name.
type Services = BTreeMap<ServiceName, Arc<ServiceState>>;

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
    let old = &before.services;
    let edited = edited(old, &mut services);
    check(old, &services, &edited)?;

    let mut outcome = Outcome {
        generation: before.generation,
        notes,
        ..Outcome::default()
    };
    if edited.is_empty() && services.len() == old.len() {
        return Ok((before.clone(), outcome));
    }
    for name in edited {
        let was = old.get(&name);
        let Some(state) = services.get_mut(&name).map(Arc::make_mut) else {
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
        services,
        next_service_id,
        next_backend_id,
    };
    outcome.changed = true;
    outcome.generation = state.generation;
    Ok((state, outcome))
}

/// Checks the services that were edited, beside the others where these matter.
fn check(
    old: &Services,
    services: &Services,
    edited: &BTreeSet<ServiceName>,
) -> Result<(), Violation> {
    let keeps_its_place = |name: &ServiceName| {
        let (Some(was), Some(is)) = (old.get(name), services.get(name)) else {
            return false;
        };
        let (was, is) = (&was.service, &is.service);
        was.key == is.key && was.backends.keys().eq(is.backends.keys())
    };
    let changed = edited.iter().filter_map(|name| services.get(name));
    let changed = changed.map(|state| &state.service);
    if edited.iter().all(keeps_its_place) {
        return rules::check_values(changed);
    }
    let unchanged = services.iter().filter(|(name, _)| !edited.contains(*name));
    rules::check_edited(unchanged.map(|(_, state)| &state.service), changed)
}

/// The names of services that are new or differ from the old ones; those that only look edited are shared again.
fn edited(old: &Services, services: &mut Services) -> BTreeSet<ServiceName> {
    let mut edited = BTreeSet::new();
    for (name, state) in services {
        match old.get(name) {
            Some(was) if Arc::ptr_eq(was, state) => {}
            Some(was) if was == state => *state = Arc::clone(was),
            _ => drop(edited.insert(name.clone())),
        }
    }
    edited
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
