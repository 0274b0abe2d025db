//! Daemons of now take over what those of an earlier build left: state, pins and connections.

use std::env;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::{Connection, Protocol, Site, Topology, Workload, World, assert_native_xdp};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// How long the load runs before and after.
const WHILE: Duration = Duration::from_secs(1);

fn nothing_fails_while_daemons_are_upgraded(vip: impl Into<IpAddr>) -> Result<()> {
    let before = env::var_os("BALANCER_LBD_BEFORE")
        .context("no earlier lbd: run this as `cargo xtask upgrade COMMIT`")?;
    let world = World::new()?;
    world.run_lbd(Some(before.into()));
    let mut site = Site::start(&world, &NAMES, Workload::new(vip, Protocol::Tcp))?;
    // What only the state knows, and what only the histories know.
    let heavy = site.address("one")?;
    site.edge
        .lbctl_ok(&["backends", "weight", "web", &heavy.to_string(), "3"])?;
    let open = |_| Connection::open(&site.topology.client, site.workload.target);
    let mut connections = (0..48).map(open).collect::<Result<Vec<_>>>()?;
    let load = site.load()?;
    thread::sleep(WHILE);
    let generation = site.edge.generation()?;
    world.run_lbd(None);
    site.edge.kill();
    thread::sleep(WHILE);
    site.edge.start_again(&world)?;
    site.agent.kill();
    site.agent.start_again(&world, &site.topology)?;
    thread::sleep(WHILE);
    let load = load.stop()?;
    ensure!(load.sent() > 500, "{} requests", load.sent());
    ensure!(
        load.failed() == 0,
        "{} of {}: {:?}",
        load.failed(),
        load.sent(),
        load.failures()
    );
    connections
        .iter_mut()
        .try_for_each(Connection::ensure_alive)?;
    ensure!(site.edge.took_over()?, "the maps were not taken over");
    assert_native_xdp(&site.topology.edge, "eth0")?;
    assert_eq!(site.edge.generation()?, generation);
    let backend = site.backend(heavy)?.context("the backend is there")?;
    assert_eq!(backend["weight"], 3, "{backend}");
    // It changes on from there.
    site.edge
        .lbctl_ok(&["backends", "weight", "web", &heavy.to_string(), "1"])?;
    connections
        .iter_mut()
        .try_for_each(Connection::ensure_alive)?;
    site.balanced(&NAMES)
}

// Promise: S3
#[test]
fn nothing_fails_while_daemons_are_upgraded_ipv4() -> Result<()> {
    nothing_fails_while_daemons_are_upgraded(Topology::vip_v4(10))
}

// Promise: S3
#[test]
fn nothing_fails_while_daemons_are_upgraded_ipv6() -> Result<()> {
    nothing_fails_while_daemons_are_upgraded(Topology::vip_v6(0x10))
}
