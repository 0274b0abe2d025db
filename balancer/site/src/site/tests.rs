//! A site with a runtime and edges that live in memory: whatever happens, it gets there, and nobody is cut off on the way.

mod outside;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use balancer_api::site_api::views::Phase;
use proptest::prelude::*;

use self::outside::{Outside, label, wanted};
use super::*;

#[test]
fn instances_are_launched_under_the_lowest_free_names_and_told_to_every_edge() {
    let mut outside = Outside::new("web:1", 3, 2);
    outside.settle();
    assert_eq!(
        outside.names(),
        ["web-global-sea-0", "web-global-sea-1", "web-global-sea-2"]
    );
    for edge in outside.edges.values() {
        let Edge::Seen(view) = edge else { panic!() };
        assert_eq!(view.backends.len(), 3);
        assert!(view.has(&"web-http".parse().unwrap()));
    }
}

// Promise: F2
#[test]
fn fewer_replicas_take_the_last_ones_after_they_drained() {
    let mut outside = Outside::new("web:1", 3, 2);
    outside.settle();
    let before = outside.now;
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:1", 2));
    outside.settle();
    assert_eq!(outside.names(), ["web-global-sea-0", "web-global-sea-1"]);
    assert!(
        outside.now - before >= 2_000,
        "it did not wait for the drain"
    );
}

// Promise: F3
#[test]
fn other_containers_replace_one_after_the_other_and_never_serve_fewer() {
    let mut outside = Outside::new("web:1", 3, 1);
    outside.settle();
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:2", 3));
    for _ in 0..200 {
        for action in outside.plan() {
            outside.carry_out(action);
        }
        outside.pass();
        let leaving = outside.memory.leaving.len();
        assert!(outside.serving() >= 3, "only {} serve", outside.serving());
        assert!(
            outside.instances.len() - leaving <= 4,
            "more than one too many"
        );
    }
    assert!(outside.is_converged());
    let digest = wanted("web:2", 3).workload.instance_digest();
    assert!(outside.instances.iter().all(|each| each.digest == digest));
}

// Promise: F2
#[test]
fn a_workload_that_is_to_go_drains_and_leaves_nothing() {
    let mut outside = Outside::new("web:1", 2, 2);
    outside.settle();
    outside
        .memory
        .workloads
        .get_mut(&label("web"))
        .unwrap()
        .removing = true;
    for _ in 0..40 {
        for action in outside.plan() {
            outside.carry_out(action);
        }
        outside.pass();
    }
    assert!(outside.memory.workloads.is_empty() && outside.instances.is_empty());
    for edge in outside.edges.values() {
        let Edge::Seen(view) = edge else { panic!() };
        assert!(view.services.is_empty() && view.backends.is_empty());
    }
}

// Promise: F4
#[test]
fn one_that_ended_is_restarted_after_a_wait_that_doubles() {
    assert_eq!(
        [0, 1, 2, 3, 40].map(super::instances::backoff_ms),
        [0, 1_000, 2_000, 4_000, 300_000]
    );
    let mut outside = Outside::new("web:1", 1, 1);
    outside.settle();
    outside.instances[0].restarts = 2;
    outside.instances[0].life = Life::Ended(outside.now);
    let name = outside.instances[0].name.clone();
    assert!(!outside.plan().contains(&restart(&name)));
    outside.now += 2_000;
    assert!(outside.plan().contains(&restart(&name)));
}

fn restart(name: &str) -> Action {
    Action::Instance(InstanceAction::Restart(name.to_owned()))
}

// Promise: F4
#[test]
fn one_that_ran_for_ten_minutes_is_restarted_at_once() {
    let mut outside = Outside::new("web:1", 1, 1);
    outside.settle();
    let begun = outside.instances[0].incarnation;
    let name = outside.instances[0].name.clone();
    outside.instances[0].restarts = 9;
    for (lived, at_once) in [(599_999, false), (600_000, true)] {
        outside.now = begun + lived;
        outside.instances[0].life = Life::Ended(outside.now);
        let restarted = outside.plan().contains(&restart(&name));
        assert_eq!(restarted, at_once, "after {lived} ms");
    }
}

// Promise: F4
#[test]
fn one_that_was_restarted_serves_once_every_edge_has_heard_of_its_new_life() {
    let mut outside = Outside::new("web:1", 1, 2);
    outside.settle();
    outside.instances[0].incarnation += 1;
    assert_eq!(
        outside.with(|world| phase(world, &world.instances[0])),
        Phase::Starting
    );
    assert!(!outside.is_converged());
    outside.settle();
    assert!(outside.is_converged());
}

// Promise: F2
#[test]
fn an_edge_that_does_not_answer_holds_up_nobody_but_until_the_deadline() {
    let mut outside = Outside::new("web:1", 2, 2);
    outside.settle();
    let lost = outside.edges.insert("edge-1".to_owned(), Edge::Unreachable);
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:1", 3));
    outside.settle();
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:1", 2));
    let before = outside.now;
    outside.settle();
    assert!(
        outside.now - before >= 30_000,
        "the lost edge may still send packets"
    );
    // It comes back with what it had, and hears of everything that it missed.
    outside.edges.insert("edge-1".to_owned(), lost.unwrap());
    outside.settle();
    let addresses: BTreeSet<IpAddr> = outside
        .instances
        .iter()
        .filter_map(|each| each.address)
        .collect();
    let Edge::Seen(view) = &outside.edges["edge-1"] else {
        panic!()
    };
    assert_eq!(
        view.backends
            .keys()
            .map(|(_, address)| *address)
            .collect::<BTreeSet<_>>(),
        addresses
    );
}

