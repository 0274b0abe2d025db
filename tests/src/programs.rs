//! Where the built programs are: beside the one that runs.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The path of a program of this workspace; `BALANCER_BIN_DIR` overrides where it is looked for.
pub fn program(name: &str) -> Result<PathBuf> {
    if let Some(directory) = env::var_os("BALANCER_BIN_DIR") {
        return Ok(PathBuf::from(directory).join(name));
    }
    let own = env::current_exe().context("cannot tell where this program is")?;
    // A test lies in `target/debug/deps`, a program in `target/debug`.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is not built: run `cargo build` first"))
}
