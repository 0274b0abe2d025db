//! What an operator changes with `lbctl`, seen in the traffic.

use std::net::IpAddr;

use anyhow::Result;
use testbed::{Protocol, Site, Topology, Workload, World};

const NAMES: [&str; 3] = ["one", "two", "three"];

fn a_backend_comes_and_goes(vip: impl Into<IpAddr>, protocol: Protocol) -> Result<()> {
    let world = World::new()?;
    let mut site = Site::start(&world, &NAMES, Workload::new(vip, protocol))?;
    site.topology.add_instance(&world, "four")?;
    site.agent.reload(&world, &site.topology)?;
    let address = site.address("four")?;
    let text = address.to_string();
    site.edge.lbctl_ok(&["backends", "add", "web", &text])?;
    site.wait_until_up(address)?;
    site.balanced(&["one", "two", "three", "four"])?;
    site.edge
        .lbctl_ok(&["backends", "remove", "web", &text, "--wait", "20"])?;
    assert_eq!(site.backend(address)?, None);
    site.balanced(&NAMES)
}

// Promise: C3
#[test]
fn a_backend_comes_and_goes_tcp_ipv4() -> Result<()> {
    a_backend_comes_and_goes(Topology::vip_v4(10), Protocol::Tcp)
}

// Promise: C3
#[test]
fn a_backend_comes_and_goes_udp_ipv4() -> Result<()> {
    a_backend_comes_and_goes(Topology::vip_v4(10), Protocol::Udp)
}

// Promise: C3
#[test]
fn a_backend_comes_and_goes_tcp_ipv6() -> Result<()> {
    a_backend_comes_and_goes(Topology::vip_v6(0x10), Protocol::Tcp)
}

// Promise: C3
#[test]
fn a_backend_comes_and_goes_udp_ipv6() -> Result<()> {
    a_backend_comes_and_goes(Topology::vip_v6(0x10), Protocol::Udp)
}

// Promise: C3
#[test]
fn a_weight_of_two_gets_twice_the_requests() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let heavy = site.address("one")?.to_string();
    site.edge
        .lbctl_ok(&["backends", "weight", "web", &heavy, "2"])?;
    let load = site.answered(1_000)?;
    let share = load.names()["one"];
    assert!(
        (430..=570).contains(&share),
        "one answered {share} of 1000: {:?}",
        load.names()
    );
    Ok(())
}

// Promise: C3
#[test]
fn a_weight_of_nothing_gets_nothing() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let idle = site.address("one")?.to_string();
    site.edge
        .lbctl_ok(&["backends", "weight", "web", &idle, "0"])?;
    site.balanced(&["two", "three"])
}

// Promise: C2
#[test]
fn two_hundred_writers_at_once_lose_nothing() -> Result<()> {
    let world = World::new()?;
    let mut site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let before = site.edge.generation()?;
    let addresses: Vec<String> = (0..200).map(|host| format!("10.9.0.{host}")).collect();
    let commands: Vec<Vec<&str>> = addresses
        .iter()
        .map(|address| vec!["backends", "add", "web", address])
        .collect();
    let replies = site.edge.lbctl_at_once(&commands)?;
    for reply in &replies {
        assert_eq!(reply.code, 0, "{}", reply.stderr);
    }
    assert_eq!(site.edge.generation()?, before + 200);
    // They outlive the daemon.
    site.edge.kill();
    site.edge.start_again(&world)?;
    assert_eq!(site.edge.generation()?, before + 200);
    let reply = site.edge.lbctl_json(&["backends", "list", "web"])?;
    let kept: Vec<&str> = reply["items"]
        .as_array()
        .expect("a list has items")
        .iter()
        .filter_map(|backend| backend["address"].as_str())
        .collect();
    for address in &addresses {
        assert!(
            kept.contains(&address.as_str()),
            "{address} is lost: {kept:?}"
        );
    }
    site.answered(100)?;
    Ok(())
}
