//! `cargo xtask bench`: set up, build, then become the bench.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{narrate, setup, workspace};

/// What the bench of the packet path is called here; the other one is of the control side.
pub(crate) const PACKET_PATH: &str = "packet-path";
pub(crate) const CONTROL: &str = "control";

/// Does not return when the bench starts: its exit status is ours.
pub(crate) fn run(what: &str, arguments: &[String]) -> Result<()> {
    if !workspace::is_root() {
        bail!("the bench makes network namespaces and loads BPF programs: run it as root");
    }
    setup::run()?;
    let program = match what {
        CONTROL => control()?,
        _ => packet_path()?,
    };
    let error = Command::new(&program).args(arguments).exec();
    bail!("cannot start {}: {error}", program.display())
}

/// The kernel runs what is measured: how this side was built makes no difference.
fn packet_path() -> Result<PathBuf> {
    narrate::step("cargo build", workspace::cargo().arg("build"))?;
    Ok(workspace::binaries().join("bench"))
}

/// The daemon is measured, as it is installed.
fn control() -> Result<PathBuf> {
    let mut build = workspace::cargo();
    build.args([
        "build",
        "--release",
        "--package",
        "balancer",
        "--bin",
        "lbd",
    ]);
    build.args([
        "--package",
        "testbed",
        "--bin",
        "control_bench",
        "--bin",
        "sweeper",
    ]);
    narrate::step("cargo build --release", &mut build)?;
    Ok(workspace::target().join("release/control_bench"))
}
