//! What is refused, and with which words.

use super::*;
use crate::{
    model::{Check, CheckKind, Encapsulation, Http, Service, Weight},
    state::{Event, Happened},
};

#[track_caller]
fn assert_refused(state: &State, change: &Change, exit_code: u8, words: &str) {
    let refusal = state.refused(change);
    assert_eq!(refusal.to_string(), words);
    assert_eq!(refusal.exit_code(), exit_code);
}

fn two() -> State {
    edge(&[service("web", 10, &[1, 2])])
}

#[test]
fn what_is_not_there_is_not_found() {
    let empty = State::new(7);
    let words = "there is no service `web`; see `lbctl services list` for those there are";
    for change in [
        add(1),
        drain(1),
        remove(1),
        weight(1, 2),
        remove_service(false, false),
    ] {
        assert_refused(&empty, &change, 4, words);
    }
    let words =
        "service `web` has no backend 10.1.0.9; see `lbctl backends list web` for those it has";
    for change in [drain(9), remove(9), remove_now(9, true), weight(9, 2)] {
        assert_refused(&two(), &change, 4, words);
    }
}

// Promise: C6
#[test]
fn what_is_there_already_is_a_conflict() {
    assert_refused(
        &two(),
        &add(1),
        5,
        "service `web` has backend 10.1.0.1 already; give it another share with `lbctl backends weight web 10.1.0.1`",
    );
    assert_refused(
        &two(),
        &Change::AddService(service("web", 11, &[])),
        5,
        "service `web` is there already; change its backends, apply a file that declares it anew, or remove it first",
    );
    assert_refused(
        &two(),
        &Change::AddService(service("a", 10, &[])),
        5,
        "service `a`: vip: 198.51.100.10:8000/tcp is service `web`; expected a VIP, port and protocol that no other service has",
    );
}

#[test]
fn one_vip_may_have_many_ports() {
    let mut other = service("other", 10, &[1]);
    other.key.port = 8001;
    let (state, _) = two().done(&Change::AddService(other));
    assert_eq!(state.services.len(), 2);
}

// Promise: C4
#[test]
fn the_last_backend_that_takes_new_flows_stays_without_force() {
    let one = edge(&[service("web", 10, &[1])]);
    let words = "service `web` would be left with no backend that takes new flows; \
                 add another backend first, or insist with --force";
    for change in [drain(1), remove(1), weight(1, 0)] {
        assert_refused(&one, &change, 6, words);
    }
    // One that drains and one of weight 0 take no new flows.
    let (beside_draining, _) = two().done(&drain(2));
    assert_refused(&beside_draining, &drain(1), 6, words);
    assert_refused(&beside_draining, &remove_now(1, false), 6, words);
    let (beside_zero, _) = two().done(&weight(2, 0));
    assert_refused(&beside_zero, &remove(1), 6, words);
}

// Promise: C4
#[test]
fn the_last_backend_of_all_stays_without_force() {
    let one = edge(&[service("web", 10, &[1])]);
    let words = "service `web` would be left with no backend; add another backend first, or insist with --force";
    assert_refused(&one, &remove_now(1, false), 6, words);
    let forced = Change::Drain {
        service: name("web"),
        address: address(1),
        force: true,
    };
    assert_refused(&one.done(&forced).0, &remove_now(1, false), 6, words);
}

// Promise: C4
#[test]
fn a_service_with_backends_stays_without_force() {
    let words = "service `web` still has backends (2); remove them first, or insist with --force";
    assert_refused(&two(), &remove_service(false, false), 6, words);
    assert_refused(&two(), &remove_service(true, false), 6, words);
    assert_refused(&two(), &apply(&[], false), 6, words);
}

// Promise: C4
#[test]
fn a_desired_set_that_empties_a_service_needs_force() {
    let words = "service `web` would be left with no backend that takes new flows; \
                 add another backend first, or insist with --force";
    let empty = [service("web", 10, &[])];
    assert_refused(&two(), &apply(&empty, false), 6, words);
    let (state, _) = two().done(&apply(&empty, true));
    assert_eq!(state.web().drain_deadline_unix_ms.len(), 2);
}

#[test]
fn a_desired_set_names_each_service_once() {
    let twice = [service("web", 10, &[1]), service("web", 11, &[1])];
    let words = "service `web`: name: another service is called `web`; expected a name of its own";
    assert_refused(&two(), &apply(&twice, true), 5, words);
}

// Promise: C6
#[test]
fn a_vip_is_no_backend_and_a_backend_no_vip() {
    let words = |vip_of| {
        format!(
            "service `{vip_of}`: backend 198.51.100.10: it is the VIP of service `web`; expected a backend's own address"
        )
    };
    let vip = "198.51.100.10".parse().unwrap();
    let mut own = backend(1);
    own.address = vip;
    let change = Change::AddBackend {
        service: name("web"),
        backend: own.clone(),
    };
    assert_refused(&two(), &change, 1, &words("web"));

    let mut other = service("other", 11, &[]);
    other.backends.insert(vip, own);
    assert_refused(&two(), &Change::AddService(other), 1, &words("other"));

    // The other way round: the VIP comes second.
    let mut late = service("late", 11, &[]);
    late.key.vip = address(1);
    assert_refused(
        &two(),
        &Change::AddService(late),
        1,
        "service `web`: backend 10.1.0.1: it is the VIP of service `late`; expected a backend's own address",
    );
}

