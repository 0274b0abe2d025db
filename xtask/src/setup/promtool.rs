//! promtool, which one test asks about the metrics: unpacked into the cache, because the package
//! would start a Prometheus server on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::packages;
use crate::{cache, narrate};

/// The directory of promtool where it is on no `PATH` already.
pub(crate) fn find_or_unpack() -> Result<Option<PathBuf>> {
    if packages::is_command("promtool") {
        return Ok(None);
    }
    let root = cache::directory()?.join("prometheus");
    let directory = root.join("usr/bin");
    if !directory.join("promtool").is_file() {
        unpack(&root)?;
    }
    Ok(Some(directory))
}

fn unpack(root: &Path) -> Result<()> {
    if !packages::is_command("apt-get") || !packages::is_command("dpkg-deb") {
        bail!(
            "promtool is missing, which a test of the metrics asks: install it from prometheus.io"
        );
    }
    eprintln!(
        "set-up: unpacking promtool from Debian's package prometheus into {}",
        root.display()
    );
    let download = root.join("download");
    fs::create_dir_all(&download).with_context(|| format!("cannot make {}", download.display()))?;
    // A machine without package lists has to ask for them first.
    if narrate::step("apt-get download prometheus", &mut get(&download)).is_err() {
        let mut update = Command::new("apt-get");
        narrate::step("apt-get update", update.args(["--yes", "update"]))?;
        narrate::step("apt-get download prometheus", &mut get(&download))?;
    }
    let package = fs::read_dir(&download)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    let mut extract = Command::new("dpkg-deb");
    extract.arg("--extract").arg(&package).arg(root);
    narrate::step("dpkg-deb --extract", &mut extract)?;
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}

fn get(directory: &Path) -> Command {
    let mut get = Command::new("apt-get");
    get.args(["download", "prometheus"]).current_dir(directory);
    get
}
