//! Each cause to withdraw, and the way back.

use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use testbed::{Connection, World, assert_native_xdp};

use crate::{By, PROMPT, Scene, none_failed, vips, workload};

const MEANWHILE: usize = 400;

fn unhealthy_vips_go_and_come_back(by: By) -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world, &[by], "")?;
    let killed = Instant::now();
    for instance in &scene.topology.instances {
        instance.kill();
    }
    let took = scene.wait_for_routes(&[], killed)?;
    let detection = crate::workload(vips()[0]).detection();
    println!(
        "no healthy backend: withdrawn after {took:?}, of which up to {detection:?} are detection"
    );
    ensure!(took < detection + PROMPT, "withdrawn after {took:?}");
    let warned = scene.edges[0].edge.lbctl_ok(&["edge", "status"])?;
    ensure!(
        warned.contains("none of its services has a usable backend"),
        "{warned}"
    );
    let started = Instant::now();
    for instance in &scene.topology.instances {
        instance.start(&world)?;
    }
    let took = scene.wait_for_routes(&[0], started)?;
    println!("backends started: announced after {took:?}");
    scene.answered(50)
}

// Promise: B1
#[test]
fn vips_without_a_healthy_backend_are_withdrawn_by_gobgp() -> Result<()> {
    unhealthy_vips_go_and_come_back(By::Gobgp)
}

// Promise: B1
#[test]
fn vips_without_a_healthy_backend_are_withdrawn_by_bird() -> Result<()> {
    unhealthy_vips_go_and_come_back(By::Bird)
}

// Promise: B1
#[test]
fn only_the_vip_without_a_healthy_backend_is_withdrawn() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world, &[By::Gobgp], "")?;
    let [ipv4, ipv6] = vips();
    for instance in &scene.topology.instances {
        let address = instance.ipv6.to_string();
        scene.edges[0]
            .edge
            .lbctl_ok(&["backends", "drain", "web6", &address, "--force"])?;
    }
    scene.wait_for_route(ipv6, &[], Instant::now())?;
    scene.wait_for_route(ipv4, &[0], Instant::now())?;
    Ok(())
}

// Promise: B1
#[test]
fn by_policy_vips_stay_announced_without_a_healthy_backend() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world, &[By::Gobgp], "when_unhealthy = \"announce\"")?;
    let told = scene.told(0)?;
    for instance in &scene.topology.instances {
        instance.kill();
    }
    testbed::wait_for("the services to fail open", crate::PATIENCE, || {
        let services = scene.edges[0].edge.services()?;
        ensure!(
            services.iter().all(|service| service.fails_open),
            "{services:?}"
        );
        Ok(())
    })?;
    scene.wait_for_status(0, true)?;
    ensure!(scene.told(0)? == told, "the router was told something");
    Ok(())
}

fn a_drained_edge_is_left_without_a_failure(by: By) -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world, &[by, By::Gobgp], "")?;
    let load = scene.load(vips()[0])?;
    load.wait_for_more(MEANWHILE)?;
    let asked = Instant::now();
    scene.edges[0]
        .edge
        .lbctl_ok(&["edge", "drain", "--wait", "10"])?;
    let took = scene.wait_for_routes(&[1], asked)?;
    println!("edge drain: withdrawn at the router after {took:?}");
    ensure!(took < PROMPT, "withdrawn after {took:?}");
    load.wait_for_more(MEANWHILE)?;

    // Kept over the daemon's end, whichever it is.
    scene.edges[0].edge.kill();
    scene.edges[0].edge.start_again(&world)?;
    scene.wait_for_status(0, false)?;
    scene.wait_for_routes(&[1], Instant::now())?;
    let status = scene.edges[0].edge.status()?;
    ensure!(
        status.drained
            && status
                .warnings
                .iter()
                .any(|each| each.starts_with("drained as asked")),
        "{status:?}"
    );
    load.wait_for_more(MEANWHILE)?;

    let asked = Instant::now();
    scene.edges[0].edge.lbctl_ok(&["edge", "undrain"])?;
    let took = scene.wait_for_routes(&[0, 1], asked)?;
    println!("edge undrain: announced at the router after {took:?}");
    load.wait_for_more(MEANWHILE)?;
    none_failed(&load.stop()?)
}

