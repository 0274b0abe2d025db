//! Bad input and bad moments: a clear sentence, an exit code of its own, and nothing changed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use testbed::{
    Edge, EdgeOptions, Namespace, Protocol, Reply, Site, Topology, Workload, World,
    assert_native_xdp, attach_pass, program,
};

/// A world with nothing but an edge's host.
struct Bench {
    world: World,
    topology: Topology,
}

impl Bench {
    fn new() -> Result<Bench> {
        let world = World::new()?;
        let topology = Topology::build(&world, &[])?;
        Ok(Bench { world, topology })
    }

    fn edge(&self) -> &Namespace {
        &self.topology.edge
    }

    /// Runs `lbd edge` with this configuration to its early end.
    fn refused(&self, config: &str) -> Result<Reply> {
        let file: PathBuf = self.world.directory().join("refused.toml");
        fs::write(&file, config)?;
        let lbd = program("lbd")?;
        let mut command = self.edge().command("timeout");
        command
            .arg("10")
            .arg(lbd)
            .args(["edge", "--config"])
            .arg(file)
            .env("NO_COLOR", "1");
        let done = command.output()?;
        let reply = Reply {
            code: done.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        };
        ensure!(reply.code != 124, "it was not refused: {}", reply.stderr);
        Ok(reply)
    }

    fn config(&self, lines: &str) -> String {
        let directory = self.world.directory();
        format!(
            "version = 1\npin_dir = \"{}\"\nstate_dir = \"{}\"\napi_socket = \"{}\"\n{lines}\n",
            self.world.bpffs().join("edge").display(),
            directory.join("state").display(),
            directory.join("lbd.sock").display(),
        )
    }

    fn nothing_attached(&self) {
        let attached = assert_native_xdp(self.edge(), "eth0")
            .unwrap_err()
            .to_string();
        assert!(attached.contains("no XDP program"), "{attached}");
    }
}

#[test]
fn the_default_routes_interface_needs_an_explicit_yes() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config("interface = \"eth0\""))?;
    assert_eq!(reply.code, 6, "{}", reply.stderr);
    assert!(
        reply.stderr.contains("allow_default_route_interface"),
        "{}",
        reply.stderr
    );
    bench.nothing_attached();
    Ok(())
}

#[test]
fn a_missing_interface_is_named() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config("interface = \"eth7\""))?;
    assert_eq!(reply.code, 4, "{}", reply.stderr);
    assert!(reply.stderr.contains("eth7"), "{}", reply.stderr);
    Ok(())
}

#[test]
fn another_program_on_the_interface_is_refused_and_named() -> Result<()> {
    let bench = Bench::new()?;
    attach_pass(&bench.world, bench.edge(), "eth0")?;
    let before = assert_native_xdp(bench.edge(), "eth0")?;
    let lines = "interface = \"eth0\"\nallow_default_route_interface = true";
    let reply = bench.refused(&bench.config(lines))?;
    assert_eq!(reply.code, 6, "{}", reply.stderr);
    assert!(reply.stderr.contains("pass"), "{}", reply.stderr);
    assert_eq!(assert_native_xdp(bench.edge(), "eth0")?, before);
    Ok(())
}

#[test]
fn an_unknown_key_is_named_with_its_line() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config("interface = \"eth0\"\nintreface = \"eth1\""))?;
    assert_eq!(reply.code, 2, "{}", reply.stderr);
    assert!(reply.stderr.contains("refused.toml:6"), "{}", reply.stderr);
    assert!(reply.stderr.contains("intreface"), "{}", reply.stderr);
    bench.nothing_attached();
    Ok(())
}

#[test]
fn a_second_daemon_is_refused() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &["one"],
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let before = assert_native_xdp(&site.topology.edge, "eth0")?;
    let lbd = program("lbd")?;
    let mut command = site.topology.edge.command("timeout");
    let second = command
        .arg("10")
        .arg(lbd)
        .args(["edge", "--config"])
        .arg(site.edge.config())
        .output()?;
    assert_eq!(
        second.status.code(),
        Some(5),
        "{}",
        String::from_utf8_lossy(&second.stderr)
    );
    assert_eq!(assert_native_xdp(&site.topology.edge, "eth0")?, before);
    site.answered(20)?;
    Ok(())
}

#[test]
fn generic_mode_is_only_for_those_who_ask_and_lbctl_says_so() -> Result<()> {
    let bench = Bench::new()?;
    let options = EdgeOptions {
        settings: "xdp_mode = \"generic\"".to_owned(),
        ..EdgeOptions::default()
    };
    let edge = Edge::start(&bench.world, "edge", bench.edge(), &options)?;
    let status = edge.lbctl_json(&["status"])?;
    assert_eq!(status["items"][0]["xdp_mode"], "generic", "{status}");
    let attached = assert_native_xdp(bench.edge(), "eth0")
        .unwrap_err()
        .to_string();
    assert!(attached.contains("generic"), "{attached}");
    Ok(())
}

#[test]
fn lbctl_has_an_exit_code_for_each_refusal() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &["one"],
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    let generation = site.edge.generation()?;
    let backend = site.address("one")?.to_string();
    let vip = site.workload.target.ip().to_string();
    for (arguments, code, word) in [
        (&["backends", "add", "web", &backend][..], 5, "already"),
        (&["backends", "remove", "web", "10.1.0.99"], 4, "10.1.0.99"),
        (&["backends", "list", "nothing"], 4, "nothing"),
        (&["backends", "add", "web", &vip], 1, &vip),
        (&["backends", "remove", "web", &backend], 6, "force"),
        (
            &["backends", "add", "web", "not-an-address"],
            2,
            "not-an-address",
        ),
    ] {
        let reply = site.edge.lbctl(arguments)?;
        assert_eq!(reply.code, code, "{arguments:?}: {}", reply.stderr);
        assert!(
            reply.stderr.contains(word),
            "{arguments:?}: {}",
            reply.stderr
        );
    }
    assert_eq!(site.edge.generation()?, generation);
    site.edge.kill();
    let reply = site.edge.lbctl(&["status"])?;
    assert_eq!(reply.code, 3, "{}", reply.stderr);
    Ok(())
}
