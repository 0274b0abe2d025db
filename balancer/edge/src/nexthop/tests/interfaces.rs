use super::*;
use crate::nexthop::{
    AttachedMode, Interfaces, default_route_interfaces, kernel, link, offload, taking_tags_off,
};

fn defaults(netns: &ScratchNetns) -> Vec<u32> {
    let found = block_on_netns(netns.path(), default_route_interfaces).expect("enter");
    found.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_interface_is_seen_as_it_is() {
    let (edge, _other) = wire();
    edge.ip("link set e0 address 02:00:00:00:00:01 mtu 1600");
    let seen = view(&edge, "e0");
    let index = edge
        .ip("-o link show e0")
        .split(':')
        .next()
        .expect("an index")
        .parse()
        .expect("a number");
    let expected = InterfaceView {
        name: "e0".to_owned(),
        index,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1600,
        up: true,
        xdp: None,
        veth: true,
        vlan: None,
        bond: false,
        controller: None,
    };
    assert_eq!(seen, expected);
    edge.ip("link set e0 down");
    assert!(!view(&edge, "e0").up);
}

#[test]
fn an_xdp_program_is_seen_with_the_mode_it_runs_in() {
    let (edge, _other) = wire();
    let directory = tempfile::tempdir().expect("a directory");
    let object = directory.path().join("pass");
    std::fs::write(&object, testbed_programs::PASS_OBJECT).expect("write the object");
    let object = object.display();
    let modes = [
        ("xdpgeneric", AttachedMode::Generic),
        ("xdpdrv", AttachedMode::Native),
    ];
    for (how, mode) in modes {
        edge.ip(&format!("link set dev e0 {how} obj {object} sec xdp.frags"));
        let shown = edge.ip("link show dev e0");
        let xdp = view(&edge, "e0").xdp.expect("a program");
        assert_eq!(xdp.mode, mode);
        assert!(
            shown.contains(&format!("prog/xdp id {} ", xdp.program_id)),
            "{xdp:?}: {shown}"
        );
        edge.ip(&format!("link set dev e0 {how} off"));
        assert_eq!(view(&edge, "e0").xdp, None);
    }
}

// Promise: O7
#[test]
fn an_interface_that_strips_tags_is_seen_and_a_veth_is_none() {
    let (edge, _other) = wire();
    let has = |feature| {
        let asked = async move || offload::has_any("e0", &["no-such", feature]).await;
        block_on_netns(edge.path(), asked)
            .expect("enter")
            .expect("an answer")
    };
    let stripping = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];
    assert_eq!(stripping.map(has), [true, true]);
    edge.call("ethtool", "-K e0 rxvlan off");
    assert_eq!(stripping.map(has), [false, true]);
    edge.call("ethtool", "-K e0 rxvlan on rx-vlan-stag-hw-parse off");
    assert_eq!(stripping.map(has), [true, false]);
    assert!(!has("no-such"));

    // What another driver would say, of the same features.
    let asked = |interface: InterfaceView| {
        let asked = block_on_netns(edge.path(), || async move {
            taking_tags_off(&interface, &Interfaces::look().await?).await
        });
        asked.expect("enter")
    };
    let veth = view(&edge, "e0");
    let other = InterfaceView {
        veth: false,
        ..veth.clone()
    };
    let nobody = Vec::<String>::new();
    assert_eq!(asked(veth).expect("an answer"), nobody);
    assert_eq!(asked(other.clone()).expect("an answer"), ["e0"]);
    // A bond, though it is said of it, when it has no member of which it holds.
    let bond = InterfaceView {
        bond: true,
        ..other.clone()
    };
    assert_eq!(asked(bond).expect("an answer"), nobody);
    edge.call("ethtool", "-K e0 rxvlan off");
    assert_eq!(asked(other.clone()).expect("an answer"), nobody);
    // Of provider's tags alone.
    edge.call("ethtool", "-K e0 rx-vlan-stag-hw-parse on");
    assert_eq!(asked(other.clone()).expect("an answer"), ["e0"]);
    let gone = InterfaceView {
        name: "eth9".to_owned(),
        ..other
    };
    let error = asked(gone).expect_err("no such interface").to_string();
    assert!(
        error.starts_with("ask the kernel for an interface's offloads"),
        "{error}"
    );
}

