//! What the changes of a state are, and which are refused.

mod applies;
mod fixture;
mod invariants;
mod lifecycle;
mod refusals;

use std::sync::Arc;

use fixture::*;

use super::*;
use crate::model::{AdminState, HashPolicy};

#[test]
fn a_new_service_shares_its_slots_among_its_backends() {
    let state = edge(&[service("web", 10, &[1, 2, 3, 4])]);
    let web = state.web();
    assert_eq!(web.id, ServiceId(0));
    assert_eq!(web.table.slots(), 256);
    assert_eq!(
        web.table.shares().into_values().collect::<Vec<_>>(),
        [64; 4]
    );
    assert_eq!((state.generation, web.generation), (1, 1));
}

#[test]
fn an_added_backend_takes_its_share_with_the_fewest_moves() {
    let state = edge(&[service("web", 10, &[1, 2, 3])]);
    let (state, outcome) = state.done(&add(4));
    assert_eq!(state.share(4), 64);
    assert_eq!((outcome.moved_slots, outcome.minimum_moved_slots), (64, 64));
    assert_eq!((outcome.total_slots, outcome.generation), (256, 2));
    assert!(outcome.changed);
}

#[test]
fn the_fifth_backend_doubles_the_table_and_growing_moves_nothing() {
    let state = edge(&[service("web", 10, &[1, 2, 3, 4])]);
    let (state, outcome) = state.done(&add(5));
    assert_eq!(state.web().table.slots(), 512);
    // 512 / 5 = 102.4: one of the five has the odd slots.
    assert_eq!(
        (outcome.moved_slots, outcome.minimum_moved_slots),
        (102, 102)
    );
}

#[test]
fn a_draining_backend_owns_no_slot_and_is_remembered_in_those_it_had() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (drained, _) = state.done(&drain(2));
    let id = state.id(2);
    assert_eq!((drained.share(2), drained.share(1)), (0, 256));
    let slots = state
        .web()
        .table
        .owners()
        .iter()
        .zip(drained.web().table.history());
    for (owner, history) in slots {
        assert_eq!(history[0], if *owner == id { id } else { BackendId(0) });
    }
    assert_eq!(drained.backend(2).admin, AdminState::Draining);
}

// Promise: C5
#[test]
fn a_drained_backend_stays_until_it_is_removed() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (state, _) = state.done(&drain(2));
    let (state, outcome) = state.change(&Change::EndDrains, u64::MAX).unwrap();
    assert!(!outcome.changed);
    assert_eq!(state.backend(2).admin, AdminState::Draining);
}

#[test]
fn draining_what_drains_changes_nothing() {
    let (state, _) = edge(&[service("web", 10, &[1, 2])]).done(&drain(2));
    let (again, outcome) = state.done(&drain(2));
    assert_eq!(again, state);
    assert_eq!(
        (outcome.changed, outcome.generation),
        (false, state.generation)
    );
}

#[test]
fn a_weight_that_is_so_already_changes_nothing() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (again, outcome) = state.done(&weight(2, 1));
    assert_eq!((again == state, outcome.changed), (true, false));
}

#[test]
fn a_weight_of_three_takes_three_quarters() {
    let (state, outcome) = edge(&[service("web", 10, &[1, 2])]).done(&weight(2, 3));
    assert_eq!((state.share(1), state.share(2)), (64, 192));
    assert_eq!((outcome.moved_slots, outcome.minimum_moved_slots), (64, 64));
}

#[test]
fn a_backend_added_while_it_drains_takes_new_flows_again_with_its_id() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (drained, _) = state.done(&remove(2));
    let (again, outcome) = drained.done(&add(2));
    assert_eq!(again.id(2), state.id(2));
    assert_eq!(again.web().table.owners(), state.web().table.owners());
    assert!(again.web().drain_deadline_unix_ms.is_empty());
    assert_eq!(
        outcome.notes,
        ["10.1.0.2 was draining and takes new flows again"]
    );
}

// Promise: C5
#[test]
fn a_removed_backend_drains_and_goes_when_its_time_is_over() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (draining, outcome) = state.done(&remove(2));
    assert_eq!(
        draining.web().drain_deadline_unix_ms[&address(2)],
        NOW + 30_000
    );
    assert_eq!(outcome.notes, ["10.1.0.2 drains and goes in 30 s"]);

    let (early, outcome) = draining.change(&Change::EndDrains, NOW + 29_999).unwrap();
    assert_eq!((early == draining, outcome.changed), (true, false));

    let (gone, outcome) = draining.change(&Change::EndDrains, NOW + 30_000).unwrap();
    assert!(gone.forgot(state.id(2)));
    // Its slots went when it began to drain.
    assert_eq!(outcome.moved_slots, 0);
    assert_eq!(
        outcome.notes,
        ["10.1.0.2 of service `web` has drained and went"]
    );
}

