//! Next hops change under the edge, and packets follow: by what netlink says, not by configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::{
    Agent, Edge, EdgeOptions, Load, Namespace, Protocol, Site, Topology, Workload, World,
    assert_native_xdp, attach_pass, wait_for,
};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// How long requests may fail after a next hop changed. The kernel itself needs up to nine seconds when nobody
/// announces the change: five until it doubts the neighbour, and three unanswered questions.
const BOUND: Duration = Duration::from_secs(5);

/// How long anything here may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `lbctl` shows this next hop for a backend; when that was.
fn wait_for_next_hop(edge: &Edge, address: IpAddr, wanted: &str) -> Result<Instant> {
    wait_for(
        &format!("the next hop of {address} to be {wanted}"),
        PATIENCE,
        || {
            let backends = edge.backends()?;
            let backend = backends.iter().find(|backend| backend.address == address);
            let hop = backend.context("it is gone")?.next_hop.clone();
            ensure!(
                hop.as_ref().is_some_and(|hop| hop.starts_with(wanted)),
                "it is {hop:?}"
            );
            Ok(Instant::now())
        },
    )
}

/// The MAC address of a device.
fn mac(namespace: &Namespace, device: &str) -> Result<String> {
    let links = namespace.run("ip", &["-json", "link", "show", "dev", device])?;
    let links: serde_json::Value = serde_json::from_str(&links)?;
    let mac = links[0]["address"].as_str();
    Ok(mac.context("a link has an address")?.to_owned())
}

/// How long after `change` the last request failed that was sent after it.
fn last_failure(load: &Load, change: Instant) -> Duration {
    let since = load.since(change);
    let failed = since
        .requests
        .iter()
        .rev()
        .find(|request| request.answer.is_err());
    failed.map_or(Duration::ZERO, |request| request.sent - change)
}

fn a_backend_that_changes_its_mac_is_followed(vip: IpAddr) -> Result<()> {
    let world = World::new()?;
    let site = Site::start(&world, &NAMES, Workload::new(vip, Protocol::Tcp))?;
    let (address, new) = (site.address("two")?, "02:00:00:00:12:34");
    let load = site.load()?;
    load.wait_for_more(250)?;
    let change = Instant::now();
    // It announces itself (arp_notify, ndisc_notify), as a machine that takes an address over does.
    site.topology
        .instance("two")?
        .namespace
        .ip(&format!("link set eth0 address {new}\n"))?;
    let followed = wait_for_next_hop(&site.edge, address, new)?;
    site.wait_until_up(address)?;
    load.wait_for_more(500)?;
    let load = load.stop()?;
    let last = last_failure(&load, change);
    println!(
        "followed after {:.2?}, {} of {} failed, the last one sent {last:.2?} after the change",
        followed - change,
        load.failed(),
        load.sent(),
    );
    ensure!(
        last < BOUND,
        "requests failed for {last:?}: {:?}",
        load.failures()
    );
    site.balanced(&NAMES)
}

// Promise: N2
#[test]
fn a_backend_that_changes_its_mac_is_followed_over_ipv4() -> Result<()> {
    a_backend_that_changes_its_mac_is_followed(Topology::vip_v4(10).into())
}

// Promise: N2
#[test]
fn a_backend_that_changes_its_mac_is_followed_over_ipv6() -> Result<()> {
    a_backend_that_changes_its_mac_is_followed(Topology::vip_v6(0x10).into())
}

/// A host that forwards between the fabric and the bridge `behind`.
fn add_gateway(world: &World, topology: &Topology, name: &str, host: u8) -> Result<Namespace> {
    let gateway = topology.add_host(world, name)?;
    gateway.sysctls(&[("ipv4/ip_forward", "1")])?;
    topology.connect(&gateway, "eth0", "fabric", &[&format!("10.1.0.{host}/24")])?;
    topology.connect(&gateway, "eth1", "behind", &[&format!("10.2.0.{host}/24")])?;
    gateway.ip("route add default via 10.1.0.1\n")?;
    Ok(gateway)
}

// Promise: N2
#[test]
fn a_route_that_moves_to_another_gateway_is_followed() -> Result<()> {
    let world = World::new()?;
    let mut topology = Topology::build(&world, &[])?;
    topology.add_bridge("behind", &[])?;
    let first = add_gateway(&world, &topology, "first", 51)?;
    let second = add_gateway(&world, &topology, "second", 52)?;
    let far = topology.add_host(&world, "far")?;
    topology.connect(&far, "eth0", "behind", &["10.2.0.10/24"])?;
    far.ip("route add default via 10.2.0.51\n")?;
    topology.edge.ip("route add 10.2.0.0/24 via 10.1.0.51\n")?;
    let address = Ipv4Addr::new(10, 2, 0, 10);
    topology.add_instance_on(&world, &far, (address, Ipv6Addr::UNSPECIFIED))?;
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let site = Site::on(&world, topology, workload)?;
    wait_for_next_hop(&site.edge, address.into(), &mac(&first, "eth0")?)?;
    site.answered(100)?;

    let load = site.load()?;
    load.wait_for_more(250)?;
    let change = Instant::now();
    site.topology
        .edge
        .ip("route replace 10.2.0.0/24 via 10.1.0.52\n")?;
    wait_for_next_hop(&site.edge, address.into(), &mac(&second, "eth0")?)?;
    far.ip("route replace default via 10.2.0.52\n")?;
    load.wait_for_more(250)?;
    let load = load.stop()?;
    ensure!(
        load.failed() == 0,
        "both gateways were there: {:?}",
        load.failures()
    );
    println!(
        "{} requests while the route moved, none failed",
        load.since(change).sent()
    );

    // Nothing hangs on the first one any more.
    first.ip("link set eth0 down\nlink set eth1 down\n")?;
    site.answered(200)?;
    Ok(())
}

