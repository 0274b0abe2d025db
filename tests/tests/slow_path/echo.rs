//! Echo requests: the edge answers for VIPs, and for nobody else.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use testbed::{Namespace, Protocol, Site, Topology, Workload, World, ping};

use crate::{NAMES, at_edge};

/// Payloads in bytes: none, an odd number, `ping`'s own, and the longest that is not fragmented on its way.
const SIZES: [usize; 4] = [0, 17, 56, 1_400];

/// The router between client and edge takes one.
const ROUTER: i32 = 1;

/// TTL of what the edge answers, of what its stack sends, and of what an instance's stack sends.
const ANSWERED: i32 = 64;
const EDGE: i32 = 99;
const INSTANCE: i32 = 77;

/// Sends from now on with this TTL or hop limit.
fn sends_with(host: &Namespace, ttl: i32) -> Result<()> {
    let ttl = ttl.to_string();
    host.sysctls(&[
        ("ipv4/ip_default_ttl", &ttl),
        ("ipv6/conf/all/hop_limit", &ttl),
        ("ipv6/conf/eth0/hop_limit", &ttl),
    ])
}

/// All sizes are answered, with this TTL at the client.
fn answered(client: &Namespace, target: IpAddr, ttl: i32) -> Result<()> {
    for bytes in SIZES {
        let payload: Vec<u8> = (0..bytes).map(|n| n as u8).collect();
        let came = ping(client, target, &payload)?;
        ensure!(
            came == ttl,
            "{target} answers {bytes} bytes with TTL {came}, not {ttl}"
        );
    }
    Ok(())
}

/// `other`: an address that the router sends to the edge too, and the edge's stack to the instance `one`.
fn a_ping_is_answered_for_vips_alone(vip: IpAddr, other: IpAddr) -> Result<()> {
    let world = World::new()?;
    let site = Site::start(&world, &NAMES, Workload::new(vip, Protocol::Tcp))?;
    let (edge, client) = (&site.topology.edge, &site.topology.client);
    let one = site.topology.instance("one")?;
    edge.sysctls(&[
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/eth0/send_redirects", "0"),
        ("ipv6/conf/all/forwarding", "1"),
    ])?;
    let (own, next) = match vip {
        IpAddr::V4(_) => (IpAddr::V4(Topology::EDGE.0), IpAddr::V4(one.ipv4)),
        IpAddr::V6(_) => (IpAddr::V6(Topology::EDGE.1), IpAddr::V6(one.ipv6)),
    };
    let nodad = if vip.is_ipv6() { " nodad" } else { "" };
    one.namespace
        .ip(&format!("addr add {other} dev lo{nodad}\n"))?;
    edge.ip(&format!("route add {other} via {next}\n"))?;
    sends_with(edge, EDGE)?;
    sends_with(&one.namespace, INSTANCE)?;

    answered(client, vip, ANSWERED - ROUTER)?;
    assert_eq!(at_edge(&site.edge, "echo_answered")?, SIZES.len() as u64);
    answered(client, other, INSTANCE - ROUTER)?;
    answered(client, own, EDGE - ROUTER)?;
    // With its owner gone there is nobody who would answer.
    one.namespace.ip(&format!("addr del {other} dev lo\n"))?;
    let none = ping(client, other, b"who?");
    ensure!(
        none.is_err(),
        "{other} is answered without its owner: {none:?}"
    );
    assert_eq!(at_edge(&site.edge, "echo_answered")?, SIZES.len() as u64);
    Ok(())
}

// Promise: E14
#[test]
fn a_ping_is_answered_for_vips_alone_over_ipv4() -> Result<()> {
    a_ping_is_answered_for_vips_alone(Topology::vip_v4(10).into(), Topology::vip_v4(77).into())
}

// Promise: E14
#[test]
fn a_ping_is_answered_for_vips_alone_over_ipv6() -> Result<()> {
    a_ping_is_answered_for_vips_alone(Topology::vip_v6(0x10).into(), Topology::vip_v6(0x77).into())
}

// Promise: E14
#[test]
fn vips_are_answered_for_when_the_daemon_and_the_backends_are_gone() -> Result<()> {
    let world = World::new()?;
    let vip = Topology::vip_v4(10);
    let site = Site::start(&world, &NAMES, Workload::new(vip, Protocol::Tcp))?;
    site.topology
        .instances
        .iter()
        .for_each(testbed::Instance::kill);
    site.edge.kill();
    answered(&site.topology.client, vip.into(), ANSWERED - ROUTER)
}
