//! Health takes dead instances out and back in; when all are dead, packets still go somewhere.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::{
    Agent, Edge, EdgeOptions, Load, Protocol, Site, Topology, Workload, World, assert_native_xdp,
    wait_for,
};

use crate::{FEWEST, NAMES, slots, workload};

#[test]
fn a_killed_instance_is_out_in_time_and_no_request_fails_after_that() -> Result<()> {
    let world = World::new()?;
    let workload = Workload {
        check_interval_ms: 500,
        check_timeout_ms: 500,
        fall: 3,
        ..workload()
    };
    let promised = Duration::from_millis(3 * 500 + 500);
    let site = Site::start(&world, &NAMES, workload)?;
    let before = slots(&site)?;
    let address = site.address("two")?;

    let load = site.load()?;
    load.wait_for_more(250)?;
    let killed = Instant::now();
    site.topology.instance("two")?.kill();
    let out = site.wait_until_out(address)?;
    load.wait_for_more(1_000)?;
    let load = load.stop()?;
    let took = out - killed;
    println!(
        "out after {took:.2?} of {promised:.2?}, {} requests failed until then",
        load.failed()
    );
    ensure!(
        took <= promised,
        "it took {took:?}, promised were {promised:?}"
    );
    let after = load.since(out);
    ensure!(
        after.sent() >= 1_000,
        "only {} requests came after that",
        after.sent()
    );
    ensure!(
        after.failed() == 0,
        "{} failed after that: {:?}",
        after.failed(),
        after.failures()
    );
    ensure!(!after.names().contains_key("two"), "{:?}", after.names());
    let view = site
        .edge
        .backends()?
        .into_iter()
        .find(|backend| backend.address == address);
    let view = view.context("it is gone")?;
    ensure!(
        view.health == "down" && view.last_check.is_some(),
        "{view:?}"
    );

    site.topology.instance("two")?.start(&world)?;
    site.wait_until_up(address)?;
    site.answered(300)?.ensure_balanced(&NAMES, FEWEST)?;
    assert_eq!(slots(&site)?, before, "back to the same table");
    Ok(())
}

#[test]
fn with_every_backend_down_packets_go_to_all_of_them_and_the_operator_is_warned() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    let workload = workload();
    let _agent = Agent::start(&world, &topology, &[workload.target.ip()])?;
    // Nobody listens where the check looks; the service itself is well.
    let services = workload.declaration(&topology.instances).replace(
        "check = { type = \"http\", path = \"/\",",
        "check = { type = \"tcp\", port = 9,",
    );
    ensure!(services.contains("port = 9"), "{services}");
    let options = EdgeOptions {
        services,
        ..EdgeOptions::default()
    };
    let edge = Edge::start(&world, "edge", &topology.edge, &options)?;
    assert_native_xdp(&topology.edge, "eth0")?;
    wait_for("every backend to be down", Duration::from_secs(15), || {
        let backends = edge.backends()?;
        ensure!(
            backends.iter().all(|backend| backend.health == "down"),
            "{backends:?}"
        );
        Ok(())
    })?;
    let Some(service) = edge.services()?.pop() else {
        bail!("no service")
    };
    ensure!(service.fails_open && service.active == 0, "{service:?}");
    let status = edge.status()?;
    ensure!(
        status
            .warnings
            .iter()
            .any(|warning| warning.contains("web: no backend is usable")),
        "{:?}",
        status.warnings
    );
    let text = edge.lbctl_ok(&["status"])?;
    ensure!(
        text.contains("WARNING: web: no backend is usable"),
        "{text}"
    );
    ensure!(
        edge.metric("lb_service_fails_open{service=\"web\"}")? == 1.0,
        "the metric is silent"
    );
    let load = Load::send(&topology.client, workload.target, Protocol::Tcp, 500, 300)?;
    ensure!(load.failed() == 0, "{:?}", load.failures());
    load.ensure_balanced(&NAMES, FEWEST)
}
