//! What events make of a service, in whatever order they come.

use proptest::prelude::*;

use super::*;
use crate::{
    model::HashPolicy,
    state::{DoneReason, Event, Happened, MAX_REMEMBERED, OperationId, REMEMBERED_MS},
};

const DEADLINE: u64 = NOW + 60_000;

fn event(n: u8, incarnation: u64, happened: Happened) -> Event {
    Event {
        service: name("web"),
        address: address(n),
        incarnation,
        happened,
    }
}

fn launched(n: u8, incarnation: u64) -> Change {
    Change::Hear(event(n, incarnation, launch(1)))
}

fn launch(weight: u16) -> Happened {
    Happened::Launched {
        weight: weight.try_into().unwrap(),
        agent: Some("http://10.1.0.1:9110".into()),
        instance: None,
    }
}

fn terminating(n: u8, incarnation: u64) -> Change {
    let deadline_unix_ms = DEADLINE;
    Change::Hear(event(
        n,
        incarnation,
        Happened::Terminating { deadline_unix_ms },
    ))
}

fn terminated(n: u8, incarnation: u64) -> Change {
    Change::Hear(event(n, incarnation, Happened::Terminated))
}

fn after(state: State, changes: &[Change]) -> State {
    changes
        .iter()
        .fold(state, |state, change| state.done(change).0)
}

/// The state and the reason of the drain of backend `n`, incarnation 1.
fn operation(state: &State, n: u8, now: u64) -> Option<Option<DoneReason>> {
    let mut operations = state.operations(now);
    let found = operations.find(|operation| operation.id.address == address(n));
    assert_eq!(found, state.operation(&name("web"), address(n), now));
    found.map(|operation| operation.done)
}

#[test]
fn a_launched_backend_takes_its_share_and_a_terminating_one_drains_until_its_deadline() {
    let state = after(edge(&[service("web", 10, &[])]), &[launched(1, 1)]);
    assert_eq!(state.share(1), state.web().table.slots());
    let state = after(state, &[launched(2, 1), terminating(1, 1)]);
    assert_eq!(state.backend(1).admin, AdminState::Draining);
    assert_eq!(
        (state.share(1), state.backend(2).admin),
        (0, AdminState::Active)
    );
    assert!(!state.has_drain_over(DEADLINE - 1));
    let (state, _) = state.change(&Change::EndDrains, DEADLINE).unwrap();
    assert!(!state.web().service.backends.contains_key(&address(1)));
}

#[test]
fn a_terminated_backend_goes_at_once_and_stays_away_when_its_launch_is_told_again() {
    let state = edge(&[service("web", 10, &[2])]);
    let state = after(state, &[launched(1, 1), terminated(1, 1), launched(1, 1)]);
    assert!(!state.web().service.backends.contains_key(&address(1)));
    let state = after(state, &[launched(1, 2)]);
    assert_eq!(state.backend(1).admin, AdminState::Active);
}

#[test]
fn a_newer_launch_makes_a_draining_backend_active_and_the_old_drain_is_superseded() {
    let state = edge(&[service("web", 10, &[2])]);
    let state = after(state, &[launched(1, 1), terminating(1, 1), launched(1, 2)]);
    assert_eq!(state.backend(1).admin, AdminState::Active);
    assert!(state.web().drain_deadline_unix_ms.is_empty());
    assert_eq!(
        operation(&state, 1, NOW),
        Some(Some(DoneReason::Superseded))
    );
}

#[test]
fn the_last_backend_keeps_its_slots_while_it_drains() {
    let state = after(
        edge(&[service("web", 10, &[])]),
        &[launched(1, 1), terminating(1, 1)],
    );
    assert_eq!(state.backend(1).admin, AdminState::Draining);
    assert_eq!(state.share(1), state.web().table.slots());
    let state = after(state, &[terminated(1, 1)]);
    assert!(state.web().service.backends.is_empty());
}

#[test]
fn a_repeated_event_changes_nothing() {
    let state = after(edge(&[service("web", 10, &[2])]), &[launched(1, 1)]);
    for change in [launched(1, 1), launched(1, 0), terminating(1, 0)] {
        let (next, outcome) = state.done(&change);
        if change == terminating(1, 0) {
            // It is remembered, and the backend of the later life stays as it is.
            assert_eq!(next.web().service, state.web().service);
        } else {
            assert!(!outcome.changed, "{change:?}");
            assert_eq!(next, state);
        }
    }
}

