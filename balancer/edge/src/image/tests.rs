use std::net::IpAddr;

use balancer_common::{abi::outer, directory::Known};
use balancer_config::EdgeConfig;
use balancer_core::{
    model::{HashPolicy, Health},
    reconcile::{self, NextHop, NextHops},
    state::{Change, State},
};

use super::*;

/// The state of an edge with these services, which had `before`.
pub(super) fn state(before: &State, services: &str) -> State {
    let text = format!("version = 1\ninterface = \"eth0\"\n{services}");
    let config = EdgeConfig::parse(&text, "edge.toml").unwrap();
    let apply = Change::Apply {
        services: config.services,
        force: true,
    };
    before.change(&apply, 0).unwrap().0
}

/// A service with these backends, as a configuration has it.
pub(super) fn service(name: &str, vip: &str, port: u16, hash: &str, backends: &[&str]) -> String {
    let mut text = format!(
        "[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\nport = {port}\nhash = \"{hash}\"\n"
    );
    for address in backends {
        text += &format!("[[service.backend]]\naddress = \"{address}\"\n");
    }
    text
}

/// A next hop to every backend.
pub(super) fn next_hops(state: &State) -> NextHops {
    let hop = |source: IpAddr| NextHop {
        interface: 3,
        source_mac: [2; 6],
        destination_mac: [4; 6],
        source,
        source_bits: 0,
        mtu: 1_500,
        tags: [None; 2],
    };
    let backends = state.services.values().flat_map(|of| of.ids.keys());
    backends.map(|&at| (at, hop(at))).collect()
}

/// A plan in which every backend is up and reached.
pub(super) fn plan_of(state: &State) -> Plan {
    reconcile::plan(state, &|_| Health::Up, &next_hops(state))
}

/// A plan for two ports of one VIP, one of them by source, and for one of IPv6.
pub(super) fn plan() -> Plan {
    let services = [
        service(
            "web80",
            "198.51.100.10",
            80,
            "flow",
            &["10.0.0.1", "10.0.0.2"],
        ),
        service("web443", "198.51.100.10", 443, "source", &["10.0.0.3"]),
        service("six", "2001:db8::10", 80, "flow", &["2001:db8:1::1"]),
    ];
    plan_of(&state(&State::new(1), &services.concat()))
}

#[test]
fn packets_meet_what_was_planned() {
    let plan = plan();
    let image = Image::of(&plan);
    assert_eq!(image.services().count(), 3);
    for (key, record) in &plan.services {
        assert!(image.is_vip(&key.vip.into()));
        let service = image.service(&record::service_key(key)).unwrap();
        assert_eq!(service.is_by_source(), record.hash == HashPolicy::Source);
        let table = &plan.tables[&record.id];
        assert_eq!(service.slots(), table.slots());
        for (at, owner) in (0..).zip(table.owners()) {
            let slot = image.slot(service.table, at).unwrap();
            assert_eq!(slot.owner(), owner.0);
            assert!(!slot.has_moved());
            assert_eq!(image.history(service.table, at), Some([0; 4]));
            let backend = image.backend(slot.owner()).unwrap();
            assert_eq!(
                backend.destination,
                plan.backends[owner].address.into(),
                "of {owner:?}"
            );
        }
        assert_eq!(image.slot(service.table, table.slots() as u32), None);
    }
    assert!(!image.is_vip(&IpAddr::from([198, 51, 100, 11]).into()));
    assert_eq!(image.backend(9).map(|of| of.outer), Some(0));
    let outer: Vec<u8> = (image.ids())
        .map(|id| image.backend(id).unwrap().outer)
        .collect();
    assert_eq!(
        outer
            .iter()
            .filter(|&&kind| kind == outer::GUE_IPV6)
            .count(),
        1
    );
}

#[test]
fn tables_lie_one_behind_the_other_and_do_not_overlap() {
    let plan = plan();
    let image = Image::of(&plan);
    let mut places: Vec<_> = image.services().map(|(_, of)| of).collect();
    places.sort_by_key(|of| of.table);
    let firsts: Vec<u32> = places.iter().map(|of| of.table).collect();
    let lines: Vec<u32> = places.iter().map(|of| lines(of.slots())).collect();
    assert_eq!(firsts, [0, lines[0], lines[0] + lines[1]]);
}

#[test]
fn the_directory_says_what_the_maps_of_services_and_vips_say() {
    let image = Image::of(&plan());
    let directory = image.directory();
    for (key, service) in image.services() {
        let line = directory[&line_of(&key.vip)];
        assert!(matches!(line.service(key), Known::Here(found) if found == service));
        assert!(matches!(line.vip(&key.vip), Known::Here(())));
        let other = ServiceKey::new(key.vip, 81_u16.to_be_bytes(), 6);
        assert!(matches!(line.service(&other), Known::Nowhere));
    }
}