// Promise: E13
#[test]
fn members_are_those_that_name_their_bond() {
    // A bridge: the kernel says the same of its ports, and not every kernel has bonds.
    let (edge, other) = wire();
    edge.veth("e1", &[], &other, "b1", &[]);
    edge.ip("link add br0 type bridge");
    edge.ip("link add br1 type bridge");
    let members = |bond: &str| {
        let index = view(&edge, bond).index;
        let asked = block_on_netns(edge.path(), Interfaces::look);
        let all = asked.expect("enter").expect("an answer");
        all.members_of(index).collect::<Vec<_>>()
    };
    assert_eq!(members("br0"), []);
    edge.ip("link set e0 master br0");
    edge.ip("link set e1 master br1");
    assert_eq!(members("br0"), [view(&edge, "e0")]);
    assert_eq!(members("br1"), [view(&edge, "e1")]);
}

// Promise: O5
#[test]
fn a_missing_interface_is_refused_with_the_names_of_those_that_exist() {
    let (edge, _other) = wire();
    for name in ["eth9", "a-name-that-is-longer-than-the-kernel-takes", ""] {
        let error = block_on_netns(edge.path(), || interface(name))
            .expect("enter")
            .expect_err("no such interface");
        assert_eq!(
            error.to_string(),
            format!("no interface `{name}` here; there are lo, e0")
        );
    }
}

// Promise: O5
#[test]
fn an_interface_without_ethernet_is_refused() {
    let edge = ScratchNetns::new();
    edge.ip("tuntap add t0 mode tun");
    let error = block_on_netns(edge.path(), || interface("t0"))
        .expect("enter")
        .expect_err("no Ethernet");
    assert!(matches!(error, NextHopError::NotEthernet { .. }), "{error}");
}

#[test]
fn an_interface_that_has_just_gone_is_none() {
    let (edge, _other) = wire();
    let index = view(&edge, "e0").index;
    let by_index = |index| async move { link::by_index(&kernel::connect()?, index).await };
    let seen = |index| {
        block_on_netns(edge.path(), || by_index(index))
            .expect("enter")
            .expect("an answer")
    };
    assert_eq!(seen(index), Some(view(&edge, "e0")));
    edge.ip("link del e0");
    assert_eq!(seen(index), None);
}

#[test]
fn default_routes_of_both_families_name_their_interfaces() {
    let (edge, other) = wire();
    edge.veth("e1", &["10.1.0.1/24"], &other, "b1", &["10.1.0.2/24"]);
    edge.veth("e2", &["10.2.0.1/24"], &other, "b2", &[]);
    assert!(defaults(&edge).is_empty());
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2");
    edge.ip("-4 route add unreachable default metric 9999");
    edge.ip("-6 route add unreachable default metric 9999");
    assert!(defaults(&edge).is_empty());
    edge.ip("route add default via fd00::2");
    assert_eq!(defaults(&edge), [view(&edge, "e0").index]);
    edge.ip("route add default via 10.1.0.2");
    assert_eq!(
        defaults(&edge),
        [view(&edge, "e0").index, view(&edge, "e1").index]
    );
}

// Promise: O5
#[test]
fn default_routes_over_several_gateways_and_in_other_tables_count() {
    let (edge, other) = wire();
    edge.veth("e1", &["10.1.0.1/24"], &other, "b1", &["10.1.0.2/24"]);
    edge.veth("e2", &["10.2.0.1/24"], &other, "b2", &["10.2.0.2/24"]);
    edge.ip("route add default nexthop via 10.0.0.2 nexthop via 10.1.0.2");
    edge.ip("route add default via 10.2.0.2 table 77");
    assert_eq!(
        defaults(&edge),
        ["e0", "e1", "e2"].map(|name| view(&edge, name).index)
    );
}