// Promise: F2
#[test]
fn a_backend_that_is_nobodys_is_terminated() {
    let mut outside = Outside::new("web:1", 1, 1);
    outside.settle();
    let stranger: IpAddr = Ipv4Addr::new(10, 1, 8, 99).into();
    let key = ("web-http".parse().unwrap(), stranger);
    outside
        .view("edge-0")
        .backends
        .insert(key.clone(), Backend { draining: false });
    for action in outside.plan() {
        outside.carry_out(action);
    }
    assert!(!outside.view("edge-0").backends.contains_key(&key));
}

// Promise: F2
#[test]
fn a_service_that_is_no_longer_wished_is_withdrawn_and_one_with_another_port_comes_after_it() {
    let mut outside = Outside::new("web:1", 1, 2);
    outside.settle();
    let before = services(&outside.memory.workloads[&label("web")]);
    let mut other = wanted("web:1", 1);
    other.workload.containers[0].ports[0].port = 9000;
    outside
        .memory
        .unwanted
        .extend(before.iter().map(Declared::from));
    outside.memory.workloads.insert(label("web"), other);
    outside.settle();
    assert!(outside.with(still_unwanted).is_empty());
    for edge in outside.edges.values() {
        let Edge::Seen(view) = edge else { panic!() };
        let ports: Vec<u16> = view
            .services
            .iter()
            .map(|service| service.key.port)
            .collect();
        assert_eq!(ports, [9000]);
    }
}

// Promise: F3
#[test]
fn a_replacement_takes_what_does_not_serve_before_what_does() {
    let mut outside = Outside::new("web:1", 3, 1);
    outside.settle();
    outside.instances[0].life = Life::Ended(outside.now);
    outside.instances[0].restarts = 9;
    let stale = outside.instances[0].name.clone();
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:2", 2));
    let leaving: Vec<Action> = outside.plan();
    let left: Vec<&String> = leaving
        .iter()
        .filter_map(|action| match action {
            Action::Remember(StateChange::Leave { name, .. }) => Some(name),
            _ => None,
        })
        .collect();
    assert_eq!(left, [&stale]);
}

#[test]
fn a_state_is_written_as_programs_before_this_one_read_it() {
    let text = serde_json::json!({
        "workloads": {},
        "leaving": {"web-global-sea-1": 1_000},
        "replicas": {"web/global": 3},
        "unwanted": [{"name": "web-http", "vip": "198.51.100.1", "port": 8000, "protocol": "tcp"}],
    });
    let memory: Memory = serde_json::from_value(text.clone()).unwrap();
    let (target, replicas) = memory.replicas.first_key_value().unwrap();
    assert_eq!((target.target.as_str(), *replicas), ("global", 3));
    assert_eq!(serde_json::to_value(&memory).unwrap(), text);
}

/// What happens to a site.
#[derive(Clone, Debug)]
enum Happening {
    Replicas(u32),
    Image(bool),
    Crash,
    /// Only so many of the next actions are carried out.
    Only(usize),
    End(usize),
    Lose(usize),
    Find,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (1..5_u32).prop_map(Happening::Replicas),
        any::<bool>().prop_map(Happening::Image),
        Just(Happening::Crash),
        (0..4_usize).prop_map(Happening::Only),
        (0..5_usize).prop_map(Happening::End),
        (0..2_usize).prop_map(Happening::Lose),
        Just(Happening::Find),
    ]
}

proptest! {
    /// Removal before its time is caught by `Outside` itself.
    // Promise: F2
    #[test]
    fn whatever_happens_it_gets_there_and_nobody_is_cut_off(
        happenings in prop::collection::vec(happening(), 0..24)
    ) {
        let mut outside = Outside::new("web:1", 2, 2);
        let mut lost: BTreeMap<String, Edge> = BTreeMap::new();
        for happening in happenings {
            let mut most = usize::MAX;
            match happening {
                Happening::Replicas(count) => {
                    let image = outside.memory.workloads[&label("web")].workload.containers[0].image.clone();
                    outside.memory.workloads.insert(label("web"), wanted(&image, count));
                }
                Happening::Image(other) => {
                    let count = outside.memory.workloads[&label("web")].workload.targets[0].min_replicas;
                    let image = if other { "web:2" } else { "web:1" };
                    outside.memory.workloads.insert(label("web"), wanted(image, count));
                }
                Happening::Crash => outside.crash(),
                Happening::Only(count) => most = count,
                Happening::End(index) => {
                    let now = outside.now;
                    if let Some(instance) = outside.instances.get_mut(index) {
                        instance.life = Life::Ended(now);
                    }
                }
                Happening::Lose(index) => {
                    let name = format!("edge-{index}");
                    if let Some(edge) = outside.edges.insert(name.clone(), Edge::Unreachable) {
                        lost.entry(name).or_insert(edge);
                    }
                }
                Happening::Find => outside.edges.extend(std::mem::take(&mut lost)),
            }
            for action in outside.plan().into_iter().take(most) {
                outside.carry_out(action);
            }
            outside.pass();
        }
        outside.edges.extend(lost);
        outside.settle();
    }
}