// Promise: B2
#[test]
fn a_drained_edge_is_left_without_a_failure_by_gobgp() -> Result<()> {
    a_drained_edge_is_left_without_a_failure(By::Gobgp)
}

// Promise: B2
#[test]
fn a_drained_edge_is_left_without_a_failure_by_bird() -> Result<()> {
    a_drained_edge_is_left_without_a_failure(By::Bird)
}

// Promise: B2
#[test]
fn a_detached_edge_is_left_first_and_nothing_fails() -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world, &[By::Gobgp, By::Gobgp], "stop_grace_seconds = 1")?;
    let load = scene.load(vips()[0])?;
    load.wait_for_more(MEANWHILE)?;
    scene.edges[0].edge.lbctl_ok(&["detach"])?;
    ensure!(
        assert_native_xdp(&scene.edges[0].namespace, "eth0").is_err(),
        "it is still attached"
    );
    scene.wait_for_routes(&[1], Instant::now())?;
    load.wait_for_more(MEANWHILE)?;
    // It stays so: the daemon looks after everything every second.
    thread::sleep(PROMPT);
    scene.wait_for_routes(&[1], Instant::now())?;

    scene.edges[0].edge.terminate()?;
    scene.edges[0].edge.start_again(&world)?;
    scene.wait_for_routes(&[0, 1], Instant::now())?;
    load.wait_for_more(MEANWHILE)?;
    none_failed(&load.stop()?)
}

// Promise: B2
#[test]
fn a_deliberate_stop_withdraws_first_and_nothing_fails() -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world, &[By::Gobgp, By::Bird], "stop_grace_seconds = 1")?;
    for edge in [0, 1] {
        let load = scene.load(vips()[edge])?;
        load.wait_for_more(MEANWHILE)?;
        let asked = Instant::now();
        ensure!(
            scene.edges[edge].edge.terminate()?.success(),
            "it ended badly"
        );
        let took = asked.elapsed();
        println!("SIGTERM: ended after {took:?}, with a grace of 1 s");
        // Gone already: the daemon waits for the speaker's confirmation.
        let routed = scene.wait_for_routes(&[1 - edge], Instant::now())?;
        ensure!(
            routed.as_millis() < 500,
            "withdrawn only {routed:?} after the end"
        );
        load.wait_for_more(MEANWHILE)?;
        assert_native_xdp(&scene.edges[edge].namespace, "eth0")?;
        scene.edges[edge].edge.start_again(&world)?;
        scene.wait_for_routes(&[0, 1], Instant::now())?;
        load.wait_for_more(MEANWHILE)?;
        none_failed(&load.stop()?)?;
    }
    Ok(())
}

// Promise: B3
#[test]
fn connections_stay_open_whichever_edge_their_packets_go_by() -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world, &[By::Gobgp, By::Bird], "stop_grace_seconds = 1")?;
    let mut connections = Vec::new();
    for vip in vips() {
        for _ in 0..32 {
            let client = &scene.topology.client;
            connections.push(Connection::open(client, workload(vip).target)?);
        }
    }
    for edge in [0, 1] {
        scene.edges[edge].edge.terminate()?;
        scene.wait_for_routes(&[1 - edge], Instant::now())?;
        connections
            .iter_mut()
            .try_for_each(Connection::ensure_alive)?;
        scene.edges[edge].edge.start_again(&world)?;
        scene.wait_for_routes(&[0, 1], Instant::now())?;
        connections
            .iter_mut()
            .try_for_each(Connection::ensure_alive)?;
    }
    Ok(())
}