// Promise: C6
#[test]
fn a_backend_that_is_added_is_no_vip_of_a_service_that_nothing_else_changes() {
    let state = edge(&[
        service("web", 10, &[1]),
        service("other", 11, &[2]),
        service("third", 12, &[]),
    ]);
    let vip = "198.51.100.11".parse().unwrap();
    let launched = Change::Hear(Event {
        service: name("web"),
        address: vip,
        incarnation: 1,
        happened: Happened::Launched {
            weight: Weight::default(),
            agent: None,
            instance: None,
        },
    });
    let mut added = backend(3);
    added.address = vip;
    let added = Change::AddBackend {
        service: name("web"),
        backend: added,
    };
    let words = "service `web`: backend 198.51.100.11: it is the VIP of service `other`; expected a backend's own address";
    for change in [launched, added] {
        assert_refused(&state, &change, 1, words);
    }
}

/// What is wrong with a `web` that `spoil` has changed.
fn broken(spoil: impl FnOnce(&mut Service)) -> String {
    let mut web = service("web", 10, &[1]);
    web.check = Some(Check {
        kind: CheckKind::Http(Http::default()),
        port: 8000,
        interval_ms: 1_000,
        timeout_ms: 500,
        rise: 2,
        fall: 3,
    });
    spoil(&mut web);
    let refusal = State::new(7).refused(&Change::AddService(web));
    assert_eq!(refusal.exit_code(), 1);
    refusal.to_string()
}

fn broken_check(spoil: impl FnOnce(&mut Check)) -> String {
    broken(|web| spoil(web.check.as_mut().unwrap()))
}

#[test]
fn a_vip_is_the_address_of_one_host() {
    let rows = [
        ("0.0.0.0", "the unspecified address"),
        ("::", "the unspecified address"),
        ("127.0.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("::ffff:198.51.100.10", "an IPv4 address written as IPv6"),
    ];
    for (vip, sort) in rows {
        let words = broken(|web| web.key.vip = vip.parse().unwrap());
        assert_eq!(
            words,
            format!(
                "service `web`: vip: {vip} is {sort}; expected an address that routers can lead to this edge"
            )
        );
    }
}

#[test]
fn numbers_of_a_service_are_in_range() {
    let rows = [
        (
            broken(|web| web.key.port = 0),
            "port: it is 0; expected 1 to 65535",
        ),
        (
            broken_check(|check| check.port = 0),
            "check.port: it is 0; expected 1 to 65535",
        ),
        (
            broken_check(|check| check.rise = 0),
            "check.rise: it is 0; expected 1 to 255",
        ),
        (
            broken_check(|check| check.fall = 0),
            "check.fall: it is 0; expected 1 to 255",
        ),
        (
            broken_check(|check| (check.interval_ms, check.timeout_ms) = (0, 0)),
            "check.interval_ms: it is 0; expected at least 1 ms",
        ),
        (
            broken_check(|check| check.timeout_ms = 1_001),
            "check.timeout_ms: 1001 ms with an interval of 1000 ms; expected 1 ms up to the interval",
        ),
        (
            broken_check(|check| check.timeout_ms = 0),
            "check.timeout_ms: 0 ms with an interval of 1000 ms; expected 1 ms up to the interval",
        ),
    ];
    for (words, expected) in rows {
        assert_eq!(words, format!("service `web`: {expected}"));
    }
}

#[test]
fn a_check_asks_for_a_path_that_cannot_break_its_request() {
    for path in ["", "healthz", "/a b", "/a\r\nHost: b", "/\u{e4}"] {
        let words = broken_check(|check| check.kind = CheckKind::Http(Http { path: path.into() }));
        assert_eq!(
            words,
            format!(
                "service `web`: check.path: {path:?}; expected a path that begins with `/`, without spaces or control characters"
            )
        );
    }
}

// Promise: C6
#[test]
fn an_encapsulation_carries_every_backend() {
    let words = broken(|web| web.encapsulation = Encapsulation::Ip4in6);
    assert_eq!(
        words,
        "service `web`: backend 10.1.0.1: encapsulation ip4in6 cannot carry packets for 198.51.100.10 to it; \
         expected an encapsulation for these address families, such as gue"
    );
}

#[test]
fn a_backend_is_one_host_and_filed_under_its_address() {
    let words = broken(|web| {
        let mut loopback = backend(1);
        loopback.address = "127.0.0.1".parse().unwrap();
        web.backends.insert(loopback.address, loopback);
    });
    assert!(words.contains("127.0.0.1 is a loopback address"), "{words}");
    let words = broken(|web| _ = web.backends.insert(address(2), backend(3)));
    assert!(
        words.contains("filed under another address than its own, 10.1.0.3"),
        "{words}"
    );
}

#[test]
fn an_edge_has_at_most_4096_services() {
    let mut many: Vec<Service> = (0..=4_096)
        .map(|n| {
            let mut service = service(&format!("s{n}"), 10, &[]);
            service.key.port = 1 + n;
            service
        })
        .collect();
    assert_refused(
        &State::new(7),
        &apply(&many, false),
        1,
        "service `s4096`: it is one of 4097 services; expected at most 4096",
    );
    many.pop();
    let (full, _) = State::new(7).done(&apply(&many, false));
    assert_eq!(full.services.len(), 4_096);
    // Full, and all replaced at once: no number is free before the old ones are given back.
    assert_refused(
        &full,
        &apply(&[service("web", 11, &[])], true),
        1,
        "no number is left for service `web`; remove services in a change of their own first",
    );
}

#[test]
fn an_edge_has_at_most_32767_backends() {
    let mut web = service("web", 10, &[]);
    for n in 0..=32_767u32 {
        let mut backend = backend(1);
        backend.address = std::net::Ipv4Addr::from(0x0a00_0000 + n).into();
        web.backends.insert(backend.address, backend);
    }
    assert_refused(
        &State::new(7),
        &Change::AddService(web),
        1,
        "service `web`: backend 10.0.127.255: it is backend number 32768 of this edge; expected at most 32767",
    );
}
