//! Debian packages unpacked into the cache instead of installed: their installation would start servers.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::packages;
use crate::narrate;

/// Unpacks packages into `root`, with what they need from it in `usr`. `purpose` is what is said.
pub(super) fn unpack(root: &Path, names: &[&str], purpose: &str) -> Result<()> {
    let wanted = names.join(" ");
    if !packages::is_command("apt-get") || !packages::is_command("dpkg-deb") {
        bail!("{purpose}: this machine has no apt-get: install the equivalents of `{wanted}`");
    }
    eprintln!(
        "set-up: unpacking from Debian's packages {wanted} into {} ({purpose})",
        root.display()
    );
    let download = root.join("download");
    fs::create_dir_all(&download).with_context(|| format!("cannot make {}", download.display()))?;
    let what = format!("apt-get download {wanted}");
    let get = || {
        let mut get = Command::new("apt-get");
        get.arg("download").args(names).current_dir(&download);
        get
    };
    // A machine without package lists has to ask for them first.
    if narrate::step(&what, &mut get()).is_err() {
        let mut update = Command::new("apt-get");
        narrate::step("apt-get update", update.args(["--yes", "update"]))?;
        narrate::step(&what, &mut get())?;
    }
    extract(&download, root)?;
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}

/// Extracts every package of the directory `download` into `root`.
pub(super) fn extract(download: &Path, root: &Path) -> Result<()> {
    let files = fs::read_dir(download)?.filter_map(|entry| Some(entry.ok()?.path()));
    let packages: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    if packages.is_empty() {
        bail!("apt-get download left no package");
    }
    for package in &packages {
        let mut extract = Command::new("dpkg-deb");
        extract.arg("--extract").arg(package).arg(root);
        narrate::step("dpkg-deb --extract", &mut extract)?;
    }
    Ok(())
}
