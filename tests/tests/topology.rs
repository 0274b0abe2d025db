//! The topology itself, before any balancing: who reaches whom, and what is left afterwards.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use testbed::{Load, Protocol, Topology, World};

const NAMES: [&str; 2] = ["one", "two"];

fn servers(topology: &Topology) -> Vec<(&str, SocketAddr)> {
    topology
        .instances
        .iter()
        .flat_map(|instance| {
            [IpAddr::from(instance.ipv4), instance.ipv6.into()].map(|address| {
                (
                    instance.name.as_str(),
                    SocketAddr::new(address, Topology::PORT),
                )
            })
        })
        .collect()
}

#[test]
fn the_client_reaches_each_instance_by_both_families() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    for (name, server) in servers(&topology) {
        assert_eq!(topology.client.curl(&format!("http://{server}/"))?, name);
    }
    Ok(())
}

#[test]
fn a_load_counts_every_request_and_every_name() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    for (name, server) in servers(&topology) {
        for load in [
            Load::send(&topology.client, server, Protocol::Tcp, 500, 100)?,
            Load::send(&topology.client, server, Protocol::Udp, 500, 100)?,
        ] {
            assert_eq!(load.sent(), 100);
            assert_eq!(load.failed(), 0, "{:?}", load.failures());
            assert_eq!(load.names()[name], 100);
        }
    }
    Ok(())
}

#[test]
fn a_killed_instance_answers_nothing_until_it_starts_again() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    let instance = topology.instance("one")?;
    let server = SocketAddr::new(instance.ipv4.into(), Topology::PORT);
    instance.kill();
    let load = Load::send(&topology.client, server, Protocol::Tcp, 100, 10)?;
    assert_eq!(load.failed(), 10);
    instance.start(&world)?;
    let load = Load::send(&topology.client, server, Protocol::Tcp, 100, 10)?;
    assert_eq!(load.failed(), 0, "{:?}", load.failures());
    Ok(())
}

#[test]
fn worlds_do_not_see_each_other() -> Result<()> {
    let world = World::new()?;
    world.add_namespace("mine")?;
    let seen_elsewhere = std::thread::spawn(|| -> Result<bool> {
        let other = World::new()?;
        let own = other.add_namespace("yours")?;
        let mine = own.path().with_file_name("mine");
        Ok(mine.exists())
    });
    assert!(!seen_elsewhere.join().expect("no panic")?);
    Ok(())
}

#[test]
fn a_world_takes_everything_with_it() -> Result<()> {
    let (directory, pids) = {
        let world = World::new()?;
        let _topology = Topology::build(&world, &NAMES)?;
        let pids: Vec<u32> = world.running().iter().map(|(_, pid)| *pid).collect();
        (world.directory().to_path_buf(), pids)
    };
    assert_eq!(pids.len(), NAMES.len());
    for pid in pids {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "process {pid} is left"
        );
    }
    assert!(!directory.exists(), "{} is left", directory.display());
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo")?;
    assert!(!mounts.contains("balancer-"), "{mounts}");
    Ok(())
}
