//! QEMU, which boots other kernels, and busybox, which their first process is: unpacked into the cache where the machine has
//! none, because the packages may want to replace what it has of QEMU.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::packages;
use super::unpack::unpack;
use crate::{cache, narrate};

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// Where a package's libraries and QEMU's firmware are.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// An emulator that starts.
pub(crate) struct Qemu {
    /// Where it was unpacked, if not the machine's own.
    root: Option<PathBuf>,
}

impl Qemu {
    /// The command that its arguments are added to.
    pub(crate) fn command(&self) -> Result<Command> {
        let Some(root) = &self.root else {
            return Ok(under_us(Path::new(PROGRAM)));
        };
        let mut command = under_us(&root.join("usr/bin").join(PROGRAM));
        let libraries = std::env::join_paths(LIBRARIES.map(|place| root.join(place)))?;
        command.env("LD_LIBRARY_PATH", libraries);
        for place in FIRMWARE {
            command.arg("-L").arg(root.join(place));
        }
        Ok(command)
    }
}

/// It ends when we do, however that is.
fn under_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// The machine's own, else one in the cache.
pub(crate) fn find_or_unpack() -> Result<Qemu> {
    let qemu = if packages::is_command(PROGRAM) {
        Qemu { root: None }
    } else {
        let root = cache::directory()?.join("qemu");
        if !root.join("usr/bin").join(PROGRAM).is_file() {
            let names = with_what_it_needs(PACKAGE)?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            // Whole or not at all: an unpacking may be interrupted.
            let unpacked = cache::directory()?.join("qemu-unpacked");
            if unpacked.exists() {
                fs::remove_dir_all(&unpacked)?;
            }
            unpack(&unpacked, &names, "QEMU, which boots other kernels")?;
            fs::rename(&unpacked, &root)?;
        }
        Qemu { root: Some(root) }
    };
    let version = qemu.command()?.arg("--version").output()?;
    if !version.status.success() {
        bail!(
            "QEMU does not start: {}; install {PACKAGE} by hand",
            String::from_utf8_lossy(&version.stderr).trim()
        );
    }
    Ok(qemu)
}

/// The static busybox.
pub(crate) fn busybox() -> Result<PathBuf> {
    let root = cache::directory()?.join("busybox");
    let places = ["usr/bin/busybox", "bin/busybox"].map(|place| root.join(place));
    let found = || places.iter().find(|place| place.is_file()).cloned();
    if found().is_none() {
        unpack(
            &root,
            &["busybox-static"],
            "busybox, the first process of a guest",
        )?;
    }
    found().with_context(|| format!("no busybox in {}", root.display()))
}

/// A package, and those of its dependencies that this machine lacks.
fn with_what_it_needs(package: &str) -> Result<Vec<String>> {
    let simulated = || -> Result<Vec<String>> {
        let out = Command::new("apt-get")
            .args(["--simulate", "install", "--no-install-recommends", package])
            .output()
            .context("this machine has no apt-get: install qemu-system-x86 by hand")?;
        Ok(installed(&String::from_utf8_lossy(&out.stdout)))
    };
    let names = simulated()?;
    if !names.is_empty() {
        return Ok(names);
    }
    // A machine without package lists has to ask for them first.
    let mut update = Command::new("apt-get");
    narrate::step("apt-get update", update.args(["--yes", "update"]))?;
    let names = simulated()?;
    if names.is_empty() {
        bail!("apt finds no package {package}: install QEMU for x86-64 by hand");
    }
    Ok(names)
}

fn installed(simulation: &str) -> Vec<String> {
    simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_installation_would_bring_is_read_from_its_simulation() {
        let said = "Reading package lists...\nRemv qemu-utils [10.0]\n\
            Inst libfdt1 (1.6.1-4 Debian:12.11/oldstable [amd64])\nInst qemu-system-x86 (7.2 Debian)\n\
            Conf libfdt1 (1.6.1-4 Debian:12.11/oldstable [amd64])\n";
        assert_eq!(installed(said), ["libfdt1", "qemu-system-x86"]);
    }
}
