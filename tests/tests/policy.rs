//! To a VIP, only what is declared passes; the rest is dropped and counted. What is for others passes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use testbed::{Load, Protocol, Site, Topology, Workload, World, program, wait_for};

const NAMES: [&str; 2] = ["one", "two"];

/// Packets to a port of a VIP that no service declares.
const UNDECLARED: &str = "lb_packets_total{reason=\"undeclared_port\"}";

/// Sends what nobody declared and expects silence and a count.
fn silence(vip: impl Into<IpAddr>, declared: Protocol, port: u16, sent: Protocol) -> Result<()> {
    let world = World::new()?;
    let site = Site::start(&world, &NAMES, Workload::new(vip, declared))?;
    let undeclared = SocketAddr::new(site.workload.target.ip(), port);
    assert_eq!(site.edge.metric(UNDECLARED)?, 0.0);
    let load = Load::send(&site.topology.client, undeclared, sent, 100, 20)?;
    assert_eq!(load.ok(), 0, "{:?}", load.names());
    let counted = site.edge.metric(UNDECLARED)?;
    assert!(counted >= 20.0, "20 sent, {counted} counted");
    site.answered(20)?;
    Ok(())
}

// Promise: E6
#[test]
fn an_undeclared_tcp_port_over_ipv4_is_dropped_and_counted() -> Result<()> {
    silence(
        Topology::vip_v4(10),
        Protocol::Tcp,
        Topology::PORT + 1,
        Protocol::Tcp,
    )
}

// Promise: E6
#[test]
fn an_undeclared_udp_port_over_ipv6_is_dropped_and_counted() -> Result<()> {
    silence(
        Topology::vip_v6(0x10),
        Protocol::Udp,
        Topology::PORT + 1,
        Protocol::Udp,
    )
}

// Promise: E6
#[test]
fn the_same_port_of_the_other_protocol_is_dropped_and_counted() -> Result<()> {
    silence(
        Topology::vip_v4(10),
        Protocol::Tcp,
        Topology::PORT,
        Protocol::Udp,
    )
}

// Promise: E5
#[test]
fn what_is_for_no_vip_passes_untouched() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let instance = program("instance")?;
    world.start(
        "server of the edge",
        &site.topology.edge,
        instance,
        &["--name", "the edge"],
    )?;
    let (ipv4, ipv6) = Topology::EDGE;
    for address in [IpAddr::from(ipv4), ipv6.into()] {
        let url = format!("http://{}/", SocketAddr::new(address, Topology::PORT));
        let answer = wait_for("the edge's own server", Duration::from_secs(5), || {
            site.topology.client.curl(&url)
        })?;
        assert_eq!(answer, "the edge");
    }
    Ok(())
}
