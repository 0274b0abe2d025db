//! GoBGP and BIRD, which the tests of announcing talk to. The testbed looks for them where this puts
//! them (`tests/src/bgp/programs.rs`).

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::{packages, unpack::unpack};
use crate::cache;

/// The programs, and the packages that they are in; `libssh-gcrypt-4` is what BIRD is linked with.
const PROGRAMS: [&str; 3] = ["gobgpd", "bird", "birdc"];
const PACKAGES: [&str; 3] = ["gobgpd", "bird2", "libssh-gcrypt-4"];

/// Unpacks them into the cache where they are on no `PATH` already.
pub(crate) fn find_or_unpack() -> Result<()> {
    if PROGRAMS.iter().all(|name| packages::is_command(name)) {
        return Ok(());
    }
    let root = cache::directory()?.join("bgp");
    if !root.join("usr/sbin/bird").is_file() || !root.join("usr/bin/gobgpd").is_file() {
        unpack(&root, &PACKAGES, "BGP speakers for the tests of announcing")?;
    }
    try_out(&root)
}

/// A library that is missing shows here, and not as a test that waits in vain.
fn try_out(root: &Path) -> Result<()> {
    let bird = Command::new(root.join("usr/sbin/bird"))
        .arg("--version")
        .env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"))
        .output()?;
    if !bird.status.success() {
        bail!(
            "BIRD in {} does not start: {}; install bird2 by hand, with its service off",
            root.display(),
            String::from_utf8_lossy(&bird.stderr).trim()
        );
    }
    Ok(())
}
