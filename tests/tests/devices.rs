//! The edge on a bond, behind VLAN tags, and on a VLAN device. The kernels of other machines have such devices:
//! `cargo xtask test --kernels` runs these tests there.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::{
    Agent, Edge, EdgeOptions, Load, Protocol, Site, Topology, Workload, World, assert_native_xdp,
    attach_pass, lbd, wait_for,
};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// How long a bond, or an edge, may take to see that a member is gone.
const PATIENCE: Duration = Duration::from_secs(20);

fn workload() -> Workload {
    Workload::new(Topology::vip_v4(10), Protocol::Tcp)
}

/// The topology, with the edge's link gone.
fn without_a_link(world: &World) -> Result<Topology> {
    let topology = Topology::build(world, &NAMES)?;
    topology.router.ip("link del to-edge\n")?;
    Ok(topology)
}

/// Puts a link between the router's `port` and the edge's `device`.
fn link(topology: &Topology, port: &str, device: &str) -> Result<()> {
    topology.router.ip(&format!(
        "link add {port} mtu 1600 type veth peer name {device} mtu 1600 netns edge\n"
    ))?;
    // A native program sees what the sender's stack left undone: checksums must be whole.
    topology
        .router
        .run("ethtool", &["--offload", port, "tx", "off"])?;
    topology
        .edge
        .run("ethtool", &["--offload", device, "tx", "off"])?;
    Ok(())
}

/// Gives the edge's `device`, which is up, the addresses that it has in the fabric.
fn address(topology: &Topology, device: &str) -> Result<()> {
    let (ipv4, ipv6) = Topology::EDGE;
    topology.edge.ip(&format!(
        "addr add {ipv4}/24 dev {device}\n\
         addr add {ipv6}/64 dev {device} nodad\n\
         link set {device} up\n\
         route add default via 10.1.0.1\n\
         route add default via fd00:1::1\n"
    ))
}

/// The members of a bond, on either side.
const MEMBERS: [(&str, &str); 2] = [("to-edge-a", "eth-a"), ("to-edge-b", "eth-b")];

/// Makes the edge's `eth0` a bond of two links, with these options.
fn bond(topology: &Topology, options: &str) -> Result<()> {
    topology.edge.ip(&format!(
        "link add eth0 mtu 1600 type bond miimon 100 {options}\n"
    ))?;
    for (port, device) in MEMBERS {
        link(topology, port, device)?;
        topology.edge.ip(&format!(
            "link set {device} down\nlink set {device} master eth0\nlink set {device} up\n"
        ))?;
    }
    address(topology, "eth0")
}

/// Makes the router's ends of the links two ports of the fabric's bridge, as of a plain switch.
fn ports(world: &World, topology: &Topology) -> Result<()> {
    for (port, _) in MEMBERS {
        topology.router.ip(&format!(
            "link set {port} master fabric\nlink set {port} up\n"
        ))?;
        attach_pass(world, &topology.router, port)?;
    }
    Ok(())
}

/// Makes the router's ends of the links a bond too, and that a port of the fabric's bridge.
fn bonded_ports(world: &World, topology: &Topology, options: &str) -> Result<()> {
    let router = &topology.router;
    router.ip(&format!(
        "link add to-edge mtu 1600 type bond miimon 100 {options}\n"
    ))?;
    for (port, _) in MEMBERS {
        router.ip(&format!(
            "link set {port} down\nlink set {port} master to-edge\nlink set {port} up\n"
        ))?;
    }
    router.ip("link set to-edge master fabric\nlink set to-edge up\n")?;
    attach_pass(world, router, "to-edge")
}

/// How many packets the router has sent on each link.
fn sent(topology: &Topology) -> Result<[u64; 2]> {
    let count = |port: &str| -> Result<u64> {
        let arguments = ["-json", "-stats", "link", "show", "dev", port];
        let links: Value = serde_json::from_str(&topology.router.run("ip", &arguments)?)?;
        let packets = links[0]["stats64"]["tx"]["packets"].as_u64();
        packets.with_context(|| format!("{port}: no count of packets"))
    };
    Ok([count(MEMBERS[0].0)?, count(MEMBERS[1].0)?])
}

/// Sends 600 requests, all of which are answered; how many packets the router sent on each link for them.
fn sent_for_requests(site: &Site<'_>) -> Result<[u64; 2]> {
    let before = sent(&site.topology)?;
    site.balanced(&NAMES)?;
    let after = sent(&site.topology)?;
    Ok([after[0] - before[0], after[1] - before[1]])
}

/// Cuts the link of a member, as a pulled cable would, and waits until requests are answered again.
fn cut(site: &Site<'_>, member: usize) -> Result<()> {
    let (port, _) = MEMBERS[member];
    site.topology
        .router
        .ip(&format!("link set {port} down\n"))?;
    wait_for("answers without that member", PATIENCE, || {
        site.answered(10).map(drop)
    })
}

// Promise: K2
#[test]
#[ignore = "needs a bond: cargo xtask test --kernels"]
fn a_bond_goes_on_balancing_when_its_active_member_is_cut() -> Result<()> {
    let world = World::new()?;
    let topology = without_a_link(&world)?;
    bond(&topology, "mode active-backup")?;
    ports(&world, &topology)?;
    let site = Site::on(&world, topology, workload())?;
    let [active, _] = sent_for_requests(&site).context("before the cut")?;
    ensure!(active > 1_800, "{active} packets on the active member");
    cut(&site, 0)?;
    let [cut, other] = sent_for_requests(&site).context("after the cut")?;
    ensure!(
        (cut, other > 1_800) == (0, true),
        "{cut} and {other} packets"
    );
    assert_native_xdp(&site.topology.edge, "eth0").map(drop)
}

