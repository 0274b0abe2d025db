//! `cargo xtask clean`: removes what `demo --keep` left.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The demo knows what it left; it only has to have been built once to have left something.
pub(crate) fn run() -> Result<()> {
    let program = workspace::binaries().join("demo");
    if !program.exists() {
        eprintln!("clean: the demo was never built here, nothing to remove");
        return Ok(());
    }
    let status = Command::new(&program)
        .arg("--clean")
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("clean: {} says that something is left", program.display());
    }
    Ok(())
}
