use std::time::Instant;

use super::*;
use crate::nexthop::events::{Doubt, Events};

/// An edge with a second wire, `e1` with 10.1.0.1, to `b1` with 10.1.0.2 of the same neighbour.
fn two_wires() -> (ScratchNetns, ScratchNetns) {
    let (edge, neighbour) = wire();
    edge.veth("e1", &["10.1.0.1/24"], &neighbour, "b1", &["10.1.0.2/24"]);
    (edge, neighbour)
}

// Promise: N2
#[test]
fn a_route_that_moves_to_another_interface_is_followed() {
    let (edge, gateway) = two_wires();
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2");
    let mut follower = Follower::start(&edge, &["10.9.1.1"]);
    follower.next_hop("10.9.1.1");
    edge.ip("route replace 10.9.0.0/16 via 10.1.0.2");
    let e1 = view(&edge, "e1");
    let moved = follower.until_next_hop("10.9.1.1", |next_hop| next_hop.interface == e1.index);
    let expected = (e1.mac, view(&gateway, "b1").mac, ip("10.1.0.1"));
    assert_eq!(
        (moved.source_mac, moved.destination_mac, moved.source),
        expected
    );
}

// Promise: N2
#[test]
fn a_rule_that_leads_to_another_table_is_followed() {
    let (edge, _gateway) = two_wires();
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2");
    edge.ip("route add 10.9.0.0/16 via 10.1.0.2 table 77");
    let mut follower = Follower::start(&edge, &["10.9.1.1"]);
    follower.next_hop("10.9.1.1");
    edge.ip("rule add to 10.9.0.0/16 lookup 77");
    let e1 = view(&edge, "e1");
    follower.until_next_hop("10.9.1.1", |next_hop| next_hop.interface == e1.index);
}

