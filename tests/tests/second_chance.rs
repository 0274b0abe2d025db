//! Established connections whose slot gets another owner under them.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use testbed::{Agent, Connection, Load, Protocol, Site, Topology, Workload, World};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// A quarter of them moves when a fourth backend comes.
const CONNECTIONS: usize = 60;

fn site(world: &World, vip: impl Into<IpAddr>) -> Result<Site<'_>> {
    Site::start(world, &NAMES, Workload::new(vip, Protocol::Tcp))
}

fn connections(site: &Site<'_>) -> Result<Vec<Connection>> {
    (0..CONNECTIONS)
        .map(|_| Connection::open(&site.topology.client, site.workload.target))
        .collect()
}

fn ensure_alive(connections: &mut [Connection]) -> Result<()> {
    connections
        .iter_mut()
        .try_for_each(Connection::ensure_alive)
}

/// Packets found their way to an earlier owner, so that the test has tried what it is about.
fn ensure_some_moved(site: &Site<'_>) -> Result<()> {
    for reason in ["handed_on", "second_chance"] {
        ensure!(
            Agent::counted(&site.topology.router, reason)? > 0,
            "no packet was {reason}"
        );
    }
    assert_eq!(Agent::counted(&site.topology.router, "bad_alternates")?, 0);
    Ok(())
}

fn a_new_backend_breaks_no_connection(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world, vip)?;
    let mut connections = connections(&site)?;
    site.topology.add_instance(&world, "four")?;
    site.agent.reload(&world, &site.topology)?;
    let address = site.address("four")?;
    site.edge
        .lbctl_ok(&["backends", "add", "web", &address.to_string()])?;
    site.wait_until_up(address)?;
    ensure_alive(&mut connections)?;
    ensure_some_moved(&site)
}

// Promise: M1
#[test]
fn a_new_backend_breaks_no_connection_over_ipv4() -> Result<()> {
    a_new_backend_breaks_no_connection(Topology::vip_v4(10))
}

// Promise: M1
#[test]
fn a_new_backend_breaks_no_connection_over_ipv6() -> Result<()> {
    a_new_backend_breaks_no_connection(Topology::vip_v6(0x10))
}

fn a_drained_backend_keeps_its_connections(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let site = site(&world, vip)?;
    let mut connections = connections(&site)?;
    let address = site.address("two")?;
    site.edge
        .lbctl_ok(&["backends", "drain", "web", &address.to_string()])?;
    site.wait_until_out(address)?;
    // More than once: the answer's acknowledgement and the next question are other packets.
    for _ in 0..3 {
        ensure_alive(&mut connections)?;
    }
    ensure_some_moved(&site)?;
    site.balanced(&["one", "three"])
}

// Promise: M1
#[test]
fn a_drained_backend_keeps_its_connections_over_ipv4() -> Result<()> {
    a_drained_backend_keeps_its_connections(Topology::vip_v4(10))
}

// Promise: M1
#[test]
fn a_drained_backend_keeps_its_connections_over_ipv6() -> Result<()> {
    a_drained_backend_keeps_its_connections(Topology::vip_v6(0x10))
}

fn several_changes_at_once_break_no_connection(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world, vip)?;
    let mut connections = connections(&site)?;
    let mut commands = Vec::new();
    for name in ["four", "five"] {
        site.topology.add_instance(&world, name)?;
        commands.push(("add", site.address(name)?));
    }
    commands.push(("drain", site.address("three")?));
    site.agent.reload(&world, &site.topology)?;
    let commands: Vec<(&str, String)> = commands
        .into_iter()
        .map(|(verb, address)| (verb, address.to_string()))
        .collect();
    let commands: Vec<Vec<&str>> = commands
        .iter()
        .map(|(verb, address)| vec!["backends", verb, "web", address])
        .collect();
    for reply in site.edge.lbctl_at_once(&commands)? {
        ensure!(reply.code == 0, "{}", reply.stderr);
    }
    ensure_alive(&mut connections)?;
    site.wait_until_up(site.address("four")?)?;
    site.wait_until_up(site.address("five")?)?;
    site.wait_until_out(site.address("three")?)?;
    ensure_alive(&mut connections)?;
    ensure_some_moved(&site)
}

