//! What an operator changes with `lbctl`, seen in the traffic.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{Connection, MapContents, Protocol, Site, Topology, Workload, World, wait_for};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// Where packets find the table of the only service: the first word of its entry.
fn place_of_the_table(contents: &MapContents) -> Option<Vec<u8>> {
    let mut entries = contents.iter();
    let (_, service) = entries.find(|(key, _)| key.starts_with("SERVICES "))?;
    Some(service[..4].to_vec())
}

// Promise: C3
#[test]
fn a_table_that_is_written_anew_in_its_place_breaks_no_connection() -> Result<()> {
    let world = World::new()?;
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let mut site = Site::start(&world, &NAMES, workload)?;
    let open = |_| Connection::open(&site.topology.client, site.workload.target);
    let mut connections = (0..64).map(open).collect::<Result<Vec<_>>>()?;
    let growing = site.address("one")?.to_string();
    let mut places = Vec::new();
    // A slot moves once at most, so that every owner of before stays an alternate.
    for weight in 2..10 {
        let weight = weight.to_string();
        site.edge
            .lbctl_ok(&["backends", "weight", "web", &growing, &weight])?;
        connections
            .iter_mut()
            .try_for_each(Connection::ensure_alive)?;
        places.push(place_of_the_table(&site.edge.map_contents(&world)?));
    }
    let different: BTreeSet<_> = places.iter().collect();
    assert!(different.len() < places.len(), "{places:?}");
    // A daemon that starts reads what packets meet, and writes what is not as it should be.
    site.edge.kill();
    site.edge.start_again(&world)?;
    let place = place_of_the_table(&site.edge.map_contents(&world)?);
    assert_eq!(Some(&place), places.last());
    connections
        .iter_mut()
        .try_for_each(Connection::ensure_alive)
}

/// How many backends have a record in the maps.
fn records(contents: &MapContents) -> usize {
    let keys = contents.keys();
    keys.filter(|key| key.starts_with("BACKENDS ")).count()
}

// Promise: C3
#[test]
fn the_record_of_a_backend_that_is_gone_is_emptied_once_packets_have_left() -> Result<()> {
    let world = World::new()?;
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let site = Site::start(&world, &NAMES, workload)?;
    let open = |_| Connection::open(&site.topology.client, site.workload.target);
    let mut connections = (0..16).map(open).collect::<Result<Vec<_>>>()?;
    assert_eq!(records(&site.edge.map_contents(&world)?), 3);
    // Each time with another number, as fast as it goes.
    for _ in 0..10 {
        let lbctl = |arguments: &[&str]| site.edge.lbctl_ok(arguments);
        lbctl(&["backends", "add", "web", "10.9.0.1"])?;
        lbctl(&["backends", "remove", "web", "10.9.0.1", "--now"])?;
    }
    wait_for("the records of the three that are left", PATIENCE, || {
        let records = records(&site.edge.map_contents(&world)?);
        ensure!(records == 3, "{records} backends have a record");
        Ok(())
    })?;
    (connections.iter_mut()).try_for_each(Connection::ensure_alive)
}

/// Or each scrape of many backends would hold up a change by as long as it takes.
#[test]
fn who_looks_is_answered_behind_who_changes() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    ensure!(site.edge.metrics()?.contains("lb_backend_up"), "no page");
    assert_eq!(site.edge.niceness("lookers")?, [10]);
    assert_eq!(site.edge.niceness("lbd")?, [0]);
    Ok(())
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
