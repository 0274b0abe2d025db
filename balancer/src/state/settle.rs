//! The second half of a change: rules, numbers, tables, and the account of what moved.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Outcome, Refusal, ServiceState, State, rules,
    transition::{Draft, Force},
};
use crate::{
    model::{AdminState, BackendId, Service},
    table::{minimum_moved, moved, slots_for},
};

/// Checks the edited services against the rules, and makes the next state of them.
pub(super) fn settle(
    before: &State,
    draft: Draft,
    force: Force,
) -> Result<(State, Outcome), Refusal> {
    let Draft {
        mut services,
        mut ids,
        notes,
        ..
    } = draft;
    let old = &before.services;
    // What the change touched comes last, so that a broken rule is told of it and not of what it clashes with.
    let (same, edited): (Vec<_>, Vec<_>) = services
        .iter()
        .partition(|(name, state)| old.get(*name) == Some(*state));
    rules::check(
        same.into_iter()
            .chain(edited)
            .map(|(_, state)| &state.service),
    )?;

    let mut outcome = Outcome {
        generation: before.generation,
        notes,
        ..Outcome::default()
    };
    for (name, state) in &mut services {
        let was = old.get(name);
        if was == Some(state) {
            continue;
        }
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

    if services == *old {
        return Ok((before.clone(), outcome));
    }
    let mut state = State {
        generation: before.generation + 1,
        services,
        ..before.clone()
    };
    ids.remember(&mut state);
    let known: BTreeSet<BackendId> = state
        .services
        .values()
        .flat_map(|service| service.ids.values().copied())
        .collect();
    state.health.retain(|id, _| known.contains(id));
    outcome.changed = true;
    outcome.generation = state.generation;
    Ok((state, outcome))
}

/// Brings ids and table to the declared backends, and adds what moved to `outcome`.
fn retable(state: &mut ServiceState, outcome: &mut Outcome) {
    let weights = state.weights();
    let takers = weights.values().filter(|&&weight| weight > 0).count();
    let before = state.table.clone();
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
    state.table = table.step(&weights);

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
