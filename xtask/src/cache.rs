//! Where set-up keeps what it built: outside the workspace, so that every clone shares it.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// `$BALANCER_CACHE`, or `balancer` in the user's cache directory. `balancer/build.rs` follows the
/// same rule.
pub(crate) fn directory() -> Result<PathBuf> {
    if let Some(own) = env::var_os("BALANCER_CACHE") {
        return Ok(own.into());
    }
    let caches = match env::var_os("XDG_CACHE_HOME") {
        Some(caches) => PathBuf::from(caches),
        None => PathBuf::from(
            env::var_os("HOME").context("HOME is not set: set it, or BALANCER_CACHE")?,
        )
        .join(".cache"),
    };
    Ok(caches.join("balancer"))
}
