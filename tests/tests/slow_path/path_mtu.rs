//! Path MTU discovery (RFC 1191, RFC 8201): what a router says about a VIP's packet reaches the instance that has sent it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::{Agent, Connection, Instance, Protocol, Site, Topology, Workload, World, wait_for};

use crate::NAMES;

const CONNECTIONS: usize = 60;

/// Bytes of a download: many full segments, which stop without what the router says.
const DOWNLOAD: usize = 300_000;

/// The client says that it takes segments for 1,500 bytes; the router's link to it takes packets of so many.
const NARROW: u32 = 1_400;

const CLIENT: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 0, 2, 2),
    Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2),
);

fn site(world: &World, vip: IpAddr) -> Result<Site<'_>> {
    let topology = Topology::build(world, &NAMES)?;
    topology
        .router
        .ip(&format!("link set to-client mtu {NARROW}\n"))?;
    Site::on(world, topology, Workload::new(vip, Protocol::Tcp))
}

/// Whether the instance's stack knows how narrow the way from the VIP to the client is.
fn knows_the_way(instance: &Instance, vip: IpAddr) -> Result<bool> {
    let client = match vip {
        IpAddr::V4(_) => CLIENT.0.to_string(),
        IpAddr::V6(_) => CLIENT.1.to_string(),
    };
    let route = ["route", "get", &client, "from", &vip.to_string()];
    let shown = instance.namespace.run("ip", &route)?;
    Ok(shown.contains(&format!("mtu {NARROW}")))
}

fn downloads_come_to_their_end(vip: IpAddr) -> Result<()> {
    let world = World::new()?;
    let site = site(&world, vip)?;
    for instance in &site.topology.instances {
        let name = &instance.name;
        ensure!(
            !knows_the_way(instance, vip)?,
            "{name} knows without being told"
        );
    }
    for _ in 0..CONNECTIONS / 2 {
        let mut connection = Connection::open(&site.topology.client, site.workload.target)?;
        let name = connection.name.clone();
        let download = connection.download(DOWNLOAD);
        download.with_context(|| format!("a download from {name}"))?;
    }
    for instance in &site.topology.instances {
        ensure!(
            knows_the_way(instance, vip)?,
            "{} was not told",
            instance.name
        );
    }
    Ok(())
}

// Promise: E15
#[test]
fn downloads_over_a_narrow_link_come_to_their_end_over_ipv4() -> Result<()> {
    downloads_come_to_their_end(Topology::vip_v4(10).into())
}

// Promise: E15
#[test]
fn downloads_over_a_narrow_link_come_to_their_end_over_ipv6() -> Result<()> {
    downloads_come_to_their_end(Topology::vip_v6(0x10).into())
}

/// Of connections whose slot has got another owner: not it, but who has the connection must be told.
fn downloads_of_moved_connections_come_to_their_end(vip: IpAddr) -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world, vip)?;
    let mut connections = (0..CONNECTIONS)
        .map(|_| Connection::open(&site.topology.client, site.workload.target))
        .collect::<Result<Vec<_>>>()?;
    site.topology.add_instance(&world, "four")?;
    site.agent.reload(&world, &site.topology)?;
    let address = site.address("four")?;
    site.edge
        .lbctl_ok(&["backends", "add", "web", &address.to_string()])?;
    site.wait_until_up(address)?;

    let mut moved = 0;
    for connection in &mut connections {
        let before = Agent::counted(&site.topology.router, "second_chance")?;
        connection.ensure_alive()?;
        if Agent::counted(&site.topology.router, "second_chance")? == before {
            continue;
        }
        moved += 1;
        let instance = site.topology.instance(&connection.name)?;
        // What another connection was told is of use to all.
        for family in ["-4", "-6"] {
            let flush = [family, "route", "flush", "cache"];
            instance.namespace.run("ip", &flush)?;
        }
        wait_for(
            "the former MTU to be forgotten",
            Duration::from_secs(5),
            || {
                ensure!(!knows_the_way(instance, vip)?, "it is known");
                Ok(())
            },
        )?;
        let download = connection.download(DOWNLOAD);
        download.with_context(|| format!("a download from {}", instance.name))?;
        ensure!(
            knows_the_way(instance, vip)?,
            "{} was not told",
            instance.name
        );
    }
    ensure!(
        moved >= 3,
        "only {moved} connections were on slots that moved"
    );
    Ok(())
}

// Promise: E15
#[test]
fn downloads_of_moved_connections_come_to_their_end_over_ipv4() -> Result<()> {
    downloads_of_moved_connections_come_to_their_end(Topology::vip_v4(10).into())
}

// Promise: E15
#[test]
fn downloads_of_moved_connections_come_to_their_end_over_ipv6() -> Result<()> {
    downloads_of_moved_connections_come_to_their_end(Topology::vip_v6(0x10).into())
}
