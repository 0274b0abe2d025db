//! A whole desired set at once.

use super::*;
use crate::model::{Encapsulation, HashPolicy};

#[test]
fn a_desired_set_that_is_so_already_changes_nothing() {
    let set = [service("api", 11, &[1]), service("web", 10, &[1, 2])];
    let state = edge(&set);
    let (again, outcome) = state.done(&apply(&set, false));
    assert_eq!((again == state, outcome.changed), (true, false));
}

/// One difference, applied as a set and asked for alone, gives the same state.
#[track_caller]
fn assert_same(before: &State, set: &[crate::model::Service], alone: &Change) {
    let (applied, _) = before.done(&apply(set, true));
    let (changed, _) = before.done(alone);
    assert_eq!(applied, changed);
}

#[test]
fn a_desired_set_with_one_difference_is_that_one_change() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    assert_same(&state, &[service("web", 10, &[1, 2, 3])], &add(3));
    assert_same(&state, &[service("web", 10, &[1])], &remove(2));
    let mut heavy = service("web", 10, &[1, 2]);
    heavy.backends.get_mut(&address(2)).unwrap().weight = 9.try_into().unwrap();
    assert_same(&state, &[heavy], &weight(2, 9));
    let other = service("other", 11, &[3]);
    let both = [service("web", 10, &[1, 2]), other.clone()];
    assert_same(&state, &both, &Change::AddService(other));
    assert_same(&state, &[], &remove_service(true, true));
    let (draining, _) = state.done(&remove(2));
    assert_same(&draining, &[service("web", 10, &[1, 2])], &add(2));
    let mut drains = service("web", 10, &[1, 2]);
    drains.backends.get_mut(&address(2)).unwrap().admin = AdminState::Draining;
    assert_same(&state, &[drains], &drain(2));
}

#[test]
fn a_desired_set_declares_what_a_row_of_changes_declares() {
    let state = edge(&[service("old", 12, &[7]), service("web", 10, &[1, 2, 3])]);
    let set = [service("new", 11, &[1]), service("web", 10, &[3, 4])];
    let (applied, outcome) = state.done(&apply(&set, true));

    let row = [
        Change::RemoveService {
            name: name("old"),
            now: true,
            force: true,
        },
        Change::AddService(set[0].clone()),
        add(4),
        remove(1),
        remove(2),
    ];
    let stepwise = row
        .iter()
        .fold(state.clone(), |state, change| state.done(change).0);

    let declared = |state: &State| -> Vec<_> {
        let services = state.services.values();
        services
            .map(|s| {
                (
                    s.service.clone(),
                    s.id,
                    s.ids.clone(),
                    s.drain_deadline_unix_ms.clone(),
                )
            })
            .collect()
    };
    assert_eq!(declared(&applied), declared(&stepwise));
    assert_eq!(applied.web().table.shares(), stepwise.web().table.shares());
    // At once is better than one by one: each slot moves at most once.
    let web = crate::table::moved(&state.web().table, &applied.web().table);
    assert_eq!((web, outcome.moved_slots), (171, 171 + 256));
    assert_eq!(outcome.minimum_moved_slots, outcome.moved_slots);
}

#[test]
fn a_vanished_service_goes_at_once_and_is_told() {
    let state = edge(&[service("old", 11, &[1]), service("web", 10, &[1])]);
    let (state, outcome) = state.done(&apply(&[service("web", 10, &[1])], true));
    assert_eq!(state.services.len(), 1);
    assert_eq!(
        outcome.notes,
        ["service `old` is no longer declared and went"]
    );
}

#[test]
fn a_service_can_take_the_key_of_one_that_vanishes() {
    let state = edge(&[service("old", 10, &[1])]);
    let (state, _) = state.done(&apply(&[service("web", 10, &[1])], true));
    assert_eq!(
        state.web().service.key.vip,
        "198.51.100.10".parse::<IpAddr>().unwrap()
    );
}

#[test]
fn a_service_on_its_way_out_goes_on_draining_when_the_set_does_not_name_it() {
    let (draining, _) = edge(&[service("web", 10, &[1])]).done(&remove_service(false, true));
    let (same, outcome) = draining.done(&apply(&[], false));
    assert_eq!((same == draining, outcome.changed), (true, false));
    let (back, _) = draining.done(&apply(&[service("web", 10, &[1])], false));
    assert_eq!(back.backend(1).admin, AdminState::Active);
    assert!(!back.web().removed_when_drained);
    let (back, _) = back.change(&Change::EndDrains, u64::MAX).unwrap();
    assert_eq!(back.web().service.backends.len(), 1);
}

#[test]
fn a_service_with_another_key_or_policy_keeps_its_table_and_ids() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let mut moved = service("web", 11, &[1, 2]);
    moved.encapsulation = Encapsulation::Ipip;
    moved.hash = HashPolicy::Source;
    moved.drain_timeout_ms = 1;
    let (next, outcome) = state.done(&apply(&[moved.clone()], false));
    assert_eq!(next.web().service, moved);
    let note = "service `web` hashes by source now: most flows go to another backend";
    assert_eq!(outcome.notes, [note]);
    assert_eq!(
        (next.web().table == state.web().table, outcome.moved_slots),
        (true, 0)
    );
    assert_eq!(
        (next.web().id, &next.web().ids),
        (state.web().id, &state.web().ids)
    );
    assert_eq!(next.web().generation, state.generation + 1);
}

#[test]
fn a_service_that_did_not_change_keeps_its_generation() {
    let state = edge(&[service("api", 11, &[1]), service("web", 10, &[1])]);
    let (next, _) = state.done(&add(2));
    assert_eq!(next.services[&name("api")], state.services[&name("api")]);
    assert_eq!(next.web().generation, 3);
}

#[test]
fn a_drain_timeout_counts_from_the_set_that_drops_the_backend() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let mut set = service("web", 10, &[1]);
    set.drain_timeout_ms = 5_000;
    let (next, outcome) = state.done(&apply(&[set], false));
    assert_eq!(next.web().drain_deadline_unix_ms[&address(2)], NOW + 5_000);
    assert_eq!(outcome.notes, ["10.1.0.2 is no longer declared and drains"]);
}

#[test]
fn an_undeclared_backend_that_the_new_encapsulation_cannot_carry_goes_at_once() {
    let state = edge(&[service("web", 10, &[1, 2])]);
    let mut set = service("web", 10, &[]);
    set.encapsulation = Encapsulation::Ip4in6;
    let mut modern = backend(3);
    modern.address = "2001:db8::3".parse().unwrap();
    set.backends.insert(modern.address, modern);
    let (state, _) = state.done(&drain(2));
    let (next, outcome) = state.done(&apply(&[set.clone()], false));
    assert_eq!(next.web().service, set);
    assert!(next.forgot(state.id(1)) && next.forgot(state.id(2)));
    let note = "10.1.0.1 is no longer declared and went, for ip4in6 cannot carry packets to it";
    assert_eq!(outcome.notes[0], note);
}
