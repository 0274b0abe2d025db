//! Docker's engine, which tests start by hand: unpacked into the cache, because the package would start a service.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{packages, unpack::unpack};
use crate::cache;

/// The engine, what it starts containers with, and the one program that the tests' image has.
const PACKAGES: [&str; 4] = ["docker.io", "containerd", "runc", "busybox-static"];

/// What they are linked with; most machines have them.
const LIBRARIES: [&str; 3] = ["libdevmapper1.02.1", "libseccomp2", "libsystemd0"];

/// The directories of the engine's programs and of busybox, where they are not on `PATH` already.
pub(crate) fn find_or_unpack() -> Result<Vec<PathBuf>> {
    let programs = ["dockerd", "containerd", "runc", "busybox"];
    if programs.into_iter().all(packages::is_command) {
        return Ok(Vec::new());
    }
    let root = cache::directory()?.join("engine");
    let directories = ["usr/bin", "usr/sbin", "bin"].map(|directory| root.join(directory));
    // All of them: an unpacking may have been interrupted between two packages.
    let unpacked = |program: &str| {
        let mut places = directories.iter();
        places.any(|directory| directory.join(program).is_file())
    };
    if !programs.into_iter().all(unpacked) {
        unpack(
            &root,
            &PACKAGES,
            "a container engine for the tests of runtimes",
        )?;
    }
    let starts = |program: &Path| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|out| out.status.success())
    };
    if !starts(&directories[1].join("dockerd")) || !starts(&directories[1].join("runc")) {
        packages::install(&LIBRARIES)?;
    }
    Ok(directories.to_vec())
}