/// Flows come by both members, and after a cut by the one that is left.
fn both_members_carry(mode: &str) -> Result<()> {
    let world = World::new()?;
    let topology = without_a_link(&world)?;
    bond(&topology, mode)?;
    bonded_ports(&world, &topology, mode)?;
    let site = Site::on(&world, topology, workload())?;
    wait_for("packets on both members", PATIENCE, || {
        let sent = sent_for_requests(&site)?;
        ensure!(sent[0].min(sent[1]) > 600, "{sent:?} packets");
        Ok(())
    })?;
    for member in [0, 1] {
        cut(&site, member)?;
        let sent = sent_for_requests(&site)?;
        ensure!(
            sent[member] == 0 && sent[1 - member] > 1_800,
            "{sent:?} packets"
        );
        let (port, _) = MEMBERS[member];
        site.topology.router.ip(&format!("link set {port} up\n"))?;
        wait_for("answers with that member", PATIENCE, || {
            let sent = sent_for_requests(&site)?;
            ensure!(sent[member] > 600, "{sent:?} packets");
            Ok(())
        })?;
    }
    assert_native_xdp(&site.topology.edge, "eth0").map(drop)
}

// Promise: K2
#[test]
#[ignore = "needs a bond: cargo xtask test --kernels"]
fn flows_that_a_hash_spreads_over_a_bond_are_balanced_and_survive_a_cut() -> Result<()> {
    both_members_carry("mode balance-xor xmit_hash_policy layer3+4")
}

// Promise: K2
#[test]
#[ignore = "needs a bond: cargo xtask test --kernels"]
fn a_bond_by_lacp_carries_on_both_members_and_survives_a_cut() -> Result<()> {
    both_members_carry("mode 802.3ad lacp_rate fast xmit_hash_policy layer3+4")
}

/// A link between the fabric and the edge's `device` on which every frame has the tag 100.
fn trunk(world: &World, topology: &Topology, device: &str) -> Result<()> {
    link(topology, "to-edge", device)?;
    let router = &topology.router;
    // A tag that the other end strips would be no tag of the frame's.
    router.run("ethtool", &["--offload", "to-edge", "txvlan", "off"])?;
    let edge = ["--offload", device, "rxvlan", "off", "txvlan", "off"];
    topology.edge.run("ethtool", &edge)?;
    router.ip("link set to-edge up\n\
         link add link to-edge name to-edge.100 type vlan id 100\n\
         link set to-edge.100 master fabric\n\
         link set to-edge.100 up\n")?;
    attach_pass(world, router, "to-edge")?;
    topology.edge.ip(&format!("link set {device} up\n"))
}

// Promise: K3
#[test]
#[ignore = "needs a VLAN device: cargo xtask test --kernels"]
fn tagged_flows_reach_backends_that_are_behind_the_same_tag() -> Result<()> {
    let world = World::new()?;
    let topology = without_a_link(&world)?;
    trunk(&world, &topology, "eth0")?;
    topology
        .edge
        .ip("link add link eth0 name eth0.100 type vlan id 100\n")?;
    address(&topology, "eth0.100")?;
    let site = Site::on(&world, topology, workload())?;
    site.balanced(&NAMES)
}

/// An edge on `eth0` says that it has no native XDP, and what to do.
fn refused(world: &World, topology: &Topology) -> Result<()> {
    let config = world.directory().join("refused.toml");
    let path = |name: &str| world.directory().join(name).display().to_string();
    let text = format!(
        "version = 1\ninterface = \"eth0\"\nallow_default_route_interface = true\n\
         pin_dir = \"{}\"\nstate_dir = \"{}\"\napi_socket = \"{}\"\n",
        world.bpffs().join("refused").display(),
        path("refused-state"),
        path("refused.sock"),
    );
    fs::write(&config, text)?;
    let refused = lbd(
        &topology.edge,
        &["edge", "--config", &config.to_string_lossy()],
    )?;
    ensure!(
        refused.code == 1
            && refused.stderr.contains("eth0 does not take native XDP")
            && refused.stderr.contains("set `xdp_mode = \"generic\"`"),
        "{refused:?}"
    );
    Ok(())
}

// Promise: K3
#[test]
#[ignore = "needs a VLAN device: cargo xtask test --kernels"]
fn a_vlan_device_is_refused_and_taken_in_generic_mode() -> Result<()> {
    let world = World::new()?;
    let topology = without_a_link(&world)?;
    trunk(&world, &topology, "trunk")?;
    topology
        .edge
        .ip("link add link trunk name eth0 type vlan id 100\n")?;
    address(&topology, "eth0")?;
    refused(&world, &topology)?;
    let agent = Agent::start(&world, &topology, &[workload().target.ip()])?;
    let options = EdgeOptions {
        settings: "xdp_mode = \"generic\"\n".to_owned(),
        services: workload().declaration(&topology.instances),
    };
    let edge = Edge::start(&world, "edge", &topology.edge, &options)?;
    let load = wait_for("answers", PATIENCE, || {
        let load = Load::send(&topology.client, workload().target, Protocol::Tcp, 500, 600)?;
        ensure!(load.failed() == 0, "{:?}", load.failures());
        Ok(load)
    })?;
    drop((edge, agent));
    load.ensure_balanced(&NAMES, 140)
}
