//! Docker's engine, which tests start by hand: unpacked into the cache, because the package would start a service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::packages;
use crate::{cache, narrate};

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
    if !directories[1].join("dockerd").is_file() || !directories[2].join("busybox").is_file() {
        unpack(&root)?;
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

fn unpack(root: &Path) -> Result<()> {
    let wanted = PACKAGES.join(" ");
    if !packages::is_command("apt-get") || !packages::is_command("dpkg-deb") {
        bail!("tests run instances in a container engine: install the equivalents of `{wanted}`");
    }
    eprintln!(
        "set-up: unpacking Debian's packages {wanted} into {}; no service is started",
        root.display()
    );
    let download = root.join("download");
    fs::create_dir_all(&download).with_context(|| format!("cannot make {}", download.display()))?;
    // A machine without package lists has to ask for them first.
    if narrate::step("apt-get download", &mut get(&download)).is_err() {
        let mut update = Command::new("apt-get");
        narrate::step("apt-get update", update.args(["--yes", "update"]))?;
        narrate::step("apt-get download", &mut get(&download))?;
    }
    for entry in fs::read_dir(&download)? {
        let mut extract = Command::new("dpkg-deb");
        extract.arg("--extract").arg(entry?.path()).arg(root);
        narrate::step("dpkg-deb --extract", &mut extract)?;
    }
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}

fn get(directory: &Path) -> Command {
    let mut get = Command::new("apt-get");
    get.arg("download").args(PACKAGES).current_dir(directory);
    get
}
