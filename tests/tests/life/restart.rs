//! What a restart keeps, and what it reads anew.

use std::fs;

use anyhow::{Result, ensure};
use testbed::{Site, World, assert_native_xdp};

use crate::{NAMES, backend, site};

/// An address of no instance, for changes that only the state has to remember.
const NOBODY: &str = "10.1.0.99";

/// The weights of all backends, by address.
fn weights(site: &Site<'_>) -> Result<Vec<(String, u16)>> {
    let backends = site.edge.backends()?;
    Ok(backends
        .iter()
        .map(|each| (each.address.to_string(), each.weight))
        .collect())
}

/// Kills the daemon, does something while it is away, and starts it again.
fn restart(site: &mut Site<'_>, meanwhile: impl FnOnce(&Site<'_>) -> Result<()>) -> Result<()> {
    site.edge.kill();
    meanwhile(site)?;
    site.edge.start_again(site.world)?;
    assert_native_xdp(&site.topology.edge, "eth0")?;
    Ok(())
}

#[test]
fn changes_by_lbctl_survive_a_restart() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    site.edge
        .lbctl_ok(&["backends", "add", "web", NOBODY, "--weight", "0"])?;
    let two = site.address("two")?.to_string();
    site.edge
        .lbctl_ok(&["backends", "weight", "web", &two, "2"])?;
    let other = [
        "services",
        "add",
        "other",
        "--vip",
        "198.51.100.11",
        "--port",
        "53",
        "--protocol",
        "udp",
    ];
    site.edge.lbctl_ok(&other)?;
    let (weights_before, services_before) = (weights(&site)?, site.edge.services()?);
    assert_eq!(services_before.len(), 2);
    let generation = site.edge.status()?.generation;

    restart(&mut site, |_| Ok(()))?;
    assert_eq!(weights(&site)?, weights_before);
    assert_eq!(site.edge.status()?.generation, generation);
    let names = |services: &[balancer_api::views::ServiceView]| -> Vec<String> {
        services
            .iter()
            .map(|each| format!("{} {}", each.name, each.generation))
            .collect()
    };
    assert_eq!(names(&site.edge.services()?), names(&services_before));
    // The smallest share is one in four.
    site.answered(800)?.ensure_balanced(&NAMES, 140)
}

// Promise: S3
#[test]
fn an_emptied_state_directory_starts_from_the_file() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let declared = weights(&site)?;
    // The key of the hash would be lost with the state, and flows would move.
    restart(&mut site, |site| {
        let text = fs::read_to_string(site.edge.config())?;
        let key = "hash_key = \"0123456789abcdef\"";
        Ok(fs::write(site.edge.config(), format!("{key}\n{text}"))?)
    })?;
    site.edge.lbctl_ok(&["backends", "add", "web", NOBODY])?;
    let load = site.load()?;
    load.wait_for_more(250)?;
    restart(&mut site, |site| Ok(fs::remove_dir_all(site.edge.state())?))?;
    load.wait_for_more(500)?;
    let load = load.stop()?;
    // Nothing was known of anybody's health.
    ensure!(load.failed() == 0, "{:?}", load.failures());
    assert_eq!(weights(&site)?, declared);
    site.balanced(&NAMES)
}

// Promise: S3
#[test]
fn services_changed_in_the_file_are_applied_at_the_restart() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let one = site.address("one")?;
    site.edge.lbctl_ok(&["backends", "add", "web", NOBODY])?;
    restart(&mut site, |site| {
        let text = fs::read_to_string(site.edge.config())?;
        let first = format!("address = \"{one}\"\nweight = 1\n");
        ensure!(text.contains(&first), "{text}");
        let second = format!("address = \"{one}\"\nweight = 3\n");
        fs::write(site.edge.config(), text.replace(&first, &second))?;
        Ok(())
    })?;
    // The file is the whole truth now: its weight holds, and what it does not name drains.
    assert_eq!(backend(&site, one)?.weight, 3);
    if let Ok(nobody) = backend(&site, NOBODY.parse()?) {
        ensure!(nobody.state.to_string() == "draining", "{nobody:?}");
    }
    // The smallest share is one in five.
    site.answered(1_000)?.ensure_balanced(&NAMES, 140)
}

#[test]
fn a_file_with_other_settings_and_the_same_services_leaves_changes_by_lbctl_alone() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    site.edge
        .lbctl_ok(&["backends", "add", "web", NOBODY, "--weight", "0"])?;
    let before = weights(&site)?;
    restart(&mut site, |site| {
        let text = fs::read_to_string(site.edge.config())?;
        fs::write(
            site.edge.config(),
            format!("debug_packets = true\n# by hand\n{text}\n# more\n"),
        )?;
        Ok(())
    })?;
    assert_eq!(weights(&site)?, before);
    site.balanced(&NAMES)
}
