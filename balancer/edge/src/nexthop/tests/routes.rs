use super::*;

// Promise: N1
#[test]
fn an_on_link_backend_is_reached_at_its_own_mac() {
    let (edge, backend) = wire();
    let next_hop = Follower::start(&edge, &["10.0.0.2"]).next_hop("10.0.0.2");
    let (here, there) = (view(&edge, "e0"), view(&backend, "b0"));
    let expected = NextHop {
        interface: here.index,
        source_mac: here.mac,
        destination_mac: there.mac,
        source: ip("10.0.0.1"),
        source_bits: 0,
        mtu: 1500,
        tags: [None; 2],
    };
    assert_eq!(next_hop, expected);
}

// Promise: N1
#[test]
fn an_on_link_backend_with_ipv6_is_reached_at_its_own_mac() {
    let (edge, backend) = wire();
    let next_hop = Follower::start(&edge, &["fd00::2"]).next_hop("fd00::2");
    assert_eq!(
        (next_hop.destination_mac, next_hop.source),
        (view(&backend, "b0").mac, ip("fd00::1"))
    );
}

// Promise: N1
#[test]
fn routed_backends_are_reached_at_their_gateway() {
    let (edge, gateway) = wire();
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2");
    edge.ip("route add fd09::/16 via fd00::2");
    let mut follower = Follower::start(&edge, &["10.9.1.1", "10.9.1.2", "fd09::1"]);
    let found = follower.until("three next hops", |found| found.len() == 3);
    let mac = view(&gateway, "b0").mac;
    assert!(
        found
            .iter()
            .all(|(_, next_hop)| next_hop.destination_mac == mac),
        "{found:?}"
    );
    assert_eq!(found[&ip("fd09::1")].source, ip("fd00::1"));
}

#[test]
fn an_ipv4_backend_behind_an_ipv6_gateway_is_reached_at_its_mac() {
    let (edge, gateway) = wire();
    edge.ip("route add 10.9.0.0/16 via inet6 fd00::2 dev e0");
    let next_hop = Follower::start(&edge, &["10.9.1.1"]).next_hop("10.9.1.1");
    assert_eq!(
        (next_hop.destination_mac, next_hop.source),
        (view(&gateway, "b0").mac, ip("10.0.0.1"))
    );
}

#[test]
fn a_default_route_over_a_link_local_gateway_counts() {
    let (edge, gateway) = wire();
    gateway.ip("addr add fe80::2/64 dev b0 nodad");
    edge.ip("route add default via fe80::2 dev e0");
    let next_hop = Follower::start(&edge, &["fd09::1"]).next_hop("fd09::1");
    assert_eq!(next_hop.destination_mac, view(&gateway, "b0").mac);
}

// Promise: N2
#[test]
fn the_mtu_is_the_smaller_of_route_and_link_and_is_followed() {
    let (edge, _backend) = wire();
    let mut follower = Follower::start(&edge, &["10.0.0.2", "10.9.1.1", "fd09::1"]);
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2 mtu 1400");
    edge.ip("route add fd09::/16 via fd00::2 mtu 1300");
    let found = follower.until("three next hops", |found| found.len() == 3);
    let mtu = |address: &str| found[&ip(address)].mtu;
    assert_eq!(
        (mtu("10.0.0.2"), mtu("10.9.1.1"), mtu("fd09::1")),
        (1500, 1400, 1300)
    );
    edge.ip("link set e0 mtu 1600");
    follower.until_next_hop("10.0.0.2", |next_hop| next_hop.mtu == 1600);
    edge.ip("link set e0 mtu 1350");
    follower.until_next_hop("10.9.1.1", |next_hop| next_hop.mtu == 1350);
}

#[test]
fn the_operators_source_wins_and_the_routes_preferred_one_comes_next() {
    let (edge, _backend) = wire();
    edge.ip("addr add 10.0.0.77/24 dev e0");
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2 src 10.0.0.77");
    assert_eq!(
        Follower::start(&edge, &["10.9.1.1"])
            .next_hop("10.9.1.1")
            .source,
        ip("10.0.0.77")
    );
    let sources = Sources {
        ipv4: Some("192.0.2.0/28".parse().expect("v4")),
        ipv6: None,
    };
    let mut follower = Follower::start_with(&edge, &["10.9.1.1", "fd00::2"], sources);
    let chosen = follower.next_hop("10.9.1.1");
    assert_eq!((chosen.source, chosen.source_bits), (ip("192.0.2.0"), 4));
    let own = follower.next_hop("fd00::2");
    assert_eq!((own.source, own.source_bits), (ip("fd00::1"), 0));
}

// Promise: N3
#[test]
fn a_backend_on_this_host_has_no_next_hop() {
    let (edge, _backend) = wire();
    let mut follower = Follower::start(
        &edge,
        &["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "10.0.0.2"],
    );
    follower.next_hop("10.0.0.2");
    assert_eq!(follower.found.borrow().len(), 1);
    edge.ip("addr add 10.0.0.2/32 dev lo");
    follower.until_none("10.0.0.2");
    // Nobody was looked for on lo.
    assert_eq!(edge.ip("neigh show nud all dev lo"), "");
}

// Promise: N3
#[test]
fn routes_that_lead_nowhere_give_no_next_hop() {
    let (edge, _gateway) = wire();
    let (v4, v6) = ("10.9.1.1", "fd09::1");
    let mut follower = Follower::start(&edge, &[v4, v6]);
    for kind in ["unreachable", "blackhole", "prohibit", "throw"] {
        edge.ip("route replace 10.9.0.0/16 via 10.0.0.2");
        edge.ip("route replace fd09::/16 via fd00::2");
        follower.until("two next hops", |found| found.len() == 2);
        edge.ip(&format!("route add {kind} 10.9.1.0/24"));
        edge.ip(&format!("route add {kind} fd09::/64"));
        follower.until(kind, NextHops::is_empty);
        edge.ip(&format!("route del {kind} 10.9.1.0/24"));
        edge.ip(&format!("route del {kind} fd09::/64"));
    }
    edge.ip("route del 10.9.0.0/16");
    edge.ip("route del fd09::/16");
    follower.until("no route at all", NextHops::is_empty);
}

// Promise: N3
#[test]
fn a_route_into_another_encapsulation_gives_no_next_hop() {
    let (edge, _gateway) = wire();
    edge.ip("link add v0 type vxlan external dstport 4789");
    edge.ip("link set v0 up");
    edge.ip("route add 10.9.0.0/16 encap ip id 7 dst 10.0.0.2 dev v0");
    edge.ip("neigh add 10.9.1.1 lladdr 02:00:00:00:00:99 dev v0 nud permanent");
    let mut follower = Follower::start(&edge, &["10.9.1.1", "10.0.0.2"]);
    follower.next_hop("10.0.0.2");
    assert_eq!(follower.found.borrow().len(), 1);
}