// Promise: N2
#[test]
fn a_cut_wire_takes_the_next_hop_and_a_mended_one_gives_it_back() {
    let (edge, backend) = wire();
    let mut follower = Follower::start(&edge, &["10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    backend.ip("link set b0 down");
    follower.until_none("10.0.0.2");
    backend.ip("link set b0 up");
    follower.next_hop("10.0.0.2");
}

#[test]
fn a_cut_wire_counts_also_when_its_neighbour_is_permanent() {
    let (edge, backend) = wire();
    let mac = "02:00:00:00:00:99";
    edge.ip(&format!(
        "neigh replace 10.0.0.2 lladdr {mac} dev e0 nud permanent"
    ));
    let mut follower = Follower::start(&edge, &["10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    backend.ip("link set b0 down");
    follower.until_none("10.0.0.2");
}

#[test]
fn an_interface_that_is_deleted_takes_its_next_hops() {
    let (edge, _neighbour) = two_wires();
    let mut follower = Follower::start(&edge, &["10.0.0.2", "10.1.0.2"]);
    follower.until("two next hops", |found| found.len() == 2);
    edge.ip("link del e1");
    follower.until_none("10.1.0.2");
    assert!(follower.found.borrow().contains_key(&ip("10.0.0.2")));
}

#[test]
fn the_wanted_set_is_followed() {
    let (edge, backend) = wire();
    backend.ip("addr add 10.0.0.3/24 dev b0");
    let mut follower = Follower::start(&edge, &["10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    follower.wanted.send_replace(wanting(&["10.0.0.3"]));
    follower.next_hop("10.0.0.3");
    follower.until_none("10.0.0.2");
}

#[test]
fn only_changes_are_published() {
    let (edge, backend) = wire();
    backend.ip("addr add 10.0.0.3/24 dev b0");
    let mut follower = Follower::start(&edge, &["10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    let mut found = follower.found.clone();
    found.mark_unchanged();
    let published = thread::spawn(move || {
        let runtime = Builder::new_current_thread().build().expect("runtime");
        let mut published = vec![found.borrow().clone()];
        while runtime.block_on(found.changed()).is_ok() {
            published.push(found.borrow_and_update().clone());
        }
        published
    });
    // Each is a reason to look, and none to publish.
    for number in 0..20 {
        edge.ip(&format!("route add 10.77.{number}.0/24 dev e0"));
    }
    let both = wanting(&["10.0.0.2", "10.0.0.3"]);
    follower.wanted.send_replace(both);
    follower.next_hop("10.0.0.3");
    drop(follower);
    let published = published.join().expect("no panic");
    assert_eq!(published.len(), 2, "{published:?}");
}

// Promise: N2
#[test]
fn a_storm_of_changes_hides_none() {
    let (edge, _gateway) = two_wires();
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2");
    let mut follower = Follower::start(&edge, &["10.9.1.1"]);
    follower.next_hop("10.9.1.1");
    storm(&edge);
    edge.ip("route replace 10.9.0.0/16 via 10.1.0.2");
    let e1 = view(&edge, "e1");
    follower.until_next_hop("10.9.1.1", |next_hop| next_hop.interface == e1.index);
}

#[test]
fn more_changes_than_a_socket_holds_are_a_change() {
    let (edge, _gateway) = wire();
    let outcome = block_on_netns(edge.path(), || async {
        let mut events = Events::open()?;
        storm(&edge);
        events.next().await?;
        let lost = events.take();
        edge.ip("route add 10.81.0.0/24 dev e0");
        events.next().await?;
        Ok::<_, NextHopError>((lost, events.take()))
    });
    let (lost, next) = outcome
        .expect("enter")
        .expect("a socket that goes on working");
    assert!(lost.all, "nobody knows what was lost");
    let prefix = "10.81.0.0/24".parse().expect("a prefix");
    assert!(next.prefixes.contains(&prefix), "{next:?}");
}

/// Changes more routes than a netlink socket holds events of.
fn storm(netns: &ScratchNetns) {
    let batch = tempfile::NamedTempFile::new().expect("a file");
    let changes =
        (0..4_000_u32).map(|metric| format!("route add 10.80.0.0/24 dev e0 metric {metric}\n"));
    std::fs::write(batch.path(), changes.collect::<String>()).expect("write");
    netns.ip(&format!("-batch {}", batch.path().display()));
}

#[test]
fn following_ends_when_nobody_wants_anything_any_more() {
    let (edge, _backend) = wire();
    let mut follower = Follower::start(&edge, &["10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    let Follower {
        wanted,
        thread,
        found,
        ..
    } = follower;
    drop(wanted);
    until_ended(thread);
    drop(found);
}

#[test]
fn following_ends_when_nobody_listens_any_more() {
    let (edge, _backend) = wire();
    let Follower {
        wanted,
        thread,
        found,
        ..
    } = Follower::start(&edge, &["10.0.0.2"]);
    drop(found);
    until_ended(thread);
    drop(wanted);
}

fn until_ended(following: thread::JoinHandle<Result<(), NextHopError>>) {
    let started = Instant::now();
    while !following.is_finished() {
        assert!(started.elapsed() < PATIENCE, "following goes on");
        thread::yield_now();
    }
    following.join().expect("no panic").expect("no error");
}

#[test]
fn hundreds_of_neighbours_are_asked_for_in_one_go() {
    let (edge, backend) = wire();
    let addresses: Vec<IpAddr> = (1..=400_u16)
        .map(|number| [0xfd00, 0, 0, 0, 0, 0, 1, number].into())
        .collect();
    let batch = tempfile::NamedTempFile::new().expect("a file");
    let each = addresses
        .iter()
        .map(|address| format!("addr add {address}/64 dev b0 nodad\n"));
    std::fs::write(batch.path(), each.collect::<String>()).expect("write");
    backend.ip(&format!("-batch {}", batch.path().display()));
    let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let mut follower =
        Follower::start(&edge, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    follower.until("four hundred next hops", |found| found.len() == 400);
}

// Promise: N2
#[test]
fn an_event_casts_doubt_on_the_routes_that_it_concerns() {
    let (edge, _neighbour) = two_wires();
    let of_routes = [
        ("route add 10.9.0.0/16 via 10.0.0.2", "10.9.0.0/16"),
        ("route replace 10.9.0.0/16 via 10.1.0.2", "10.9.0.0/16"),
        ("route add 10.9.7.7 via 10.0.0.2 table 77", "10.9.7.7/32"),
        ("route del 10.9.0.0/16", "10.9.0.0/16"),
        ("route add default via 10.0.0.2", "0.0.0.0/0"),
        ("route add fd09::/48 via fd00::2", "fd09::/48"),
        ("-6 route add default via fd00::2", "::/0"),
    ];
    let of_all = [
        "addr add 10.0.0.77/24 dev e0",
        "rule add to 10.9.0.0/16 lookup 77",
        "-6 rule add to fd09::/16 lookup 77",
        "link set e0 mtu 1400",
        "nexthop add id 7 via 10.0.0.2 dev e0",
        "link set e1 down",
    ];
    let outcome = block_on_netns(edge.path(), || async {
        for (change, prefix) in of_routes {
            let prefix = prefix.parse().expect("a prefix");
            doubt_after(&edge, change, |doubt| doubt.prefixes.contains(&prefix)).await?;
        }
        for change in of_all {
            doubt_after(&edge, change, |doubt| doubt.all).await?;
        }
        Ok::<_, NextHopError>(())
    });
    outcome.expect("enter").expect("a working socket");
}

/// Makes a change and waits until its events cast the doubt that is expected.
async fn doubt_after(
    edge: &ScratchNetns,
    change: &str,
    expected: impl Fn(&Doubt) -> bool,
) -> Result<(), NextHopError> {
    let mut events = Events::open()?;
    edge.ip(change);
    let telling = async {
        loop {
            events.next().await?;
            if expected(&events.take()) {
                return Ok(());
            }
        }
    };
    let told = timeout(PATIENCE, telling).await;
    told.unwrap_or_else(|_| panic!("`ip {change}` casts no doubt"))
}
