mod announcement;
mod memory;
mod warming;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::{
    model::{
        AdminState, Backend, BackendId, BackendState, Check, CheckKind, Encapsulation, HashPolicy,
        Health, Protocol, Service, ServiceId, ServiceKey, Weight,
    },
    state::{Change, ServiceState, State},
    table::{Table, minimum_moved, moved},
};

fn address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 1, 0, n).into()
}

fn service(name: &str, vip: u8, checked: bool, backends: &[u8]) -> Service {
    let backend = |&n: &u8| {
        let (weight, admin) = (Weight::default(), AdminState::Active);
        (
            address(n),
            Backend {
                address: address(n),
                weight,
                admin,
            },
        )
    };
    let check = Check {
        kind: CheckKind::Tcp(Default::default()),
        port: 8000,
        interval_ms: 1_000,
        timeout_ms: 500,
        rise: 2,
        fall: 3,
    };
    Service {
        name: name.parse().unwrap(),
        key: ServiceKey {
            vip: Ipv4Addr::new(198, 51, 100, vip).into(),
            port: 8000,
            protocol: Protocol::Tcp,
        },
        encapsulation: Encapsulation::Gue,
        hash: HashPolicy::Flow,
        check: checked.then_some(check),
        drain_timeout_ms: 30_000,
        backends: backends.iter().map(backend).collect(),
    }
}

fn edge(services: &[Service]) -> State {
    let change = Change::Apply {
        services: services.to_vec(),
        force: true,
    };
    State::new(7).change(&change, 0).unwrap().0
}

fn web(state: &State) -> &ServiceState {
    &state.services[&"web".parse().unwrap()]
}

fn hop(n: u8) -> NextHop {
    NextHop {
        interface: 2,
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: [2, 0, 0, 0, 1, n],
        source: address(200),
        source_bits: 0,
        mtu: 1_500,
        tags: [None; 2],
    }
}

fn hops(reached: &[u8]) -> NextHops {
    reached.iter().map(|&n| (address(n), hop(n))).collect()
}

/// The backends with these ids are up, the others down.
fn up(ids: &[u16]) -> impl Fn(BackendId) -> Health + '_ {
    |id| {
        if ids.contains(&id.0) {
            Health::Up
        } else {
            Health::Down
        }
    }
}

fn owners(table: &Table) -> Vec<u16> {
    table.shares().into_keys().map(|id| id.0).collect()
}

#[test]
fn a_backend_takes_new_flows_when_it_is_up_and_reached() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let owners = |up_ids: &[u16], reached: &[u8]| {
        owners(&plan(&state, &up(up_ids), &hops(reached)).tables[&ServiceId(0)])
    };
    assert_eq!(owners(&[1, 2, 3], &[1, 2, 3]), [1, 2, 3]);
    assert_eq!(owners(&[1, 3], &[1, 2, 3]), [1, 3]);
    assert_eq!(owners(&[1, 2, 3], &[2, 3]), [2, 3]);
    assert_eq!(owners(&[1, 2], &[2, 3]), [2]);
}

// Promise: H4
#[test]
fn a_backend_that_no_probe_has_asked_yet_takes_none() {
    let state = edge(&[service("web", 10, true, &[1, 2])]);
    let health = |id: BackendId| {
        if id.0 == 1 {
            Health::Up
        } else {
            Health::Unknown
        }
    };
    let plan = plan(&state, &health, &hops(&[1, 2]));
    assert_eq!(owners(&plan.tables[&ServiceId(0)]), [1]);
}

#[test]
fn without_a_check_a_backend_needs_only_a_next_hop() {
    let state = edge(&[service("web", 10, false, &[1, 2])]);
    let plan = plan(&state, &up(&[]), &hops(&[2]));
    assert_eq!(owners(&plan.tables[&ServiceId(0)]), [2]);
}

