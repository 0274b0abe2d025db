//! Daemons die, stop and come back; requests do not notice.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use testbed::{Protocol, Site, Topology, Workload, World, assert_native_xdp, wait_for};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// How long the load runs before, during and after.
const WHILE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum End {
    Killed,
    Stopped,
}

fn nothing_fails_while_the_edge_restarts(
    vip: impl Into<IpAddr>,
    protocol: Protocol,
    end: End,
) -> Result<()> {
    let world = World::new()?;
    let mut site = Site::start(&world, &NAMES, Workload::new(vip, protocol))?;
    assert!(!site.edge.took_over()?);
    let load = site.load()?;
    thread::sleep(WHILE);
    match end {
        End::Killed => site.edge.kill(),
        End::Stopped => assert!(site.edge.terminate()?.success()),
    }
    thread::sleep(WHILE);
    assert_native_xdp(&site.topology.edge, "eth0")?;
    site.edge.start_again(&world)?;
    thread::sleep(WHILE);
    let load = load.stop()?;
    assert!(load.sent() > 1_000);
    assert_eq!(
        load.failed(),
        0,
        "of {}: {:?}",
        load.sent(),
        load.failures()
    );
    assert!(site.edge.took_over()?);
    assert_native_xdp(&site.topology.edge, "eth0")?;
    Ok(())
}

// Promise: S3
#[test]
fn nothing_fails_while_the_edge_is_killed_tcp_ipv4() -> Result<()> {
    nothing_fails_while_the_edge_restarts(Topology::vip_v4(10), Protocol::Tcp, End::Killed)
}

// Promise: S3
#[test]
fn nothing_fails_while_the_edge_is_killed_udp_ipv6() -> Result<()> {
    nothing_fails_while_the_edge_restarts(Topology::vip_v6(0x10), Protocol::Udp, End::Killed)
}

// Promise: S3
#[test]
fn nothing_fails_while_the_edge_is_killed_tcp_ipv6() -> Result<()> {
    nothing_fails_while_the_edge_restarts(Topology::vip_v6(0x10), Protocol::Tcp, End::Killed)
}

// Promise: S3
#[test]
fn nothing_fails_while_the_edge_stops_and_starts() -> Result<()> {
    nothing_fails_while_the_edge_restarts(Topology::vip_v4(10), Protocol::Tcp, End::Stopped)
}

// Promise: S3
#[test]
fn nothing_fails_while_the_agent_is_killed_and_starts() -> Result<()> {
    let world = World::new()?;
    let mut site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let load = site.load()?;
    thread::sleep(WHILE);
    site.agent.kill();
    thread::sleep(WHILE);
    site.agent.start_again(&world, &site.topology)?;
    thread::sleep(WHILE);
    let load = load.stop()?;
    assert_eq!(
        load.failed(),
        0,
        "of {}: {:?}",
        load.sent(),
        load.failures()
    );
    for instance in &site.topology.instances {
        assert_native_xdp(&instance.namespace, "eth0")?;
    }
    Ok(())
}

// Promise: S3
#[test]
fn what_lbctl_changed_survives_the_daemon() -> Result<()> {
    let world = World::new()?;
    let mut site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let address = site.address("three")?;
    site.edge
        .lbctl_ok(&["backends", "remove", "web", &address.to_string(), "--now"])?;
    let generation = site.edge.generation()?;
    site.edge.kill();
    site.edge.start_again(&world)?;
    assert_eq!(site.backend(address)?, None);
    assert_eq!(site.edge.generation()?, generation);
    site.balanced(&["one", "two"])
}

// Promise: S4
#[test]
fn detach_takes_the_program_off() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    site.edge.lbctl_ok(&["detach"])?;
    // The kernel ends a link some time after its last user.
    wait_for(
        "the program to go",
        Duration::from_secs(5),
        || match assert_native_xdp(&site.topology.edge, "eth0") {
            Ok(program) => bail!("program {program} is still there"),
            Err(_) => Ok(()),
        },
    )?;
    assert_eq!(site.requests(10)?.ok(), 0);
    Ok(())
}