// Promise: C5
#[test]
fn a_second_removal_does_not_put_the_end_off() {
    let (draining, _) = edge(&[service("web", 10, &[1, 2])]).done(&remove(2));
    let (again, outcome) = draining.change(&remove(2), NOW + 10_000).unwrap();
    assert_eq!((again == draining, outcome.changed), (true, false));
}

#[test]
fn a_backend_that_drained_without_an_end_gets_one_when_it_is_removed() {
    let (draining, _) = edge(&[service("web", 10, &[1, 2])]).done(&drain(2));
    let (removed, _) = draining.done(&remove(2));
    assert_eq!(
        removed.web().drain_deadline_unix_ms[&address(2)],
        NOW + 30_000
    );
    assert_eq!(removed.web().table, draining.web().table);
}

#[test]
fn a_backend_removed_now_is_gone_from_every_slot_and_history() {
    let state = edge(&[service("web", 10, &[1, 2, 3])]);
    let id = state.id(3);
    // Its slots have been others', and others' slots have been its.
    let (state, _) = state.done(&drain(2));
    let (state, _) = state.done(&add(2));
    let (gone, outcome) = state.done(&remove_now(3, false));
    assert!(gone.forgot(id));
    assert_eq!((outcome.moved_slots, outcome.minimum_moved_slots), (85, 85));
}

#[test]
fn the_last_backend_removed_by_force_leaves_slots_of_nobody() {
    let state = edge(&[service("web", 10, &[1])]);
    let (empty, outcome) = state.done(&remove_now(1, true));
    assert!(empty.web().table.shares().is_empty());
    assert_eq!(
        (outcome.moved_slots, outcome.minimum_moved_slots),
        (256, 256)
    );
}

#[test]
fn the_last_backend_drained_by_force_keeps_its_slots_until_another_comes() {
    let state = edge(&[service("web", 10, &[1])]);
    let forced = Change::Drain {
        service: name("web"),
        address: address(1),
        force: true,
    };
    let (drained, outcome) = state.done(&forced);
    assert_eq!((drained.share(1), outcome.moved_slots), (256, 0));
    let (next, _) = drained.done(&add(2));
    assert_eq!(next.share(2), 256);
    assert!(
        next.web()
            .table
            .history()
            .iter()
            .all(|history| history[0] == state.id(1))
    );
}

#[test]
fn a_service_removed_by_force_goes_with_its_last_draining_backend() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (draining, outcome) = state.done(&remove_service(false, true));
    assert_eq!(draining.web().drain_deadline_unix_ms.len(), 2);
    assert_eq!(
        outcome.notes,
        ["service `web` goes when its backends have drained"]
    );
    let (gone, outcome) = draining.change(&Change::EndDrains, NOW + 30_000).unwrap();
    assert!(gone.services.is_empty());
    assert_eq!(
        outcome.notes.last().unwrap(),
        "service `web` has drained and went"
    );
}

#[test]
fn a_service_that_goes_stays_when_it_gets_a_backend() {
    let (draining, _) = edge(&[service("web", 10, &[1, 2])]).done(&remove_service(false, true));
    let (stays, outcome) = draining.done(&add(3));
    assert_eq!(outcome.notes, ["service `web` was to go and stays"]);
    let (stays, _) = stays.change(&Change::EndDrains, u64::MAX).unwrap();
    assert_eq!(stays.web().service.backends.len(), 1);
}

#[test]
fn a_service_without_backends_goes_at_once_and_without_force() {
    let (state, outcome) = edge(&[service("web", 10, &[])]).done(&remove_service(false, false));
    assert_eq!((state.services.is_empty(), outcome.changed), (true, true));
}

#[test]
fn a_service_removed_now_is_gone_with_its_backends() {
    let (state, _) = edge(&[service("web", 10, &[1])]).done(&remove_service(true, true));
    assert!(state.services.is_empty());
}

// Promise: C7
#[test]
fn ids_rest_before_they_are_used_again() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (gone, _) = state.done(&remove_now(2, false));
    let (again, _) = gone.done(&add(2));
    assert_eq!((state.id(2), again.id(2)), (BackendId(2), BackendId(3)));
    let (gone, _) = again.done(&remove_service(true, true));
    let (again, _) = gone.done(&Change::AddService(service("web", 10, &[1])));
    assert_eq!((again.web().id, again.id(1)), (ServiceId(1), BackendId(4)));
}

