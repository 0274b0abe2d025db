//! What holds after any row of changes.

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    model::Weight,
    state::{Event, Happened},
    table::slots_for,
};

fn change() -> impl Strategy<Value = Change> {
    let n = 1..9u8;
    let set = prop::collection::btree_set(1..9u8, 0..9).prop_map(Vec::from_iter);
    prop_oneof![
        4 => n.clone().prop_map(add),
        2 => n.clone().prop_map(drain),
        2 => n.clone().prop_map(remove),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, force)| remove_now(n, force)),
        2 => (n, 0..5u16).prop_map(|(n, w)| weight(n, w)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(now, force)| remove_service(now, force)),
        1 => set.clone().prop_map(|set| Change::AddService(service("web", 10, &set))),
        1 => (set.clone(), set, any::<bool>()).prop_map(|(web, other, force)| {
            apply(&[service("web", 10, &web), service("other", 11, &other)], force)
        }),
        2 => Just(Change::EndDrains),
        3 => (1..9u8, 0..3u64, 0..3u8).prop_map(|(n, incarnation, what)| Change::Hear(Event {
            service: name("web"),
            address: address(n),
            incarnation,
            happened: match what {
                0 => Happened::Launched { weight: Weight::default(), agent: None, instance: None },
                1 => Happened::Terminating { deadline_unix_ms: NOW + 60_000 },
                _ => Happened::Terminated,
            },
        })),
    ]
}

/// Changes and the seconds between them.
fn changes() -> impl Strategy<Value = Vec<(Change, u64)>> {
    prop::collection::vec((change(), 0..40u64), 1..25)
}

proptest! {
    // Promise: C7
    #[test]
    fn ids_tables_and_drains_fit_the_declared_backends(changes in changes()) {
        let (mut state, mut now) = (State::new(7), NOW);
        for (change, seconds) in &changes {
            now += seconds * 1_000;
            let Ok((next, outcome)) = state.change(change, now) else { continue };
            prop_assert_eq!(outcome.changed, next != state);
            prop_assert_eq!(next.generation, state.generation + u64::from(outcome.changed));
            prop_assert_eq!(outcome.generation, next.generation);
            prop_assert_eq!(outcome.moved_slots, outcome.minimum_moved_slots);
            let names = state.services.names().chain(next.services.names());
            let differing = names.filter(|name| state.services.get(name) != next.services.get(name));
            prop_assert_eq!(outcome.services, differing.cloned().collect());
            hold(&next)?;
            // One that was read back goes on like the one that was stored.
            let stored = serde_json::to_string(&next).expect("a state is JSON");
            let read: State = serde_json::from_str(&stored).expect("it was stored");
            hold(&read)?;
            state = if now % 2_000 == 0 { read } else { next };
        }
    }

    // Promise: T4
    #[test]
    fn the_same_changes_give_the_same_state(changes in changes()) {
        let run = || changes.iter().fold(State::new(7), |state, (change, seconds)| {
            state.change(change, NOW + seconds).map_or(state, |(next, _)| next)
        });
        prop_assert_eq!(run(), run());
    }
}

fn hold(state: &State) -> Result<(), TestCaseError> {
    let mut all_ids = BTreeSet::new();
    let mut service_ids = BTreeSet::new();
    rules::check(state.services.values().map(|s| &s.service))
        .map_err(|broken| TestCaseError::fail(format!("{broken:?}")))?;
    for ServiceState {
        service,
        id,
        ids,
        table,
        drain_deadline_unix_ms,
        ..
    } in state.services.values().map(Arc::as_ref)
    {
        prop_assert!(service_ids.insert(*id));
        prop_assert!(ids.keys().eq(service.backends.keys()));
        for id in ids.values() {
            prop_assert!(all_ids.insert(*id), "{:?} has two meanings", id);
        }
        // Only ids of this service's backends are in its table.
        let known: BTreeSet<_> = ids.values().copied().chain([BackendId(0)]).collect();
        let named = table.owners().iter().chain(table.history().as_flattened());
        prop_assert!(named.copied().all(|id| known.contains(&id)));
        // Whoever takes new flows owns what it is due.
        let takers: Vec<_> = service
            .backends
            .values()
            .filter(|b| b.admin == AdminState::Active && b.weight.get() > 0)
            .map(|b| ids[&b.address])
            .collect();
        if !takers.is_empty() {
            prop_assert!(table.owners().iter().all(|owner| takers.contains(owner)));
        }
        prop_assert!(table.slots() >= slots_for(takers.len()));
        for address in drain_deadline_unix_ms.keys() {
            prop_assert_eq!(service.backends[address].admin, AdminState::Draining);
        }
    }
    let taken = state.services.taken();
    let backends = state
        .services
        .values()
        .map(|state| state.service.backends.len());
    prop_assert_eq!(taken.backends(), backends.sum::<usize>());
    for number in 0..256 {
        let (service, backend) = (ServiceId(number), BackendId(number));
        prop_assert_eq!(
            taken.service_ids().contains(service),
            service_ids.contains(&service)
        );
        prop_assert_eq!(
            taken.backend_ids().contains(backend),
            all_ids.contains(&backend)
        );
    }
    for vip in [10, 11].map(|last| IpAddr::from([198, 51, 100, last])) {
        let services = state.services.iter();
        let there = services.filter(|(_, state)| state.service.key.vip == vip);
        prop_assert!(taken.at(vip).eq(there.map(|(name, _)| name)));
    }
    Ok(())
}
