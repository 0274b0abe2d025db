//! Where set-up keeps what it built: outside the workspace, so that every clone shares it.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// `$BALANCER_CACHE`, or `balancer` in the user's cache directory. `balancer/programs/src/build.rs` follows the
/// same rule.
pub(crate) fn directory() -> Result<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(own) = variable("BALANCER_CACHE") {
        return Ok(own.into());
    }
    let caches = match variable("XDG_CACHE_HOME") {
        Some(caches) => PathBuf::from(caches),
        None => {
            PathBuf::from(variable("HOME").context("HOME is not set: set it, or BALANCER_CACHE")?)
                .join(".cache")
        }
    };
    Ok(caches.join("balancer"))
}
