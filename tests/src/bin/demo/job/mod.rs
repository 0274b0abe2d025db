//! The main job from its beginning to its end: one edge, three instances, ten curls, and what happens to
//! them when things break.

mod acts;
mod stage;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testbed::{Site, Topology, World, assert_native_xdp, program};

use crate::kept;
use crate::narrate::{act, step};
use stage::{INSTANCES, Stage};

/// Tells it all, and writes the last line to `summary`.
pub(crate) fn tell(keep: bool, summary: &Path) -> Result<()> {
    let world = if keep {
        World::kept(kept::record_process)?
    } else {
        World::new()?
    };
    let told = tell_in(&world, summary, keep);
    if told.is_err() {
        eprintln!("{}", world.logs());
    } else if keep {
        world.leave();
    }
    told
}

fn tell_in(world: &World, summary: &Path, keep: bool) -> Result<()> {
    act("A site in network namespaces: client, router, edge and three instances");
    let topology = step("namespaces, addresses and web servers", || {
        Topology::build(world, &INSTANCES)
    })?;
    for instance in &topology.instances {
        println!(
            "{} is {} and {}",
            instance.name, instance.ipv4, instance.ipv6
        );
    }
    let mut stage = step(
        "`lbd agent` for the instances, `lbd edge` on the edge's eth0",
        || Stage::set(world, topology),
    )?;
    let program = assert_native_xdp(&stage.site.topology.edge, "eth0")?;
    println!("the kernel says: XDP program {program} is native on the edge's eth0");

    acts::ten_curls(&mut stage)?;
    acts::undeclared_port(&mut stage)?;
    acts::killed_instance(&mut stage)?;
    acts::fourth_instance(&mut stage)?;
    let outage = acts::killed_edge(&mut stage)?;
    acts::what_the_operator_sees(&stage)?;

    let line = format!(
        "{} requests balanced over {} instances; {outage}",
        stage.sent,
        INSTANCES.len()
    );
    fs::write(summary, line).context("cannot write the summary")?;
    if keep {
        say_what_to_try(&stage.site)?;
    }
    Ok(())
}

fn say_what_to_try(site: &Site) -> Result<()> {
    // A namespace without a process cannot be entered from outside this world.
    let client = site
        .world
        .start("client", &site.topology.client, "sleep", &["infinity"])?;
    let edge = site
        .world
        .running()
        .into_iter()
        .find(|(name, _)| name == "edge");
    let (_, edge) = edge.context("the edge runs")?;
    let inside = |pid: u32| format!("nsenter --target {pid} --mount --net");
    act("It stays up; to try:");
    println!(
        "{} curl http://{}/",
        inside(client.borrow().pid()),
        site.workload.target
    );
    let lbctl = program("lbctl")?;
    let lbctl = format!(
        "{} {} --socket {}",
        inside(edge),
        lbctl.display(),
        site.edge.socket().display()
    );
    println!("{lbctl} status");
    println!("{lbctl} backends list");
    println!("{} ip netns", inside(edge));
    Ok(())
}
