//! `cargo xtask demo`: set up, build, then become the demo.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{narrate, setup, workspace};

/// Does not return when the demo starts: its exit status is ours.
pub(crate) fn run(show: &str, keep: bool) -> Result<()> {
    if !workspace::is_root() {
        bail!("the demo makes network namespaces and loads BPF programs: run it as root");
    }
    setup::run()?;
    if show == "story" {
        setup::engine::find_or_unpack()?;
    }
    narrate::step("cargo build", workspace::cargo().arg("build"))?;
    let program = workspace::binaries().join("demo");
    let mut demo = Command::new(&program);
    demo.arg(show);
    if keep {
        demo.arg("--keep");
    }
    let error = demo.exec();
    bail!("cannot start {}: {error}", program.display())
}
