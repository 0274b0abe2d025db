//! Next hops change under the edge, and packets follow: by what netlink says, not by configuration.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{Agent, Protocol, Site, Topology, Workload, World, assert_native_xdp, wait_for};

const NAMES: [&str; 3] = ["one", "two", "three"];

fn site(world: &World) -> Result<Site<'_>> {
    Site::start(
        world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )
}

/// Waits until `lbctl` shows this next hop for a backend.
fn wait_for_next_hop(site: &Site, instance: &str, wanted: &str) -> Result<()> {
    let address = site.address(instance)?;
    wait_for(
        &format!("the next hop of {instance} to be {wanted}"),
        Duration::from_secs(10),
        || {
            let now = site.backend(address)?;
            let hop = now
                .as_ref()
                .and_then(|backend| backend["next_hop"].as_str());
            ensure!(
                hop.is_some_and(|hop| hop.starts_with(wanted)),
                "it is {hop:?}"
            );
            Ok(())
        },
    )
}

#[test]
fn a_neighbour_that_changes_its_mac_is_followed() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let new = "02:00:00:00:12:34";
    let instance = site.topology.instance("two")?;
    // It announces itself (arp_notify), as a machine that takes an address over does.
    instance
        .namespace
        .ip(&format!("link set eth0 address {new}"))?;
    wait_for_next_hop(&site, "two", new)?;
    site.wait_until_up(site.address("two")?)?;
    site.answered(300)?.ensure_balanced(&NAMES, 70)
}

#[test]
fn a_route_that_moves_is_followed() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let links = site
        .topology
        .router
        .run("ip", &["-json", "link", "show", "dev", "fabric"])?;
    let links: serde_json::Value = serde_json::from_str(&links)?;
    let mac = links[0]["address"]
        .as_str()
        .expect("a bridge has an address");
    let address = site.address("two")?;
    site.topology
        .edge
        .ip(&format!("route add {address}/32 via 10.1.0.1"))?;
    wait_for_next_hop(&site, "two", mac)?;
    site.answered(300)?.ensure_balanced(&NAMES, 70)?;
    site.topology.edge.ip(&format!("route del {address}/32"))?;
    wait_for(
        &format!("{address} to be on-link again"),
        Duration::from_secs(10),
        || {
            let now = site.backend(address)?.expect("it stays");
            ensure!(
                now["next_hop"]
                    .as_str()
                    .is_some_and(|hop| !hop.starts_with(mac)),
                "{now}"
            );
            Ok(())
        },
    )?;
    site.answered(300)?.ensure_balanced(&NAMES, 70)
}

#[test]
fn an_instance_that_restarts_in_a_new_namespace_is_attended_again() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let address = site.address("two")?;
    site.topology.replace_instance(&world, "two")?;
    let instance = site.topology.instance("two")?;
    wait_for(
        "the agent to attend the new namespace",
        Duration::from_secs(10),
        || assert_native_xdp(&instance.namespace, "eth0"),
    )?;
    site.wait_until_up(address)?;
    // Health asks the instance's own address; the VIP is there with the program.
    thread::sleep(Duration::from_millis(100));
    site.answered(300)?.ensure_balanced(&NAMES, 70)
}

#[test]
fn packets_from_anybody_but_an_edge_are_not_decapsulated() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let agent = Agent::start_for_edges(
        &world,
        &topology,
        &[workload.target.ip()],
        &["10.1.0.77/32"],
    )?;
    let site = Site::with_agent(&world, topology, workload, agent)?;
    let load = site.requests(20)?;
    assert_eq!(load.ok(), 0, "{:?}", load.names());
    Ok(())
}
