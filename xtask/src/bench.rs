//! `cargo xtask bench`: set up, build, then become the bench.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{narrate, setup, workspace};

/// Does not return when the bench starts: its exit status is ours.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if !workspace::is_root() {
        bail!("the bench makes network namespaces and loads BPF programs: run it as root");
    }
    setup::run()?;
    narrate::step("cargo build", workspace::cargo().arg("build"))?;
    let program = workspace::binaries().join("bench");
    let error = Command::new(&program).args(arguments).exec();
    bail!("cannot start {}: {error}", program.display())
}
