//! `cargo xtask setup`: everything that building and testing need. Idempotent; says what it installs first.

pub(crate) mod engine;
pub(crate) mod kernel;
mod linker;
mod packages;
pub(crate) mod promtool;
pub(crate) mod qemu;
mod speakers;
mod suite;
mod toolchain;
mod unpack;

use std::ffi::OsString;
use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};

use crate::cache;

/// The LLVM that bpf-linker 0.10.3 understands; the toolchain's must be the same.
const LLVM_MAJOR: u32 = 22;

/// Sets everything up, or does nothing when all is there.
pub(crate) fn run() -> Result<()> {
    let cache = cache::directory()?;
    packages::install_missing(&packages::TOOLS)?;
    speakers::find_or_unpack()?;
    let toolchain = toolchain::find_or_install()?;
    let linker = linker::find_or_build(&cache, &toolchain)?;
    write_down(&cache, &toolchain, &linker)?;
    eprintln!(
        "set-up: BPF toolchain {} ({}), linker {}",
        toolchain.name,
        toolchain.version,
        linker.directory.display()
    );
    Ok(())
}

/// `balancer/programs/src/build.rs` reads this file: toolchain, how it allows unstable flags, linker, LLVM library.
fn write_down(
    cache: &std::path::Path,
    toolchain: &toolchain::Toolchain,
    linker: &linker::Linker,
) -> Result<()> {
    let file = cache.join("bpf-toolchain");
    let text = format!(
        "{}\n{}\n{}\n{}\n",
        toolchain.name,
        if toolchain.nightly {
            "nightly"
        } else {
            "bootstrap"
        },
        linker.directory.display(),
        linker.llvm.display()
    );
    // Unchanged stays untouched: build scripts look at its time.
    if fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// `PATH`, with directories of our own behind it: what a machine has comes first.
pub(crate) fn path_with(own: &[PathBuf]) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let directories = env::split_paths(&path)
        .chain(sbin)
        .chain(own.iter().cloned());
    Ok(env::join_paths(directories)?)
}
