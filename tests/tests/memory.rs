//! What services cost in kernel memory, steady state.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{Edge, EdgeOptions, MapBytes, Topology, World, wait_for};

/// Tables are published soon after the start, and emptied ones given back.
const PATIENCE: Duration = Duration::from_secs(60);

/// The maps of an edge with so many services, each of so many backends.
fn with(
    world: &World,
    topology: &Topology,
    name: &str,
    services: usize,
    backends: usize,
) -> Result<MapBytes> {
    let mut text = String::new();
    for service in 0..services {
        let (high, low) = (service / 250, service % 250 + 1);
        writeln!(
            text,
            "[[service]]\nname = \"web{service}\"\nvip = \"198.51.{}.{low}\"\nport = 8000",
            100 + high
        )?;
        for backend in 0..backends {
            let (high, low) = (backend / 200, backend % 200 + 10);
            writeln!(text, "[[service.backend]]\naddress = \"10.9.{high}.{low}\"")?;
        }
    }
    let options = EdgeOptions {
        services: text,
        ..EdgeOptions::default()
    };
    let edge = Edge::start(world, name, &topology.edge, &options)?;
    wait_for("the tables", PATIENCE, || {
        ensure!(edge.services()?.len() == services, "not all are there");
        Ok(())
    })?;
    if services == 1 {
        // Slots that moved have a history; the table before is given back once no packet reads it.
        edge.lbctl_ok(&["backends", "drain", "web0", "10.9.0.10"])?;
        wait_for("the table before to be given back", PATIENCE, || {
            let tables = edge.map_bytes(world)?.tables;
            ensure!(tables <= 800_000, "{tables} bytes");
            Ok(())
        })?;
    }
    let bytes = edge.map_bytes(world)?;
    println!("{services} services of {backends} backends: {bytes:?}");
    edge.lbctl_ok(&["detach"])?;
    edge.terminate()?;
    Ok(bytes)
}

// Promise: T8
#[test]
fn five_hundred_services_take_less_than_16_mb_and_65536_slots_less_than_0_8_mb() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &["one"])?;
    let none = with(&world, &topology, "none", 0, 0)?;
    let many = with(&world, &topology, "many", 512, 8)?;
    let bytes = many.fixed + many.tables;
    ensure!(bytes <= 16_000_000, "{bytes} bytes");
    let long = with(&world, &topology, "long", 1, 1_024)?;
    let bytes = long.fixed + long.tables - none.fixed - none.tables;
    ensure!(
        (640 << 10..=800_000).contains(&bytes),
        "{bytes} bytes for 65,536 slots"
    );
    Ok(())
}
