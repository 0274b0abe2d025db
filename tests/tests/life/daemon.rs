//! The daemon dies, stops and comes back, while traffic goes on.

use anyhow::{Result, bail, ensure};
use balancer_api::views::XdpAttachment;
use testbed::{Site, World, ask_from_ports, assert_native_xdp};

use crate::{site, slots};

/// Requests at 500 a second that have to pass in each phase: about a second.
const PHASE: usize = 500;

/// Source ports whose backends must stay theirs.
const PORTS: std::ops::Range<u16> = 700..900;

/// Ends the daemon while 500 requests a second run, and starts it again; none may fail, and
/// nothing may have changed.
fn traffic_goes_on_without_the_daemon(end: impl FnOnce(&Site<'_>) -> Result<()>) -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let by_port = || ask_from_ports(&site.topology.client, site.workload.target, PORTS);
    let names_before = by_port()?;
    let slots_before = slots(&site)?;
    let services_before = site.edge.services()?;
    let generation_before = site.edge.status()?.generation;
    let program = assert_native_xdp(&site.topology.edge, "eth0")?;

    let load = site.load()?;
    load.wait_for_more(PHASE)?;
    end(&site)?;
    load.wait_for_more(PHASE)?;
    let names_meanwhile = by_port()?;
    ensure!(
        assert_native_xdp(&site.topology.edge, "eth0")? == program,
        "another program is in place while no daemon runs"
    );
    site.edge.start_again(&world)?;
    load.wait_for_more(PHASE)?;
    let load = load.stop()?;
    ensure!(
        load.failed() == 0,
        "{} of {} failed: {:?}",
        load.failed(),
        load.sent(),
        load.failures()
    );
    println!(
        "sent {}, failed 0, p99 {:.1?}",
        load.sent(),
        load.quantile(0.99)
    );

    assert_native_xdp(&site.topology.edge, "eth0")?;
    let status = site.edge.status()?;
    ensure!(
        status.taken_over,
        "the new daemon took nothing over: {status:?}"
    );
    ensure!(
        status.generation == generation_before,
        "the generation is {}",
        status.generation
    );
    let services = site.edge.services()?;
    for (before, after) in services_before.iter().zip(&services) {
        ensure!(
            (before.generation, before.slots) == (after.generation, after.slots),
            "the table changed: {before:?} {after:?}"
        );
    }
    assert_eq!(slots(&site)?, slots_before);
    let by_port = || ask_from_ports(&site.topology.client, site.workload.target, PORTS);
    ensure!(
        names_meanwhile == names_before,
        "flows moved when the daemon ended"
    );
    ensure!(
        by_port()? == names_before,
        "flows moved when the daemon came back"
    );
    Ok(())
}

#[test]
fn a_killed_daemon_is_nothing_to_the_traffic() -> Result<()> {
    traffic_goes_on_without_the_daemon(|site| {
        site.edge.kill();
        Ok(())
    })
}

#[test]
fn a_terminated_daemon_ends_well_and_is_nothing_to_the_traffic() -> Result<()> {
    traffic_goes_on_without_the_daemon(|site| {
        let status = site.edge.terminate()?;
        ensure!(status.success(), "it ended with {status}");
        let socket = site.edge.socket();
        ensure!(!socket.exists(), "{} is left", socket.display());
        // What `Edge::start` waited for was READY=1.
        let notices = site.edge.notices();
        ensure!(
            notices.contains(&"STOPPING=1".to_owned()),
            "systemd was told only {notices:?}"
        );
        Ok(())
    })
}

#[test]
fn systemd_hears_of_readiness_once_the_program_is_attached_and_lbctl_is_served() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    site.edge.lbctl_ok(&["detach"])?;
    if assert_native_xdp(&site.topology.edge, "eth0").is_ok() {
        bail!("it is still attached");
    }
    site.edge.terminate()?;
    // Returns at READY=1; nothing here waits for anything else.
    site.edge.start_again(&world)?;
    let program = assert_native_xdp(&site.topology.edge, "eth0")?;
    let status = site.edge.status()?;
    ensure!(u64::from(status.program_id) == program, "{status:?}");
    ensure!(status.xdp_mode == XdpAttachment::Native, "{status:?}");
    site.edge.metrics()?;
    let notices = site.edge.notices();
    ensure!(notices.is_empty(), "and then it said {notices:?}");
    Ok(())
}