#[test]
fn ids_begin_anew_after_the_last_and_pass_over_those_in_use() {
    let mut state = edge(&[service("web", 10, &[1, 2])]);
    state.next_backend_id = 32_767;
    state.next_service_id = 4_095;
    let (state, _) = state.done(&add(3));
    let (state, _) = state.done(&add(4));
    assert_eq!(
        (state.id(3), state.id(4)),
        (BackendId(32_767), BackendId(3))
    );
    let (state, _) = state.done(&Change::AddService(service("a", 11, &[])));
    let (state, _) = state.done(&Change::AddService(service("b", 12, &[])));
    assert_eq!(state.services[&name("a")].id, ServiceId(4_095));
    assert_eq!(state.services[&name("b")].id, ServiceId(1));
}

// Promise: C7
#[test]
fn an_id_that_a_change_gives_back_is_not_free_in_it() {
    let mut state = edge(&[service("web", 10, &[1])]);
    state.next_backend_id = 1;
    state.next_service_id = 0;
    let other = service("other", 10, &[1]);
    let (next, _) = state.done(&Change::Apply {
        services: vec![other],
        force: true,
    });
    let other = &next.services[&name("other")];
    assert_eq!(
        (other.id, other.ids[&address(1)]),
        (ServiceId(1), BackendId(2))
    );
}

#[test]
fn a_state_reads_back_from_json_as_it_was() {
    let mut state = edge(&[service("web", 10, &[1, 2, 3])]);
    state.hash_key = u64::MAX;
    let (state, _) = state.done(&remove(2));
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
}

#[test]
fn a_state_says_only_of_what_hashes_by_source_how_it_hashes() {
    let state = edge(&[service("web", 10, &[1])]);
    let json = serde_json::to_string(&state).unwrap();
    assert!(!json.contains("\"hash\""), "{json}");
    assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
    let mut web = service("web", 10, &[1]);
    web.hash = HashPolicy::Source;
    let state = edge(&[web]);
    let json = serde_json::to_string(&state).unwrap();
    assert!(json.contains("\"hash\":\"source\""), "{json}");
    assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
}

#[test]
fn another_hash_key_is_a_change_that_moves_no_slot() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let (keyed, outcome) = state.done(&Change::SetHashKey(9));
    assert_eq!((keyed.hash_key, outcome.changed), (9, true));
    assert_eq!((outcome.generation, outcome.moved_slots), (2, 0));
    assert_eq!(keyed.services, state.services);
    let (same, outcome) = keyed.done(&Change::SetHashKey(9));
    assert!(!outcome.changed);
    assert_eq!(same, keyed);
}

#[test]
fn a_number_that_was_given_back_and_is_given_to_another_is_noticed() {
    let mut state = edge(&[service("web", 10, &[1, 2])]);
    let mut given_back = Numbers::default();
    let given = state.web().ids[&address(1)];
    let step = |state: &State, change: &Change| {
        let (next, outcome) = state.done(change);
        (next, outcome)
    };
    let (next, outcome) = step(&state, &remove_now(1, true));
    assert!(!given_back.are_taken(&state, &next, &outcome));
    given_back.add(&state, &next, &outcome);
    // In turns, another number comes first.
    let (other, outcome) = step(&next, &add(3));
    assert!(!given_back.are_taken(&next, &other, &outcome));
    state = next;
    state.next_backend_id = given.0;
    let (taken, outcome) = step(&state, &add(3));
    assert_eq!(taken.web().ids[&address(3)], given);
    assert!(given_back.are_taken(&state, &taken, &outcome));
}

#[test]
fn what_a_change_leaves_alone_is_shared_with_the_state_before() {
    let state = edge(&[service("a", 11, &[1, 2]), service("web", 10, &[1, 2])]);
    let (next, drained) = state.done(&drain(1));
    assert!(Arc::ptr_eq(
        &state.services[&name("a")],
        &next.services[&name("a")]
    ));
    assert!(!Arc::ptr_eq(
        &state.services[&name("web")],
        &next.services[&name("web")]
    ));
    let apply = Change::Apply {
        services: vec![service("a", 11, &[1, 2]), service("web", 10, &[1, 2])],
        force: true,
    };
    let (same, outcome) = state.done(&apply);
    assert!(!outcome.changed);
    assert_eq!(drained.services, [name("web")].into());
    assert!(outcome.services.is_empty());
    // What only looked edited is shared, too.
    assert!(Arc::ptr_eq(
        &state.services[&name("web")],
        &same.services[&name("web")]
    ));
}