// Promise: M1
#[test]
fn several_changes_at_once_break_no_connection_over_ipv4() -> Result<()> {
    several_changes_at_once_break_no_connection(Topology::vip_v4(10))
}

// Promise: M1
#[test]
fn several_changes_at_once_break_no_connection_over_ipv6() -> Result<()> {
    several_changes_at_once_break_no_connection(Topology::vip_v6(0x10))
}

/// Connections on substitutes of a backend that was down, when it is up again.
fn a_backend_that_comes_back_breaks_no_connection(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world, vip)?;
    let address = site.address("two")?;
    site.topology.instance("two")?.kill();
    site.wait_until_out(address)?;
    let mut connections = connections(&site)?;
    site.topology.instance("two")?.start(&world)?;
    site.wait_until_up(address)?;
    ensure_alive(&mut connections)?;
    ensure_some_moved(&site)?;
    site.balanced(&NAMES)?;
    // Nor does a daemon that does not know that it was ever down.
    site.edge.kill();
    site.edge.start_again(&world)?;
    ensure_alive(&mut connections)
}

// Promise: M1
#[test]
fn a_backend_that_comes_back_breaks_no_connection_over_ipv4() -> Result<()> {
    a_backend_that_comes_back_breaks_no_connection(Topology::vip_v4(10))
}

// Promise: M1
#[test]
fn a_backend_that_comes_back_breaks_no_connection_over_ipv6() -> Result<()> {
    a_backend_that_comes_back_breaks_no_connection(Topology::vip_v6(0x10))
}

/// 500 new connections a second, each answered after 20 ms, while instances come and go. `syn_cookies`: "1" when many
/// connections are half-open, "2" always, so that until the handshake's end only the listener is there to know it.
fn no_request_fails_while_backends_come_and_go(
    vip: impl Into<IpAddr>,
    syn_cookies: &str,
) -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world, vip)?;
    site.topology.add_instance(&world, "four")?;
    site.agent.reload(&world, &site.topology)?;
    for instance in &site.topology.instances {
        let cookies = ("ipv4/tcp_syncookies", syn_cookies);
        instance.namespace.sysctls(&[cookies])?;
    }
    let address = site.address("four")?;
    let text = address.to_string();
    let load = Load::start_slow(&site.topology.client, site.workload.target, 500, 20)?;
    for _ in 0..3 {
        load.wait_for_more(250)?;
        site.edge.lbctl_ok(&["backends", "add", "web", &text])?;
        site.wait_until_up(address)?;
        load.wait_for_more(250)?;
        site.edge
            .lbctl_ok(&["backends", "remove", "web", &text, "--wait", "20"])?;
    }
    load.wait_for_more(250)?;
    let load = load.stop()?;
    ensure!(
        load.failed() == 0,
        "{} of {} failed: {:?}",
        load.failed(),
        load.sent(),
        load.failures()
    );
    let names = load.names();
    ensure!(names.contains_key("four"), "{names:?}");
    ensure_some_moved(&site)
}

// Promise: M1
#[test]
fn no_request_fails_while_backends_come_and_go_over_ipv4() -> Result<()> {
    no_request_fails_while_backends_come_and_go(Topology::vip_v4(10), "1")
}

// Promise: M1
#[test]
fn no_request_fails_while_backends_come_and_go_over_ipv6() -> Result<()> {
    no_request_fails_while_backends_come_and_go(Topology::vip_v6(0x10), "1")
}

// Promise: M1
#[test]
fn no_request_fails_with_syn_cookies_over_ipv4() -> Result<()> {
    no_request_fails_while_backends_come_and_go(Topology::vip_v4(10), "2")
}

// Promise: M1
#[test]
fn no_request_fails_with_syn_cookies_over_ipv6() -> Result<()> {
    no_request_fails_while_backends_come_and_go(Topology::vip_v6(0x10), "2")
}
