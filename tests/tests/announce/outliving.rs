//! The speaker outlives the daemon: what stays announced, for how long, and who ends it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::{Guard, Reply, World, lbd, wait_for};

use crate::{By, PATIENCE, PROMPT, Scene, none_failed, vips};

const MEANWHILE: usize = 400;

const GUARD: Duration = Duration::from_secs(3);

/// Ends the daemon while requests run, and starts it again: the router is told nothing.
fn the_route_stays(by: By, settings: &str, end: impl Fn(&Scene<'_>) -> Result<()>) -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world, &[by], settings)?;
    let _guard = Guard::start(&world, &scene.edges[0].edge)?;
    let told = scene.told(0)?;
    let load = scene.load(vips()[0])?;
    load.wait_for_more(MEANWHILE)?;
    end(&scene)?;
    load.wait_for_more(MEANWHILE)?;
    scene.edges[0].edge.start_again(&world)?;
    scene.wait_for_status(0, true)?;
    load.wait_for_more(MEANWHILE)?;
    let now = scene.told(0)?;
    ensure!(now == told, "the router was told: {told:?}, then {now:?}");
    none_failed(&load.stop()?)
}

// Promise: B4
#[test]
fn a_killed_daemon_that_comes_back_does_not_move_the_route_by_gobgp() -> Result<()> {
    the_route_stays(By::Gobgp, "", |scene| {
        scene.edges[0].edge.kill();
        Ok(())
    })
}

// Promise: B4
#[test]
fn a_killed_daemon_that_comes_back_does_not_move_the_route_by_bird() -> Result<()> {
    the_route_stays(By::Bird, "", |scene| {
        scene.edges[0].edge.kill();
        Ok(())
    })
}

// Promise: B4
#[test]
fn by_policy_a_stopped_daemon_does_not_move_the_route() -> Result<()> {
    the_route_stays(By::Gobgp, "on_stop = \"keep\"", |scene| {
        ensure!(scene.edges[0].edge.terminate()?.success(), "it ended badly");
        Ok(())
    })
}

fn the_guard_withdraws_after_its_time(by: By) -> Result<()> {
    let world = World::new()?;
    let settings = format!("guard_seconds = {}", GUARD.as_secs());
    let mut scene = Scene::start(&world, &[by], &settings)?;
    let guard = Guard::start(&world, &scene.edges[0].edge)?;
    // As long as the daemon lives, the guard's own time does not count.
    thread::sleep(GUARD + Duration::from_secs(1));
    let told = scene.told(0)?;
    scene.edges[0].edge.kill();
    let killed = Instant::now();
    thread::sleep(GUARD - Duration::from_secs(1));
    ensure!(scene.told(0)? == told, "the guard withdrew early");
    let took = scene.wait_for_routes(&[], killed)?;
    println!(
        "daemon killed, guard_seconds = {}: withdrawn at the router after {took:?}",
        GUARD.as_secs()
    );
    ensure!(
        took >= GUARD - Duration::from_millis(300),
        "withdrawn after {took:?}"
    );
    ensure!(took < GUARD + PROMPT, "withdrawn after {took:?}");
    // It says so once the speaker has confirmed it, which is after the route is gone.
    wait_for("the guard to say so", PATIENCE, || {
        let log = guard.log();
        ensure!(log.contains("lbd edge stays dead: withdrew ["), "{log}");
        Ok(())
    })?;

    scene.edges[0].edge.start_again(&world)?;
    scene.wait_for_routes(&[0], Instant::now())?;
    scene.answered(50)
}

// Promise: B4
#[test]
fn the_guard_withdraws_after_its_time_by_gobgp() -> Result<()> {
    the_guard_withdraws_after_its_time(By::Gobgp)
}

// Promise: B4
#[test]
fn the_guard_withdraws_after_its_time_by_bird() -> Result<()> {
    the_guard_withdraws_after_its_time(By::Bird)
}

// Promise: B4
#[test]
fn a_vip_that_went_while_no_daemon_ran_is_withdrawn_at_the_start() -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world, &[By::Gobgp, By::Bird], "")?;
    let [ipv4, ipv6] = vips();
    for edge in [0, 1] {
        scene.edges[edge].edge.kill();
        let config = scene.edges[edge].edge.config();
        let text = fs::read_to_string(&config)?;
        let (kept, _) = text
            .split_once("[[service]]\nname = \"web6\"")
            .context("two services")?;
        fs::write(&config, kept)?;
        scene.edges[edge].edge.start_again(&world)?;
    }
    scene.wait_for_route(ipv6, &[], Instant::now())?;
    scene.wait_for_route(ipv4, &[0, 1], Instant::now())?;
    Ok(())
}

// Promise: B2
#[test]
fn detaching_what_a_dead_daemon_left_withdraws_first() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world, &[By::Gobgp], "stop_grace_seconds = 0")?;
    scene.edges[0].edge.kill();
    let config = scene.edges[0].edge.config();
    let arguments = ["detach", "edge", "--config", &config.to_string_lossy()];
    let done: Reply = lbd(&scene.edges[0].namespace, &arguments)?;
    ensure!(done.code == 0, "{done:?}");
    scene.wait_for_routes(&[], Instant::now())?;
    Ok(())
}

#[test]
fn a_guard_without_anything_to_guard_says_so() -> Result<()> {
    let world = World::new()?;
    let host = world.add_namespace("host")?;
    let config = world.directory().join("edge.toml");
    fs::write(&config, "version = 1\ninterface = \"eth0\"\n")?;
    let said = lbd(&host, &["guard", "--config", &config.to_string_lossy()])?;
    ensure!(said.code == 2, "{said:?}");
    ensure!(
        said.stderr.contains("has no section [announce]"),
        "{said:?}"
    );
    Ok(())
}