// Promise: H6
#[test]
fn with_nobody_usable_a_service_fails_open_to_its_base_table() {
    let state = edge(&[service("web", 10, true, &[1, 2])]);
    for (up_ids, reached) in [(&[][..], &[1, 2][..]), (&[1, 2], &[]), (&[1], &[2])] {
        let (health, hops) = (up(up_ids), hops(reached));
        assert!(fails_open(web(&state), &health, &hops));
        assert_eq!(overlay(web(&state), &health, &hops), web(&state).table);
    }
    assert!(!fails_open(web(&state), &up(&[1]), &hops(&[1])));
}

#[test]
fn a_service_that_has_nobody_to_fail_to_does_not_fail_open() {
    let empty = edge(&[service("web", 10, true, &[])]);
    assert!(!fails_open(web(&empty), &up(&[]), &hops(&[])));
    assert!(
        plan(&empty, &up(&[]), &hops(&[])).tables[&ServiceId(0)]
            .shares()
            .is_empty()
    );
}

// Promise: H7
#[test]
fn with_everybody_usable_the_overlay_is_the_base_table() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let overlay = overlay(web(&state), &up(&[1, 2, 3]), &hops(&[1, 2, 3]));
    assert_eq!(overlay, web(&state).table);
}

#[test]
fn an_unusable_owner_is_the_newest_of_its_slots_history() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let base = &web(&state).table;
    let laid = overlay(web(&state), &up(&[1, 2]), &hops(&[1, 2, 3]));
    for (slot, owner) in base.owners().iter().enumerate() {
        let expected = if owner.0 == 3 { 3 } else { 0 };
        assert_eq!(laid.history()[slot][0], BackendId(expected));
    }
    let weights = [(BackendId(1), 1), (BackendId(2), 1)].into();
    assert_eq!(
        moved(base, &laid),
        minimum_moved(base, base.slots(), &weights)
    );
}

#[test]
fn a_draining_backend_stays_in_the_plan_and_in_histories() {
    let state = edge(&[service("web", 10, true, &[1, 2])]);
    let drain = Change::Drain {
        service: "web".parse().unwrap(),
        address: address(2),
        force: false,
    };
    let (state, _) = state.change(&drain, 0).unwrap();
    let plan = plan(&state, &up(&[1, 2]), &hops(&[1, 2]));
    assert_eq!(owners(&plan.tables[&ServiceId(0)]), [1]);
    let record = plan.backends[&BackendId(2)];
    assert_eq!(
        (record.address, record.next_hop),
        (address(2), Some(hop(2)))
    );
    assert!(
        plan.tables[&ServiceId(0)]
            .history()
            .as_flattened()
            .contains(&BackendId(2))
    );
}

#[test]
fn a_backend_is_active_draining_or_down() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let drain = |n| Change::Drain {
        service: "web".parse().unwrap(),
        address: address(n),
        force: false,
    };
    let (state, _) = state.change(&drain(3), 0).unwrap();
    let state_of = |n| backend_state(web(&state), address(n), &up(&[1, 3]));
    assert_eq!(state_of(1), BackendState::Active);
    assert_eq!(state_of(2), BackendState::Down);
    assert_eq!(state_of(3), BackendState::Draining);
    // One that is not there.
    assert_eq!(state_of(9), BackendState::Down);
    let unchecked = edge(&[service("web", 10, false, &[1])]);
    assert_eq!(
        backend_state(web(&unchecked), address(1), &up(&[])),
        BackendState::Active
    );
}

proptest! {
    // Promise: H4
    #[test]
    fn only_usable_backends_own_slots_unless_the_service_fails_open(
        healthy in prop::collection::vec(1..8u16, 0..8),
        reached in prop::collection::vec(1..8u8, 0..8),
    ) {
        let state = edge(&[service("web", 10, true, &[1, 2, 3, 4, 5, 6, 7])]);
        let (health, hops) = (up(&healthy), hops(&reached));
        let owners = owners(&overlay(web(&state), &health, &hops));
        let usable: Vec<u16> =
            (1..8).filter(|id| healthy.contains(id) && reached.contains(&(*id as u8))).collect();
        match usable.is_empty() {
            true => prop_assert!(fails_open(web(&state), &health, &hops)),
            false => prop_assert_eq!(owners, usable),
        }
    }
}
