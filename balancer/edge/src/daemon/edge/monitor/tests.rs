use std::net::Ipv4Addr;

use balancer_core::{
    model::{
        AdminState, Backend, CheckKind, Encapsulation, HashPolicy, Protocol, Service, ServiceKey,
        Weight,
    },
    state::{Change, State},
};

use super::*;

fn address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 1, 0, n).into()
}

fn name(n: u8) -> ServiceName {
    format!("s{n}").parse().unwrap()
}

/// A service with these backends, of which a failure in two counts, at an interval.
fn service(n: u8, backends: &[u8], interval_ms: u32) -> Service {
    let backend = |&n: &u8| {
        let backend = Backend {
            address: address(n),
            weight: Weight::default(),
            admin: AdminState::Active,
        };
        (address(n), backend)
    };
    Service {
        name: name(n),
        key: ServiceKey {
            vip: Ipv4Addr::new(198, 51, 100, n).into(),
            port: 8000,
            protocol: Protocol::Tcp,
        },
        encapsulation: Encapsulation::Gue,
        hash: HashPolicy::Flow,
        check: Some(Check {
            kind: CheckKind::Tcp(Default::default()),
            port: 8000,
            interval_ms,
            timeout_ms: 100,
            rise: 1,
            fall: 2,
        }),
        drain_timeout_ms: 1_000,
        backends: backends.iter().map(backend).collect(),
    }
}

fn state(services: &[Service]) -> State {
    let services = services.to_vec();
    let change = Change::Apply {
        services,
        force: true,
    };
    State::new(7).change(&change, 0).unwrap().0
}

fn monitor(state: &State) -> Monitor {
    let mut monitor = Monitor::default();
    for (name, service) in state.services.iter() {
        monitor.follow(name, Some(service), &BTreeMap::new());
    }
    monitor
}

/// What is to be watched, when both are others than before.
fn taken(monitor: &mut Monitor) -> Option<(BTreeSet<Target>, AddressMap<()>)> {
    monitor.take_targets().zip(monitor.take_addresses())
}

fn report(n: u8, interval_ms: u32, passed: bool) -> Report {
    let check = service(1, &[], interval_ms).check.unwrap();
    Report {
        target: Target::of(address(n), &check).into(),
        outcome: passed.then_some(()).ok_or_else(|| "refused".to_owned()),
    }
}

fn id(state: &State, service: u8, backend: u8) -> BackendId {
    state.services[&name(service)].ids[&address(backend)]
}

#[test]
fn services_that_ask_the_same_share_one_probe_and_each_has_its_transition() {
    let state = state(&[
        service(1, &[1], 500),
        service(2, &[1, 2], 500),
        service(3, &[1], 900),
    ]);
    let mut monitor = monitor(&state);
    let (targets, addresses) = taken(&mut monitor).unwrap();
    assert_eq!((targets.len(), addresses.len()), (3, 2));
    let observed = monitor.observe([report(1, 500, true)]);
    let whose: Vec<_> = observed
        .transitions
        .iter()
        .map(|t| (t.service.clone(), t.id))
        .collect();
    let expected = [(name(1), id(&state, 1, 1)), (name(2), id(&state, 2, 1))];
    assert_eq!(whose, expected);
    assert_eq!(monitor.known(id(&state, 3, 1)), Health::Unknown);
}

#[test]
fn reports_count_in_their_order_however_many_come_together() {
    let state = state(&[service(1, &[1], 500)]);
    let mut monitor = monitor(&state);
    let reports = [true, false, true, false, false].map(|passed| report(1, 500, passed));
    let healths: Vec<Health> = monitor
        .observe(reports)
        .transitions
        .iter()
        .map(|transition| transition.health)
        .collect();
    assert_eq!(healths, [Health::Up, Health::Down]);
    assert_eq!(monitor.failure(id(&state, 1, 1)), Some("refused"));
    let observed = monitor.observe([report(1, 500, false)]);
    assert_eq!(observed, Observed::default(), "the same again is no news");
}

