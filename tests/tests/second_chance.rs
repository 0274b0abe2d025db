//! Established connections whose slot gets another owner under them.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use testbed::{Agent, Connection, Protocol, Site, Topology, Workload, World};

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

/// How many packets met a reason, over all instances.
fn counted(site: &Site<'_>, reason: &str) -> Result<u64> {
    let metrics = Agent::metrics(&site.topology.router)?;
    let of_reason = format!("reason=\"{reason}\"}} ");
    let samples = metrics.lines().filter_map(|line| {
        let (_, packets) = line.split_once(&of_reason)?;
        line.starts_with("lb_agent_packets_total")
            .then_some(packets)
    });
    let mut sum = 0;
    for packets in samples {
        sum += packets.parse::<u64>().context("no count")?;
    }
    Ok(sum)
}

/// Packets found their way to an earlier owner, so that the test has tried what it is about.
fn ensure_some_moved(site: &Site<'_>) -> Result<()> {
    for reason in ["handed_on", "second_chance"] {
        ensure!(counted(site, reason)? > 0, "no packet was {reason}");
    }
    assert_eq!(counted(site, "bad_alternates")?, 0);
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

#[test]
fn a_new_backend_breaks_no_connection_over_ipv4() -> Result<()> {
    a_new_backend_breaks_no_connection(Topology::vip_v4(10))
}
