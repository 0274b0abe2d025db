//! What is wrong around `lbd edge`: its interface, its rights, its kernel, its file systems, another of its kind.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::{
    Protocol, Site, Topology, Workload, World, assert_native_xdp, attach_pass, lbd, program,
};

use crate::{Bench, assert_said};

const GOOD: &str = "interface = \"eth0\"\nallow_default_route_interface = true";

// Promise: O5
#[test]
fn a_missing_interface_is_refused_with_those_that_exist() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config("interface = \"eth7\"", "")?)?;
    assert_said(&reply, 4, &["no interface `eth7`", "there are lo, eth0"]);
    Ok(())
}

// Promise: O5
#[test]
fn the_default_routes_interface_needs_an_explicit_yes() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config("interface = \"eth0\"", "")?)?;
    let words = [
        "eth0 carries the default route",
        "set `allow_default_route_interface = true`",
    ];
    assert_said(&reply, 6, &words);
    Ok(())
}

// Promise: O5
#[test]
fn another_program_on_the_interface_is_refused_and_named() -> Result<()> {
    let bench = Bench::new()?;
    attach_pass(&bench.world, bench.edge(), "eth0")?;
    let pass = assert_native_xdp(bench.edge(), "eth0")?;
    fs::write(bench.file("foreign"), pass.to_string())?;
    let reply = bench.refused(&bench.config(GOOD, "")?)?;
    let words = [
        "eth0 already has an XDP program, `pass`",
        &format!("(id {pass})"),
        "detach it first",
    ];
    assert_said(&reply, 6, &words);
    assert_eq!(assert_native_xdp(bench.edge(), "eth0")?, pass);
    Ok(())
}

/// Where anybody can reach the built programs, also in a home directory that is closed to them.
fn reachable(bench: &Bench) -> Result<String> {
    let built = program("lbd")?;
    let place = bench.file("bin");
    fs::create_dir(&place)?;
    let from = built.parent().context("a program lies in a directory")?;
    let bound = Command::new("mount")
        .arg("--bind")
        .arg(from)
        .arg(&place)
        .status()?;
    ensure!(bound.success(), "cannot bind {}", place.display());
    Ok(place.join("lbd").display().to_string())
}

// Promise: O1
#[test]
fn nobody_may_not_run_it() -> Result<()> {
    let bench = Bench::new()?;
    let lbd = reachable(&bench)?;
    let config = bench.config(GOOD, "")?;
    let done = bench
        .edge()
        .command("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["timeout", "20", &lbd, "edge", "--config"])
        .arg(&config)
        .output()?;
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(9), "{error}");
    ensure!(
        error.contains("lbd: no permission to load BPF programs: run as root"),
        "{error}"
    );
    let attached = assert_native_xdp(bench.edge(), "eth0")
        .expect_err("attached")
        .to_string();
    ensure!(
        attached.ends_with("no XDP program is attached"),
        "{attached}"
    );
    let pins = crate::pins_below(&bench.pins())?;
    ensure!(pins.is_empty(), "pins are left: {pins:?}");
    Ok(())
}

#[test]
fn root_without_capabilities_may_not_run_it() -> Result<()> {
    let bench = Bench::new()?;
    let bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let reply = bench.refused_as(&bare, &bench.config(GOOD, "")?)?;
    assert_said(&reply, 9, &["no permission to load BPF programs"]);
    Ok(())
}

// Promise: O1
#[test]
fn a_kernel_that_is_too_old_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused_as(&["setarch", "--uname-2.6"], &bench.config(GOOD, "")?)?;
    let words = [
        "kernel 2.6.",
        "is too old: Balancer needs Linux 6.1 or later",
    ];
    assert_said(&reply, 10, &words);
    Ok(())
}

#[test]
fn pins_on_no_bpf_file_system_are_refused() -> Result<()> {
    let bench = Bench::new()?;
    let pins = bench.file("pins");
    let config = bench.config(&format!("{GOOD}\npin_dir = \"{}\"", pins.display()), "")?;
    let reply = bench.refused(&config)?;
    let words = [
        "/pins/v2 is not on a BPF file system",
        "mount -t bpf bpf /sys/fs/bpf",
    ];
    assert_said(&reply, 1, &words);
    ensure!(!pins.exists(), "{} is left", pins.display());
    Ok(())
}

#[test]
fn a_pin_directory_with_a_dot_is_told_from_a_lack_of_rights() -> Result<()> {
    let bench = Bench::new()?;
    let pins = bench.world.bpffs().join("edge.d");
    let config = bench.config(&format!("{GOOD}\npin_dir = \"{}\"", pins.display()), "")?;
    let reply = bench.refused(&config)?;
    assert_said(&reply, 1, &["/edge.d", "no dots", "pin_dir"]);
    Ok(())
}

// Promise: O5
#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on() -> Result<()> {
    let world = World::new()?;
    let workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
    let site = Site::start(&world, &["one"], workload)?;
    let program = assert_native_xdp(&site.topology.edge, "eth0")?;
    let text = fs::read_to_string(site.edge.config())?;
    let config = site.edge.config().display().to_string();
    // The same in everything, then only in its state, then only in its pins.
    let (pins, state) = (site.edge.pins(&world), site.edge.state());
    let other = |path: &std::path::Path| format!("{}2\"", path.display());
    let same = |path: &std::path::Path| format!("{}\"", path.display());
    for (text, word) in [
        (text.clone(), "state_dir"),
        (text.replace(&same(&pins), &other(&pins)), "state_dir"),
        (text.replace(&same(&state), &other(&state)), "pin_dir"),
    ] {
        let second = format!("{config}.second");
        fs::write(&second, text)?;
        let reply = lbd(&site.topology.edge, &["edge", "--config", &second])?;
        assert_said(&reply, 5, &["another lbd", "stop it first", word]);
        assert_eq!(assert_native_xdp(&site.topology.edge, "eth0")?, program);
        site.answered(20)?;
    }
    Ok(())
}
