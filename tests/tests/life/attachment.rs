//! The interface under the program: made anew, without native XDP, in generic mode by the operator's choice.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use balancer_api::views::XdpAttachment;
use testbed::{
    Agent, Edge, EdgeOptions, Load, Protocol, Topology, World, assert_native_xdp, lbd, wait_for,
};

use crate::{NAMES, site, workload};

// Promise: S3
#[test]
fn an_interface_that_was_made_anew_gets_the_program_again() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let before = assert_native_xdp(&site.topology.edge, "eth0")?;
    site.topology.remake_edge_link(&world)?;
    let after = wait_for(
        "the program on the new interface",
        Duration::from_secs(20),
        || assert_native_xdp(&site.topology.edge, "eth0"),
    )?;
    ensure!(before == after, "the same program, {before}, not {after}");
    wait_for(
        "next hops over the new interface",
        Duration::from_secs(20),
        || {
            let load = Load::send(
                &site.topology.client,
                site.workload.target,
                Protocol::Tcp,
                100,
                30,
            )?;
            ensure!(load.failed() == 0, "{:?}", load.failures());
            Ok(())
        },
    )?;
    site.balanced(&NAMES)?;
    let status = wait_for("the daemon to say so", Duration::from_secs(10), || {
        let status = site.edge.status()?;
        ensure!(
            status.xdp_mode == XdpAttachment::Native && status.warnings.is_empty(),
            "{status:?}"
        );
        Ok(status)
    })?;
    assert_eq!(u64::from(status.program_id), after);
    // And what it left is good enough for the next daemon.
    site.edge.kill();
    site.answered(30)?;
    Ok(())
}

// Promise: O4
#[test]
fn generic_mode_is_had_only_by_asking_for_it_and_status_says_so_loudly() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    let workload = workload();
    let _agent = Agent::start(&world, &topology, &[workload.target.ip()])?;
    let options = EdgeOptions {
        settings: "xdp_mode = \"generic\"\n".to_owned(),
        services: workload.declaration(&topology.instances),
    };
    let mut edge = Edge::start(&world, "edge", &topology.edge, &options)?;
    let said = assert_native_xdp(&topology.edge, "eth0")
        .expect_err("it is native")
        .to_string();
    ensure!(said.contains("generic mode"), "{said}");
    let status = wait_for("the daemon to see it", Duration::from_secs(10), || {
        let status = edge.status()?;
        ensure!(status.xdp_mode == XdpAttachment::Generic, "{status:?}");
        Ok(status)
    })?;
    ensure!(
        status
            .warnings
            .iter()
            .any(|each| each.contains("generic XDP")),
        "{status:?}"
    );
    let text = edge.lbctl_ok(&["status"])?;
    ensure!(text.starts_with("WARNING: GENERIC mode on eth0"), "{text}");
    let sample = "lb_xdp_attached{interface=\"eth0\",mode=\"generic\"}";
    ensure!(edge.metric(sample)? == 1.0, "{}", edge.metrics()?);
    let load = Load::send(&topology.client, workload.target, Protocol::Tcp, 500, 300)?;
    ensure!(load.failed() == 0, "{:?}", load.failures());

    // Without the wish it is native again, in place of the generic one.
    edge.terminate()?;
    let text = fs::read_to_string(edge.config())?;
    fs::write(edge.config(), text.replace("xdp_mode = \"generic\"\n", ""))?;
    edge.start_again(&world)?;
    assert_native_xdp(&topology.edge, "eth0")?;
    ensure!(edge.status()?.xdp_mode == XdpAttachment::Native);
    let load = Load::send(&topology.client, workload.target, Protocol::Tcp, 500, 600)?;
    ensure!(load.failed() == 0, "{:?}", load.failures());
    load.ensure_balanced(&NAMES, 140)
}

#[test]
fn an_interface_without_native_xdp_is_refused_unless_generic_mode_is_asked_for() -> Result<()> {
    let world = World::new()?;
    let edge = world.add_namespace("edge")?;
    edge.ip("link add name slow type bridge\nlink set slow up\n")?;
    let config = world.directory().join("edge.toml");
    let path = |name: &str| world.directory().join(name).display().to_string();
    let text = format!(
        "version = 1\ninterface = \"slow\"\npin_dir = \"{}\"\nstate_dir = \"{}\"\napi_socket = \"{}\"\n",
        world.bpffs().join("edge").display(),
        path("state"),
        path("lbd.sock"),
    );
    fs::write(&config, text)?;
    let refused = lbd(&edge, &["edge", "--config", &config.to_string_lossy()])?;
    assert_eq!(refused.code, 1, "{refused:?}");
    ensure!(
        refused.stderr.contains("slow does not take native XDP"),
        "{refused:?}"
    );
    ensure!(
        refused.stderr.contains("set `xdp_mode = \"generic\"`"),
        "{refused:?}"
    );
    let attached = assert_native_xdp(&edge, "slow")
        .expect_err("attached")
        .to_string();
    ensure!(
        attached.ends_with("no XDP program is attached"),
        "{attached}"
    );
    Ok(())
}
