//! Where the speakers' programs are: installed, or where `cargo xtask setup` unpacks them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A program and the libraries that it needs beside it.
pub(super) struct Speaker {
    pub(super) program: PathBuf,
    libraries: PathBuf,
}

impl Speaker {
    /// For `env`: the libraries of an unpacked one.
    pub(super) fn environment(&self) -> String {
        format!("LD_LIBRARY_PATH={}", self.libraries.display())
    }
}

/// Looks a program up.
pub(super) fn speaker(name: &str) -> Result<Speaker> {
    let unpacked = cache()?.join("bgp/usr");
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain([
        "/usr/sbin".into(),
        unpacked.join("sbin"),
        unpacked.join("bin"),
    ]);
    let program = places
        .map(|place| place.join(name))
        .find(|candidate| candidate.is_file());
    Ok(Speaker {
        program: program.with_context(|| format!("no {name}: run `cargo xtask setup` first"))?,
        libraries: unpacked.join("lib/x86_64-linux-gnu"),
    })
}

/// By the same rule as `xtask/src/cache.rs`.
fn cache() -> Result<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    if let Some(own) = variable("BALANCER_CACHE") {
        return Ok(own.into());
    }
    match variable("XDG_CACHE_HOME") {
        Some(caches) => Ok(Path::new(&caches).join("balancer")),
        None => {
            let home = variable("HOME").context("HOME is not set: set it, or BALANCER_CACHE")?;
            Ok(Path::new(&home).join(".cache/balancer"))
        }
    }
}
