use std::time::Instant;

use super::*;

const NEW_MAC: &str = "02:00:00:00:00:99";
const NEW_MAC_BYTES: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

// Promise: N2
#[test]
fn a_mac_that_changes_with_an_announcement_is_followed() {
    let (edge, backend) = wire();
    backend.sysctl("ipv4/conf/b0/arp_notify", "1");
    let mut follower = Follower::start(&edge, &["10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    backend.ip(&format!("link set b0 address {NEW_MAC}"));
    follower.until_next_hop("10.0.0.2", |next_hop| {
        next_hop.destination_mac == NEW_MAC_BYTES
    });
}

// Promise: N2
#[test]
fn a_mac_that_changes_in_silence_is_noticed_without_any_traffic() {
    let (edge, backend) = wire();
    hurry(&edge, "e0");
    let mut follower = Follower::start(&edge, &["10.0.0.2", "fd00::2"]);
    follower.until("two next hops", |found| found.len() == 2);
    backend.ip(&format!("link set b0 address {NEW_MAC}"));
    for address in ["10.0.0.2", "fd00::2"] {
        follower.until_next_hop(address, |next_hop| {
            next_hop.destination_mac == NEW_MAC_BYTES
        });
    }
}

// Promise: N2
#[test]
fn the_edges_own_new_mac_is_followed() {
    let (edge, _backend) = wire();
    let mut follower = Follower::start(&edge, &["10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    edge.ip(&format!("link set e0 address {NEW_MAC}"));
    follower.until_next_hop("10.0.0.2", |next_hop| next_hop.source_mac == NEW_MAC_BYTES);
}

#[test]
fn a_backend_that_appears_later_is_found_without_any_traffic() {
    let (edge, backend) = wire();
    hurry(&edge, "e0");
    let mut follower = Follower::start(&edge, &["10.0.0.5"]);
    let started = Instant::now();
    while !edge.ip("neigh show 10.0.0.5").contains("FAILED") {
        assert!(started.elapsed() < PATIENCE, "nobody looks for it");
    }
    // The kernel says nothing more of it from here on.
    backend.ip("addr add 10.0.0.5/24 dev b0");
    follower.next_hop("10.0.0.5");
}

#[test]
fn a_gateway_that_falls_silent_is_given_up_and_taken_back() {
    let (edge, gateway) = wire();
    hurry(&edge, "e0");
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2");
    let mut follower = Follower::start(&edge, &["10.9.1.1"]);
    follower.next_hop("10.9.1.1");
    gateway.ip("addr del 10.0.0.2/24 dev b0");
    follower.until_none("10.9.1.1");
    gateway.ip("addr add 10.0.0.2/24 dev b0");
    follower.next_hop("10.9.1.1");
}

#[test]
fn an_entry_that_the_kernel_throws_away_costs_no_next_hop() {
    let (edge, _backend) = wire();
    let mut follower = Follower::start(&edge, &["10.0.0.2", "fd00::2"]);
    let known = follower.until("two next hops", |found| found.len() == 2);
    let mut found = follower.found.clone();
    for _ in 0..3 {
        edge.ip("neigh flush all");
        let started = Instant::now();
        while edge.ip("neigh show").matches("lladdr").count() < 2 {
            assert!(
                started.elapsed() < PATIENCE,
                "the neighbours are not asked for again"
            );
        }
        assert_eq!(*found.borrow(), known);
    }
    assert!(
        !found.has_changed().expect("still followed"),
        "published {:?} and then the same as before",
        *found.borrow_and_update()
    );
}

#[test]
fn a_permanent_neighbour_is_taken_at_its_word_and_stays_permanent() {
    let (edge, _backend) = wire();
    edge.ip(&format!(
        "neigh replace 10.0.0.9 lladdr {NEW_MAC} dev e0 nud permanent"
    ));
    let mut follower = Follower::start(&edge, &["10.0.0.9", "10.0.0.2"]);
    assert_eq!(follower.next_hop("10.0.0.9").destination_mac, NEW_MAC_BYTES);
    // The other one was asked for, so this one would have been too.
    follower.next_hop("10.0.0.2");
    assert!(edge.ip("neigh show 10.0.0.9").contains("PERMANENT"));
}

// Promise: N4
#[test]
fn a_neighbour_that_fails_at_once_is_not_asked_for_more_than_once_a_second() {
    let (edge, neighbour) = (ScratchNetns::new(), ScratchNetns::new());
    edge.veth("e0", &["10.0.0.1/24"], &neighbour, "b0", &[]);
    // Then ARP requests are all that is ever sent.
    edge.sysctl("ipv6/conf/e0/disable_ipv6", "1");
    // Every request fails within a tick, and the event of that leads to the next look.
    edge.sysctl("ipv4/neigh/e0/mcast_solicit", "1");
    edge.sysctl("ipv4/neigh/e0/retrans_time_ms", "1");
    let before = sent(&edge, "e0");
    let started = Instant::now();
    let _follower = Follower::start(&edge, &["10.0.0.9"]);
    while sent(&edge, "e0") < before + 3 {
        assert!(
            started.elapsed() < PATIENCE,
            "the neighbour is not asked for again"
        );
        thread::yield_now();
    }
    // One at the start, one a second later, the third after two.
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "three within {:?}",
        started.elapsed()
    );
}

/// How many frames an interface has sent.
fn sent(netns: &ScratchNetns, interface: &str) -> u64 {
    let counters = netns
        .run(|| std::fs::read_to_string("/proc/thread-self/net/dev"))
        .expect("counters");
    let line = counters
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("{interface}:")));
    // Eight columns of what was received come first, and bytes before frames.
    let frames = line
        .and_then(|line| line.split_whitespace().nth(9))
        .expect("a column");
    frames.parse().expect("a number")
}
