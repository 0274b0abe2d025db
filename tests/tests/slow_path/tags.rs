//! Frames with two VLAN tags, to the edge and from it: live flows through a switch whose port tags them.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{Protocol, Site, Topology, Trunk, Workload, World, ping, wait_for};

use crate::{NAMES, at_edge};

/// How long the last frames may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every frame with tags becomes one with tags: an answer, or one for a backend.
fn ensure_all_came_back(trunk: &Trunk, fewest: u64) -> Result<()> {
    wait_for("every frame to be back with its tags", PATIENCE, || {
        let (went, came) = trunk.tagged();
        ensure!(
            went >= fewest && came == went,
            "{came} of {went} frames came back with tags"
        );
        Ok(())
    })
}

fn tagged_flows_are_balanced_and_answered(vip: IpAddr, protocol: Protocol) -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    let trunk = Trunk::start(&world, &topology, vip)?;
    let site = Site::on(&world, topology, Workload::new(vip, protocol))?;
    site.balanced(&NAMES)?;
    ensure_all_came_back(&trunk, 300)?;
    let (before, _) = trunk.tagged();
    ping(&site.topology.client, vip, b"who?")?;
    ensure_all_came_back(&trunk, before + 1)?;
    assert_eq!(at_edge(&site.edge, "echo_answered")?, 1);
    Ok(())
}

// Promise: E12
#[test]
fn tagged_flows_are_balanced_and_answered_over_ipv4() -> Result<()> {
    tagged_flows_are_balanced_and_answered(Topology::vip_v4(10).into(), Protocol::Tcp)
}

// Promise: E12
#[test]
fn tagged_flows_are_balanced_and_answered_over_ipv6() -> Result<()> {
    tagged_flows_are_balanced_and_answered(Topology::vip_v6(0x10).into(), Protocol::Udp)
}