#[test]
fn packets_leave_by_another_interface_than_they_came_by() -> Result<()> {
    let world = World::new()?;
    let mut topology = Topology::build(&world, &[])?;
    topology.add_bridge("backbone", &["10.4.0.1/24"])?;
    topology.connect(&topology.edge, "eth1", "backbone", &["10.4.0.2/24"])?;
    // What XDP redirects out of a veth reaches the other end through its native program.
    attach_pass(&world, &topology.router, "edge.eth1")?;
    for (name, host) in [("one", 10), ("two", 11), ("three", 12)] {
        let address = Ipv4Addr::new(10, 4, 0, host);
        let namespace = topology.add_host(&world, name)?;
        topology.connect(&namespace, "eth0", "backbone", &[&format!("{address}/24")])?;
        namespace.ip("route add default via 10.4.0.1\n")?;
        topology.add_instance_on(&world, &namespace, (address, Ipv6Addr::UNSPECIFIED))?;
    }
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let vips = [workload.target.ip()];
    // Encapsulated packets come from the address of the interface that they leave by.
    let agent = Agent::start_for_edges(&world, &topology, &vips, &["10.4.0.2/32"])?;
    let site = Site::with_agent(&world, topology, workload, agent)?;
    for backend in site.edge.backends()? {
        ensure!(
            backend
                .next_hop
                .as_ref()
                .is_some_and(|hop| hop.ends_with(" dev eth1")),
            "{backend:?}"
        );
    }
    let none = assert_native_xdp(&site.topology.edge, "eth1")
        .expect_err("not on eth1")
        .to_string();
    ensure!(none.ends_with("no XDP program is attached"), "{none}");
    site.balanced(&NAMES)
}

/// `10.99.0.0/24` is nowhere.
const NOWHERE: &str = "10.99.0.1";

/// How many packets met `no_next_hop`.
fn no_next_hop(edge: &Edge) -> Result<u64> {
    let reasons = edge.status()?.reasons;
    let count = reasons.iter().find(|count| count.reason == "no_next_hop");
    Ok(count.context("a reason of the edge")?.packets)
}

/// A service without a check over these backends, so that only routes decide.
fn unchecked(topology: &Topology, workload: &Workload) -> String {
    let declared = workload.declaration(&topology.instances);
    let lines = declared
        .lines()
        .filter(|line| !line.starts_with("check = "));
    let kept: Vec<&str> = lines.collect();
    format!(
        "{}\n[[service.backend]]\naddress = \"{NOWHERE}\"\n",
        kept.join("\n")
    )
}

#[test]
fn a_backend_without_a_route_gets_nothing_until_it_has_one() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let _agent = Agent::start(&world, &topology, &[workload.target.ip()])?;
    topology.edge.ip("route add unreachable 10.99.0.0/24\n")?;
    let options = EdgeOptions {
        services: unchecked(&topology, &workload),
        ..EdgeOptions::default()
    };
    let edge = Edge::start(&world, "edge", &topology.edge, &options)?;
    assert_native_xdp(&topology.edge, "eth0")?;
    for instance in &topology.instances {
        wait_for_next_hop(&edge, instance.ipv4.into(), "02:42:")?;
    }
    let nowhere = |edge: &Edge| -> Result<(usize, Option<String>)> {
        let backends = edge.backends()?;
        let backend = backends
            .iter()
            .find(|backend| backend.address.to_string() == NOWHERE);
        let backend = backend.context("it is gone")?;
        Ok((backend.slots, backend.next_hop.clone()))
    };
    assert_eq!(nowhere(&edge)?, (0, None));
    let load = Load::send(&topology.client, workload.target, Protocol::Tcp, 500, 600)?;
    ensure!(load.failed() == 0, "{:?}", load.failures());
    load.ensure_balanced(&NAMES, 140)?;
    assert_eq!(no_next_hop(&edge)?, 0);

    topology.edge.ip("route del unreachable 10.99.0.0/24\n")?;
    // By the default route now.
    wait_for(&format!("{NOWHERE} to own slots"), PATIENCE, || {
        let now = nowhere(&edge)?;
        ensure!(now.0 > 0 && now.1.is_some(), "it is {now:?}");
        Ok(())
    })
}

#[test]
fn packets_for_a_service_whose_only_backend_has_no_route_are_dropped_and_counted() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &[])?;
    topology.edge.ip("route add unreachable 10.99.0.0/24\n")?;
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Udp);
    let options = EdgeOptions {
        services: unchecked(&topology, &workload),
        ..EdgeOptions::default()
    };
    let edge = Edge::start(&world, "edge", &topology.edge, &options)?;
    assert_native_xdp(&topology.edge, "eth0")?;
    let load = Load::send(&topology.client, workload.target, Protocol::Udp, 100, 20)?;
    assert_eq!(load.ok(), 0, "{:?}", load.names());
    assert_eq!(no_next_hop(&edge)?, 20);
    let status = edge.status()?;
    ensure!(
        status
            .warnings
            .iter()
            .any(|each| each.contains("no backend is usable")),
        "{status:?}"
    );
    Ok(())
}
