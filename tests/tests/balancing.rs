//! Requests to a VIP, from the client, through the edge, to the instances and straight back.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use testbed::{Capture, Protocol, Site, Topology, Workload, World, patient};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Bytes that need whole segments on their way.
const LARGE: usize = 1_000_000;

/// How long they may take.
const UPLOAD: Duration = Duration::from_secs(5);

fn reaches_all_three(workload: Workload) -> Result<()> {
    let world = World::new()?;
    let site = Site::start(&world, &NAMES, workload)?;
    site.balanced(&NAMES)
}

fn by(encapsulation: &str, vip: impl Into<IpAddr>, protocol: Protocol) -> Workload {
    let mut workload = Workload::new(vip, protocol);
    workload.encapsulation = encapsulation.to_owned();
    workload
}

// Promise: E3, K1
#[test]
fn tcp_over_ipv4_reaches_all_three() -> Result<()> {
    reaches_all_three(by("gue", Topology::vip_v4(10), Protocol::Tcp))
}

// Promise: E3
#[test]
fn udp_over_ipv4_reaches_all_three() -> Result<()> {
    reaches_all_three(by("gue", Topology::vip_v4(10), Protocol::Udp))
}

// Promise: E3
#[test]
fn tcp_over_ipv6_reaches_all_three() -> Result<()> {
    reaches_all_three(by("gue", Topology::vip_v6(0x10), Protocol::Tcp))
}

// Promise: E3
#[test]
fn udp_over_ipv6_reaches_all_three() -> Result<()> {
    reaches_all_three(by("gue", Topology::vip_v6(0x10), Protocol::Udp))
}

// Promise: E3
#[test]
fn ipip_reaches_all_three() -> Result<()> {
    reaches_all_three(by("ipip", Topology::vip_v4(10), Protocol::Tcp))
}

// Promise: E3
#[test]
fn ip6ip6_reaches_all_three() -> Result<()> {
    reaches_all_three(by("ip6ip6", Topology::vip_v6(0x10), Protocol::Tcp))
}

// Promise: E3
#[test]
fn ipv4_in_ipv6_reaches_all_three() -> Result<()> {
    reaches_all_three(by("ip4in6", Topology::vip_v4(10), Protocol::Tcp))
}

fn large_bodies_pass_both_ways(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let site = Site::start(&world, &NAMES, Workload::new(vip, Protocol::Tcp))?;
    pass_both_ways(&world, &site)
}

fn pass_both_ways(world: &World, site: &Site) -> Result<()> {
    let file = world.directory().join("body");
    std::fs::write(&file, vec![b'x'; LARGE])?;
    let from = format!("@{}", file.display());
    let client = &site.topology.client;
    for _ in 0..5 {
        let url = format!("http://{}/upload", site.workload.target);
        let sizes = [
            "--silent",
            "--show-error",
            "--fail",
            "--globoff",
            "--max-time",
            &patient(UPLOAD).as_secs().to_string(),
            "--data-binary",
            &from,
            &url,
        ];
        assert_eq!(client.run("curl", &sizes)?, LARGE.to_string());
        let url = format!("http://{}/bytes/{LARGE}", site.workload.target);
        assert_eq!(client.curl(&url)?.len(), LARGE);
    }
    Ok(())
}

// Promise: E3
#[test]
fn large_bodies_pass_both_ways_over_ipv4() -> Result<()> {
    large_bodies_pass_both_ways(Topology::vip_v4(10))
}

// Promise: E3
#[test]
fn large_bodies_pass_both_ways_over_ipv6() -> Result<()> {
    large_bodies_pass_both_ways(Topology::vip_v6(0x10))
}

/// Links of 9,000 bytes from end to end, and of more between edge and instances: programs are attached to them, and whole
/// segments with frags arrive.
fn jumbo_segments_pass(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    topology.set_fabric_mtu(9_216)?;
    topology.client.ip("link set eth0 mtu 9000\n")?;
    topology.router.ip("link set to-client mtu 9000\n")?;
    let site = Site::on(&world, topology, Workload::new(vip, Protocol::Tcp))?;
    let came = Capture::start(&site.topology.instance("one")?.namespace)?;
    pass_both_ways(&world, &site)?;
    for _ in 0..20 {
        pass_both_ways(&world, &site)?;
        let longest = came.frames()?.iter().map(Vec::len).max();
        // Inside a frame of 9,000 bytes, less what the longest outer header may take.
        if longest.is_some_and(|longest| (8_800..9_100).contains(&longest)) {
            return Ok(());
        }
    }
    anyhow::bail!("no jumbo frame came to an instance")
}

// Promise: E20
#[test]
fn jumbo_segments_pass_over_ipv4() -> Result<()> {
    jumbo_segments_pass(Topology::vip_v4(10))
}

// Promise: E20
#[test]
fn jumbo_segments_pass_over_ipv6() -> Result<()> {
    jumbo_segments_pass(Topology::vip_v6(0x10))
}
