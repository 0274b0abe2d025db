use super::*;

const NEW_MAC: &str = "02:00:00:00:00:99";
const NEW_MAC_BYTES: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

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
    let mut follower = Follower::start(&edge, &["10.0.0.5", "10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    assert_eq!(follower.found.borrow().len(), 1);
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

#[test]
fn a_neighbour_that_fails_at_once_is_not_asked_for_more_than_once_a_second() {
    let (edge, _backend) = wire();
    // Every request then ends in a failure, whose event leads to the next look.
    edge.sysctl("ipv4/neigh/e0/mcast_solicit", "1");
    edge.sysctl("ipv4/neigh/e0/retrans_time_ms", "1");
    let before = asked(&edge);
    let _follower = Follower::start(&edge, &["10.0.0.9"]);
    let started = std::time::Instant::now();
    while asked(&edge) < before + 3 {
        assert!(
            started.elapsed() < PATIENCE,
            "the neighbour is not asked for again"
        );
    }
    // One at the start and one a second later and later: the third comes two seconds in, less some slack.
    assert!(
        started.elapsed() > Duration::from_millis(1_500),
        "three within {:?}",
        started.elapsed()
    );
}

/// How often the edge has begun to resolve an IPv4 neighbour.
fn asked(edge: &ScratchNetns) -> u64 {
    let statistics = edge
        .run(|| std::fs::read_to_string("/proc/net/stat/arp_cache"))
        .expect("ARP statistics");
    let mut lines = statistics
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let column = lines
        .next()
        .expect("a header")
        .iter()
        .position(|name| *name == "res_failed")
        .expect("res_failed");
    lines
        .map(|line| u64::from_str_radix(line[column], 16).expect("hexadecimal"))
        .sum()
}
