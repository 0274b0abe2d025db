//! The operator grows, shrinks and weighs a service.

use anyhow::{Result, ensure};
use testbed::{World, ask_from_ports};

use crate::{NAMES, backend, site, slots};

#[test]
fn a_fourth_instance_comes_in_and_drains_out_again() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let before = slots(&site)?;
    site.topology.add_instance(&world, "four")?;
    site.agent.reload(&world, &site.topology)?;
    testbed::assert_native_xdp(&site.topology.instance("four")?.namespace, "eth0")?;
    let address = site.address("four")?;
    let text = address.to_string();

    site.edge.lbctl_ok(&["backends", "add", "web", &text])?;
    site.wait_until_up(address)?;
    site.balanced(&["one", "two", "three", "four"])?;
    let again = site.edge.lbctl(&["backends", "add", "web", &text])?;
    assert_eq!(again.code, 5, "{again:?}");
    site.balanced(&["one", "two", "three", "four"])?;

    site.edge.lbctl_ok(&["backends", "remove", "web", &text])?;
    let draining = backend(&site, address)?;
    ensure!(
        draining.state.to_string() == "draining" && draining.slots == 0,
        "{draining:?}"
    );
    site.balanced(&NAMES)?;
    let gone = site
        .edge
        .lbctl(&["backends", "remove", "web", &text, "--wait", "30"])?;
    ensure!(gone.code == 0 || gone.code == 4, "{gone:?}");
    ensure!(backend(&site, address).is_err(), "it is still there");
    site.balanced(&NAMES)?;
    assert_eq!(slots(&site)?, before);
    let missing = site.edge.lbctl(&["backends", "remove", "web", &text])?;
    assert_eq!(missing.code, 4, "{missing:?}");
    Ok(())
}

#[test]
fn a_wait_for_a_drain_that_takes_longer_is_told_apart() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let address = site.address("three")?.to_string();
    // The drain takes a second.
    let early = site
        .edge
        .lbctl(&["backends", "remove", "web", &address, "--wait", "0"])?;
    assert_eq!(early.code, 8, "{early:?}");
    site.edge.lbctl_ok(&["backends", "add", "web", &address])?;
    let resumed = backend(&site, address.parse()?)?;
    ensure!(resumed.state.to_string() == "active", "{resumed:?}");
    site.edge
        .lbctl_ok(&["backends", "remove", "web", &address, "--wait", "30"])?;
    ensure!(
        backend(&site, address.parse()?).is_err(),
        "it is still there"
    );
    Ok(())
}

#[test]
fn weights_of_one_and_three_share_slots_exactly_and_requests_within_five_percent() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let (one, two, three) = (
        site.address("one")?,
        site.address("two")?,
        site.address("three")?,
    );
    site.edge
        .lbctl_ok(&["backends", "weight", "web", &two.to_string(), "3"])?;
    site.edge
        .lbctl_ok(&["backends", "weight", "web", &three.to_string(), "0"])?;
    let total = site.edge.services()?[0].slots;
    ensure!(total.is_multiple_of(4), "{total} slots");
    assert_eq!(
        slots(&site)?,
        [(one, total / 4), (two, total / 4 * 3), (three, 0)]
    );

    let names = ask_from_ports(&site.topology.client, site.workload.target, 10_000..12_000)?;
    let ones = names.iter().filter(|name| *name == "one").count();
    let twos = names.iter().filter(|name| *name == "two").count();
    println!("{ones} and {twos} of {}", names.len());
    assert_eq!((names.len(), ones + twos), (2_000, 2_000));
    ensure!(
        ones.abs_diff(500) <= 100,
        "{ones} of 2000 went to a quarter of the slots"
    );
    Ok(())
}