#[test]
fn a_drain_is_over_when_no_socket_is_left_or_when_its_deadline_has_passed() {
    let state = after(
        edge(&[service("web", 10, &[2])]),
        &[launched(1, 1), terminating(1, 1)],
    );
    assert_eq!(operation(&state, 1, NOW), Some(None));
    assert_eq!(
        operation(&state, 1, DEADLINE),
        Some(Some(DoneReason::Deadline))
    );
    let drained = |incarnation| Change::Drained {
        service: name("web"),
        address: address(1),
        incarnation,
    };
    assert!(!state.done(&drained(7)).1.changed, "of another life");
    let state = after(state, &[drained(1)]);
    assert_eq!(
        operation(&state, 1, DEADLINE),
        Some(Some(DoneReason::Drained))
    );
    assert_eq!(state.backend(1).admin, AdminState::Draining);
}

#[test]
fn a_deadline_in_the_past_takes_the_backend_out_at_once() {
    let state = after(edge(&[service("web", 10, &[2])]), &[launched(1, 1)]);
    let (state, _) = state.change(&terminating(1, 1), DEADLINE).unwrap();
    assert!(!state.web().service.backends.contains_key(&address(1)));
}

#[test]
fn an_event_for_a_service_that_is_not_there_is_not_found() {
    let refusal = edge(&[]).refused(&launched(1, 1));
    assert!(matches!(refusal, Refusal::NotFound { .. }), "{refusal}");
}

#[test]
fn a_backend_that_no_packet_can_reach_is_refused() {
    let state = edge(&[service("web", 10, &[])]);
    let vip = Event {
        address: "198.51.100.10".parse().unwrap(),
        ..event(1, 1, launch(1))
    };
    let refusal = state.refused(&Change::Hear(vip));
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal}");
}

#[test]
fn a_declared_set_leaves_launched_backends_alone() {
    let state = after(edge(&[service("web", 10, &[2])]), &[launched(1, 1)]);
    let state = after(state, &[apply(&[service("web", 10, &[3])], false)]);
    assert_eq!(state.backend(1).admin, AdminState::Active);
    assert_eq!(state.backend(2).admin, AdminState::Draining);
    assert_eq!(state.backend(3).admin, AdminState::Active);
}

#[test]
fn a_backend_that_a_file_declared_drains_when_it_is_told_to_terminate() {
    let state = after(edge(&[service("web", 10, &[1, 2])]), &[terminating(1, 0)]);
    assert_eq!(state.backend(1).admin, AdminState::Draining);
    assert_eq!(state.web().drain_deadline_unix_ms[&address(1)], DEADLINE);
}

#[test]
fn declaring_a_service_again_keeps_its_backends_and_another_key_is_a_conflict() {
    let declared = service("web", 10, &[]);
    let state = after(edge(&[]), &[Change::DeclareService(declared.clone())]);
    let state = after(state, &[launched(1, 1)]);
    assert!(
        !state
            .done(&Change::DeclareService(declared.clone()))
            .1
            .changed
    );
    let slower = Service {
        drain_timeout_ms: 90_000,
        ..declared
    };
    let state = after(state, &[Change::DeclareService(slower)]);
    assert_eq!(state.web().service.drain_timeout_ms, 90_000);
    assert_eq!(state.backend(1).admin, AdminState::Active);
    let moved = Change::DeclareService(service("web", 11, &[]));
    assert!(matches!(state.refused(&moved), Refusal::Conflict { .. }));
    let mut hashed = service("web", 10, &[]);
    hashed.hash = HashPolicy::Source;
    let hashed = Change::DeclareService(hashed);
    assert!(matches!(state.refused(&hashed), Refusal::Conflict { .. }));
}

