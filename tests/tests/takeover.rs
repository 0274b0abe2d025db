//! From one version of the pins to the next while packets flow.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::links::{FdLink, PinnedLink};
use balancer_api::views::XdpAttachment;
use testbed::{
    Agent, Connection, LINK_UPDATE, OBJECT_PIN, Protocol, Site, Topology, Workload, World,
    assert_native_xdp, lbd, wait_for,
};

const NAMES: [&str; 3] = ["one", "two", "three"];
const KEY: u64 = 0x0123_4567_89ab_cdef;
const CONNECTIONS: usize = 30;

fn site(world: &World) -> Result<Site<'_>> {
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let topology = Topology::build(world, &NAMES)?;
    let agent = Agent::start(world, &topology, &[workload.target.ip()])?;
    let settings = format!("hash_key = \"{KEY:016x}\"\n");
    Site::with_settings(world, topology, workload, agent, &settings)
}

/// The edge as one of version 1 left it that sent all to one backend. Gives how many packets had been sent before.
fn make_former(site: &Site<'_>) -> Result<u64> {
    let before = site.answered(100)?;
    before.ensure_balanced(&NAMES, 10)?;
    let packets = packets(site)?;
    site.edge.kill();
    testbed::make_former(&site.edge, site.world, KEY, |_| 2)?;
    site.answered(30)?;
    Ok(packets)
}

/// How many packets were sent to any backend.
fn packets(site: &Site<'_>) -> Result<u64> {
    Ok(site.edge.backends()?.iter().map(|of| of.packets).sum())
}

/// The id of the link that a pin holds.
fn link(site: &Site<'_>, version: &str) -> Result<u32> {
    let directory = site.edge.pins(site.world).join(version);
    for entry in directory.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().context("a pin has a name")?;
        if name.to_string_lossy().starts_with("link-") {
            return Ok(FdLink::from(PinnedLink::from_pin(&path)?).info()?.id());
        }
    }
    anyhow::bail!("no link in {}", directory.display())
}

fn ensure_former_is_gone(site: &Site<'_>) -> Result<()> {
    let former = site.edge.pins(site.world).join("v1");
    ensure!(!former.exists(), "{} is left", former.display());
    Ok(())
}

// Promise: S3
#[test]
fn a_running_edge_of_version_1_is_taken_over_without_a_failed_request() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let before = make_former(&site)?;
    let mut connections: Vec<Connection> = (0..CONNECTIONS)
        .map(|_| Connection::open(&site.topology.client, site.workload.target))
        .collect::<Result<_>>()?;
    let link_before = link(&site, "v1")?;
    let load = site.load()?;
    load.wait_for_more(100)?;
    site.edge.start_again(&world)?;
    load.wait_for_more(200)?;
    let load = load.stop()?;
    ensure!(load.failed() == 0, "{:?}", load.failures());
    ensure!(site.edge.status()?.taken_over, "{}", site.edge.log());
    ensure!(link(&site, "v2")? == link_before, "another link");
    ensure_former_is_gone(&site)?;
    // What was sent before, too, is still counted.
    let (after, least) = (packets(&site)?, before + 3 * load.ok() as u64);
    ensure!(after >= least, "{after} packets of {least}");
    // All of them went to one, which most of their slots belong to no more.
    for connection in &mut connections {
        connection.ensure_alive()?;
    }
    ensure!(Agent::counted(&site.topology.router, "second_chance")? > 0);
    site.answered(300)?.ensure_balanced(&NAMES, 50)
}

// Promise: S3
#[test]
fn a_take_over_that_is_killed_at_any_step_is_finished_by_the_next_start() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    // The first map that goes on, the last, the first new one, the link; and the update of the link.
    for (command, nth) in [
        (OBJECT_PIN, 1),
        (OBJECT_PIN, 4),
        (OBJECT_PIN, 5),
        (OBJECT_PIN, 12),
        (LINK_UPDATE, 1),
        (OBJECT_PIN, 13),
    ] {
        make_former(&site)?;
        let load = site.load()?;
        site.edge.start_and_kill_before(&world, command, nth)?;
        load.wait_for_more(50)?;
        site.edge.start_again(&world)?;
        ensure!(site.edge.status()?.taken_over, "{}", site.edge.log());
        load.wait_for_more(50)?;
        let load = load.stop()?;
        ensure!(load.failed() == 0, "{command} {nth}: {:?}", load.failures());
        ensure_former_is_gone(&site)?;
        link(&site, "v2")?;
    }
    site.answered(300)?.ensure_balanced(&NAMES, 50)
}

// Promise: S3, S4
#[test]
fn lbd_detaches_what_either_version_left() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    for half_way in [false, true] {
        make_former(&site)?;
        if half_way {
            site.edge.start_and_kill_before(&world, LINK_UPDATE, 1)?;
        }
        let config = site.edge.config();
        let config = config.to_str().context("a path of ours is text")?;
        let reply = lbd(&site.topology.edge, &["detach", "edge", "--config", config])?;
        ensure!(reply.code == 0, "{}", reply.stderr);
        wait_for("the program to go", Duration::from_secs(5), || {
            let attached = assert_native_xdp(&site.topology.edge, "eth0");
            ensure!(attached.is_err(), "{attached:?}");
            Ok(())
        })?;
        let pins = site.edge.pins(&world);
        ensure!(is_empty(&pins)?, "pins are left");
        site.edge.start_again(&world)?;
        ensure!(!site.edge.status()?.taken_over, "{}", site.edge.log());
        site.answered(30)?;
    }
    Ok(())
}

// Promise: S3
#[test]
fn another_mode_is_taken_up_with_the_upgrade() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    make_former(&site)?;
    let config = site.edge.config();
    let text = fs::read_to_string(&config)?;
    fs::write(&config, format!("xdp_mode = \"generic\"\n{text}"))?;
    site.edge.start_again(&world)?;
    ensure_former_is_gone(&site)?;
    ensure!(
        site.edge.status()?.xdp_mode == XdpAttachment::Generic,
        "{}",
        site.edge.log()
    );
    Ok(())
}

/// What was killed while it removed the pins of version 1.
// Promise: S3
#[test]
fn half_of_the_former_pins_is_no_hindrance() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    site.edge.kill();
    let pins = site.edge.pins(&world);
    fs::create_dir(pins.join("v1"))?;
    for entry in pins.join("v2").read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("link-") {
            let link = FdLink::from(PinnedLink::from_pin(entry.path())?);
            link.pin(pins.join("v1").join(entry.file_name()))?;
        }
    }
    site.edge.start_again(&world)?;
    ensure_former_is_gone(&site)?;
    ensure!(site.edge.status()?.taken_over, "{}", site.edge.log());
    site.answered(300)?.ensure_balanced(&NAMES, 50)
}

fn is_empty(directory: &Path) -> Result<bool> {
    Ok(!directory.exists() || directory.read_dir()?.next().is_none())
}
