//! What is wrong with `lbd agent`: its file, its rights, its kernel, another of its kind.

use std::fs;

use anyhow::{Context, Result, ensure};
use testbed::{Agent, Reply, Topology, World, assert_native_xdp, lbd_as};

use crate::assert_said;

/// Runs `lbd agent` to its early end.
fn refused(world: &World, topology: &Topology, wrapper: &[&str], text: &str) -> Result<Reply> {
    let file = world.directory().join("refused.toml");
    let pins = world.bpffs().join("agent");
    fs::write(
        &file,
        format!("version = 1\npin_dir = \"{}\"\n{text}\n", pins.display()),
    )?;
    let file = file.to_str().context("a path of ours is text")?;
    let reply = lbd_as(&topology.router, wrapper, &["agent", "--config", file])?;
    ensure!(reply.code != 124, "it was not refused: {reply:?}");
    Ok(reply)
}

const EDGES: &str = "edges = [\"10.1.0.0/24\"]";

#[test]
fn an_agent_that_cannot_run_says_why() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &["one"])?;
    let namespace = &topology.instance("one")?.namespace;
    let instance = format!(
        "{EDGES}\n[[instance]]\nname = \"one\"\nnetns = \"{}\"\nvips = [\"198.51.100.10\"]",
        namespace.path().display()
    );
    let bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let cases: &[(&[&str], &str, i32, &[&str])] = &[
        (
            &[],
            "edges = [\"10.1.0.1/24\"]",
            2,
            &["refused.toml:3: key `edges", "expected"],
        ),
        (
            &[],
            "edgs = []",
            2,
            &["refused.toml:3: key `edgs`", "expected"],
        ),
        (&["setarch", "--uname-2.6"], &instance, 10, &["is too old"]),
        (&bare, &instance, 9, &["run as root"]),
    ];
    for (wrapper, text, code, words) in cases {
        let reply = refused(&world, &topology, wrapper, text)?;
        assert_said(&reply, *code, words);
        let attached = assert_native_xdp(namespace, "eth0")
            .expect_err("attached")
            .to_string();
        ensure!(
            attached.ends_with("no XDP program is attached"),
            "{attached}"
        );
    }
    Ok(())
}

#[test]
fn a_second_agent_on_the_same_pins_is_refused_and_the_first_goes_on() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &["one"])?;
    let _agent = Agent::start(&world, &topology, &[Topology::vip_v4(10).into()])?;
    let program = assert_native_xdp(&topology.instance("one")?.namespace, "eth0")?;
    let reply = refused(&world, &topology, &[], EDGES)?;
    assert_said(&reply, 5, &["another lbd", "pin_dir"]);
    assert_eq!(
        assert_native_xdp(&topology.instance("one")?.namespace, "eth0")?,
        program
    );
    Ok(())
}