// Promise: V1
#[test]
fn lives_without_a_backend_are_forgotten_after_a_day_and_above_a_number() {
    let state = after(
        edge(&[service("web", 10, &[2])]),
        &[launched(1, 1), terminated(1, 1)],
    );
    let later = NOW + REMEMBERED_MS + 1;
    let mut state = state;
    for incarnation in 1..=PRUNE_EVERY {
        state = state.change(&launched(3, incarnation), later).unwrap().0;
    }
    let lives: Vec<_> = state.web().lives.keys().copied().collect();
    assert_eq!(lives, [address(3)]);

    let many = MAX_REMEMBERED + PRUNE_EVERY as usize;
    for n in 0..many {
        let gone = Event {
            address: std::net::Ipv6Addr::from(0xfd00 << 112 | n as u128).into(),
            ..event(1, 1, Happened::Terminated)
        };
        let change = Change::Hear(gone);
        state = state.change(&change, later + n as u64).unwrap().0;
        assert!(state.web().lives.size() <= many);
    }
    let first = std::net::Ipv6Addr::from(0xfd00 << 112).into();
    assert!(!state.web().lives.contains_key(&first), "the oldest went");
    assert!(
        state.web().lives.contains_key(&address(3)),
        "it has a backend"
    );
}

// Promise: V1
#[test]
fn lives_are_forgotten_whatever_the_changes_are_that_come() {
    // In a rolling replacement every fourth change is of one kind.
    for first in 0..4 {
        let mut state = after(
            edge(&[service("web", 10, &[2])]),
            &[launched(1, 1), terminated(1, 1)],
        );
        let later = NOW + REMEMBERED_MS + 1;
        for n in first..first + PRUNE_EVERY {
            let incarnation = n / 4 + 1;
            let change = match n % 4 {
                0 => launched(3, incarnation),
                1 => Change::Hear(event(
                    3,
                    incarnation,
                    Happened::Terminating {
                        deadline_unix_ms: later + 60_000,
                    },
                )),
                2 => Change::Drained {
                    service: name("web"),
                    address: address(3),
                    incarnation,
                },
                _ => terminated(3, incarnation),
            };
            state = state.change(&change, later).unwrap().0;
        }
        assert!(!state.web().lives.contains_key(&address(1)), "{first}");
    }
}

#[test]
fn an_operation_is_named_by_what_the_event_says() {
    for id in ["web~10.1.0.1~0", "web~2001:db8::1~18446744073709551615"] {
        assert_eq!(id.parse::<OperationId>().unwrap().to_string(), id);
    }
    for id in [
        "",
        "web",
        "web~10.1.0.1",
        "web~10.1.0.1~x",
        "Web~10.1.0.1~1",
        "web~10.1.0~1",
    ] {
        let error = id.parse::<OperationId>().unwrap_err();
        assert!(
            error.contains(&format!("`{id}` is no operation")),
            "{error}"
        );
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let happened = prop_oneof![
        (0..3u16).prop_map(launch),
        (1..4u64).prop_map(|n| Happened::Terminating {
            deadline_unix_ms: NOW + (n - 1) * 1_000
        }),
        Just(Happened::Terminated),
    ];
    (1..4u8, 0..4u64, happened)
        .prop_map(|(n, incarnation, happened)| event(n, incarnation, happened))
}

/// Events, and the same with some of them repeated, in any order.
fn two_tellings() -> impl Strategy<Value = (Vec<Event>, Vec<Event>)> {
    prop::collection::vec(any_event(), 1..12).prop_flat_map(|events| {
        let count = events.len();
        let repeated = prop::collection::vec(0..count, 0..8);
        let told = (Just(events.clone()), repeated).prop_flat_map(|(events, repeated)| {
            let mut told = events.clone();
            told.extend(repeated.into_iter().map(|index| events[index].clone()));
            Just(told).prop_shuffle()
        });
        (Just(events), told)
    })
}

proptest! {
    // Promise: V1
    #[test]
    fn events_in_any_order_and_repeated_give_the_same_backends((one, other) in two_tellings()) {
        let tell = |events: &[Event]| {
            let state = edge(&[service("web", 10, &[])]);
            let changes: Vec<Change> = events.iter().cloned().map(Change::Hear).collect();
            after(state, &changes)
        };
        let (one, other) = (tell(&one), tell(&other));
        prop_assert_eq!(&one.web().service, &other.web().service);
        prop_assert_eq!(&one.web().drain_deadline_unix_ms, &other.web().drain_deadline_unix_ms);
        prop_assert_eq!(&one.web().lives, &other.web().lives);
        prop_assert!(one.operations(NOW).eq(other.operations(NOW)));
    }
}