#[test]
fn a_weight_changes_nothing_that_is_watched_and_a_backend_does() {
    let before = state(&[service(1, &[1, 2], 500)]);
    let mut monitor = monitor(&before);
    assert!(taken(&mut monitor).is_some());
    monitor.observe([report(1, 500, true)]);
    let weight = Change::SetWeight {
        service: name(1),
        address: address(1),
        weight: 7.try_into().unwrap(),
        force: false,
    };
    let (heavier, _) = before.change(&weight, 0).unwrap();
    monitor.follow(
        &name(1),
        Some(&heavier.services[&name(1)]),
        &BTreeMap::new(),
    );
    assert_eq!(
        (monitor.take_targets(), monitor.take_addresses()),
        (None, None)
    );
    let gone = Change::RemoveBackend {
        service: name(1),
        address: address(2),
        now: true,
        force: false,
    };
    let (fewer, _) = heavier.change(&gone, 0).unwrap();
    monitor.follow(&name(1), Some(&fewer.services[&name(1)]), &BTreeMap::new());
    let (targets, addresses) = taken(&mut monitor).unwrap();
    assert_eq!((targets.len(), addresses.len()), (1, 1));
    assert_eq!(
        monitor.known(id(&before, 1, 1)),
        Health::Up,
        "who stays keeps its health"
    );
    assert_eq!(monitor.known(id(&before, 1, 2)), Health::Unknown);
    assert_eq!(monitor.healths(), [(id(&before, 1, 1), Health::Up)].into());
}

#[test]
fn a_service_that_goes_takes_its_probes_along_unless_another_needs_them() {
    let both = state(&[service(1, &[1], 500), service(2, &[1, 2], 500)]);
    let mut monitor = monitor(&both);
    taken(&mut monitor);
    monitor.follow(&name(1), None, &BTreeMap::new());
    assert_eq!(
        (monitor.take_targets(), monitor.take_addresses()),
        (None, None)
    );
    monitor.follow(&name(2), None, &BTreeMap::new());
    let (targets, addresses) = taken(&mut monitor).unwrap();
    assert!(targets.is_empty() && addresses.is_empty());
    let observed = monitor.observe([report(1, 500, true)]);
    assert_eq!(observed, Observed::default(), "nobody asks for it any more");
}

#[test]
fn a_backend_that_was_down_before_the_daemon_is_down_from_the_start() {
    let state = state(&[service(1, &[1, 2], 500)]);
    let mut monitor = Monitor::default();
    let known = [(id(&state, 1, 1), Health::Down)].into();
    monitor.follow(&name(1), Some(&state.services[&name(1)]), &known);
    assert_eq!(monitor.trusted(id(&state, 1, 1)), Health::Down);
    // Beside one of whom something is known, nobody is trusted.
    assert_eq!(monitor.trusted(id(&state, 1, 2)), Health::Unknown);
}

#[test]
fn backends_of_whom_nothing_is_known_are_trusted_until_they_are() {
    let state = state(&[service(1, &[1, 2], 500)]);
    let mut monitor = monitor(&state);
    assert_eq!(monitor.trusted(id(&state, 1, 1)), Health::Up);
    monitor.observe([report(1, 500, false)]);
    monitor.warm(&state.services[&name(1)]);
    assert_eq!(monitor.trusted(id(&state, 1, 1)), Health::Down);
    assert_eq!(monitor.trusted(id(&state, 1, 2)), Health::Up);
}

#[test]
fn services_are_found_by_the_addresses_of_their_backends() {
    let state = state(&[
        service(1, &[1], 500),
        service(2, &[1, 2], 500),
        service(3, &[3], 500),
    ]);
    let monitor = monitor(&state);
    assert_eq!(
        monitor.services_at([&address(1)]),
        [name(1), name(2)].into()
    );
    assert_eq!(monitor.services_at([&address(9)]), BTreeSet::new());
}
