//! The way to a VIP: who has it, what it says, and who carries the packets.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use testbed::World;
use testbed::bgp::{Bird, BirdConfig, Neighbour, wait_for_next_hops};

use crate::{By, PROMPT, Scene, vips};

fn two_edges_share_the_load(speakers: [By; 2]) -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world, &speakers, "")?;
    let sent = |edge: usize, service: &str| -> Result<f64> {
        let sample = format!("lb_service_packets_total{{service=\"{service}\"}}");
        scene.edges[edge].edge.metric(&sample)
    };
    scene.answered(300)?;
    for service in ["web", "web6"] {
        let shares = [sent(0, service)?, sent(1, service)?];
        println!("{service}: packets of 300 connections by edge: {shares:?}");
        let all: f64 = shares.iter().sum();
        ensure!(
            shares.iter().all(|share| *share > all / 4.0),
            "{service} is not shared: {shares:?}"
        );
    }
    for edge in 0..2 {
        scene.wait_for_status(edge, true)?;
        for vip in vips() {
            let sample = format!("lb_vip_announced{{vip=\"{vip}\"}}");
            ensure!(scene.edges[edge].edge.metric(&sample)? == 1.0, "{sample}");
        }
    }
    Ok(())
}

// Promise: B1
#[test]
fn two_edges_share_the_load_by_gobgp() -> Result<()> {
    two_edges_share_the_load([By::Gobgp, By::Gobgp])
}

// Promise: B1
#[test]
fn two_edges_share_the_load_by_bird_and_gobgp() -> Result<()> {
    two_edges_share_the_load([By::Bird, By::Gobgp])
}

// Promise: B1
#[test]
fn communities_and_med_arrive_at_the_router() -> Result<()> {
    let world = World::new()?;
    let settings = "communities = [\"65000:100\", \"65011:7\"]\nmed = 50";
    let scene = Scene::start(&world, &[By::Gobgp], settings)?;
    for vip in vips() {
        let said = scene.bird.ask(&format!("show route for {vip} all"))?;
        for expected in ["(65000,100)", "(65011,7)", "BGP.med: 50", "BGP.origin: IGP"] {
            ensure!(said.contains(expected), "no {expected} in\n{said}");
        }
    }
    Ok(())
}

// Promise: B4
#[test]
fn a_speaker_that_was_restarted_is_told_again() -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world, &[By::Gobgp], "")?;
    let killed = Instant::now();
    let speaker = |scene: &mut Scene<'_>, again: bool| match &mut scene.edges[0].speaker {
        crate::Speaker::Gobgp(gobgp) if again => gobgp.start_again(&world),
        crate::Speaker::Gobgp(gobgp) => {
            gobgp.kill();
            Ok(())
        }
        crate::Speaker::Bird => anyhow::bail!("not this one"),
    };
    speaker(&mut scene, false)?;
    let took = scene.wait_for_routes(&[], killed)?;
    println!("speaker killed: withdrawn at the router after {took:?}");
    scene.wait_for_status(0, false)?;
    let warnings = scene.edges[0].edge.status()?.warnings;
    ensure!(
        warnings
            .iter()
            .any(|each| each.contains("is gobgpd running")),
        "{warnings:?}"
    );

    speaker(&mut scene, true)?;
    let started = Instant::now();
    scene.wait_for_status(0, true)?;
    let told = started.elapsed();
    let took = scene.wait_for_routes(&[0], started)?;
    println!(
        "speaker started: told after {told:?}, at the router (with its session) after {took:?}"
    );
    ensure!(told < PROMPT, "told again after {told:?}");
    scene.answered(50)
}

#[test]
fn an_edge_that_falls_silent_is_left_within_a_second_by_bfd() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start_with(&world, &[By::Gobgp, By::Gobgp], "", true)?;
    testbed::wait_for("both BFD sessions", crate::PATIENCE, || {
        let said = scene.bird.ask("show bfd sessions")?;
        ensure!(said.matches(" Up ").count() == 2, "{said}");
        Ok(())
    })?;
    // The link stays up and leads nowhere.
    let cut = Instant::now();
    scene.router().ip("link set to-edge nomaster\n")?;
    let took = scene.wait_for_routes(&[1], cut)?;
    println!("edge cut off: left after {took:?}, with BFD at 3 x 50 ms");
    ensure!(took.as_millis() < 1_000, "left after {took:?}");
    scene.answered(100)?;
    scene.router().ip("link set to-edge master fabric\n")?;
    let took = scene.wait_for_routes(&[0, 1], Instant::now())?;
    println!("edge connected again: announced after {took:?}");
    Ok(())
}

#[test]
fn a_router_of_another_city_learns_the_vips() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world, &[By::Gobgp, By::Gobgp], "")?;
    let far = scene.topology.add_host(&world, "far")?;
    scene
        .topology
        .add_bridge("backbone", &["10.254.0.1/24", "fd00:fe::1/64"])?;
    let own = ["10.254.0.2/24", "fd00:fe::2/64"];
    scene.topology.connect(&far, "eth0", "backbone", &own)?;
    let neighbour = |name: &str, host: u8| Neighbour {
        name: name.to_owned(),
        address: [10, 254, 0, host].into(),
        autonomous_system: crate::ROUTER_AS,
        bfd: false,
    };
    let id = [10, 254, 0, 2].into();
    let config = BirdConfig::new(id, crate::ROUTER_AS)
        .kernel()
        .exchanges_with(&neighbour("near", 1));
    let far_bird = Bird::start(&world, "far-bird", &far, &config)?;
    // A session beside those to the edges, which the near router has already.
    let config = scene.config.clone().exchanges_with(&neighbour("far", 2));
    scene.bird.reconfigure(&config)?;
    far_bird.wait_for_session(&neighbour("near", 1))?;
    for (vip, hop) in vips().into_iter().zip([
        IpAddr::from([10, 254, 0, 1]),
        IpAddr::from([0xfd00, 0xfe, 0, 0, 0, 0, 0, 1]),
    ]) {
        wait_for_next_hops(&far, vip, &[hop], Instant::now(), crate::PATIENCE)?;
    }
    Ok(())
}
