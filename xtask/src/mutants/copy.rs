//! A copy of the workspace's sources to put faults into: nobody's tree is ever touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::faults::Fault;
use crate::workspace;

/// The copy, and where it is built.
pub(super) struct Copy {
    sources: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// The files that git knows, as they stand in the tree now. What is the same already is not written, so that
    /// cargo builds again only what differs.
    pub(super) fn new() -> Result<Copy> {
        let place = workspace::target().join("mutants");
        let copy = Copy {
            sources: place.join("sources"),
            target: place.join("target"),
        };
        let files = tracked()?;
        for file in &files {
            let bytes = fs::read(workspace::root().join(file))
                .with_context(|| format!("cannot read {}", file.display()))?;
            write(&copy.sources.join(file), &bytes)?;
        }
        remove_others(&copy.sources, &copy.sources, &files)?;
        Ok(copy)
    }

    /// Cargo, in the copy.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = workspace::cargo();
        cargo
            .current_dir(&self.sources)
            .env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// Puts the fault in while `then` runs.
    pub(super) fn with<T>(&self, fault: &Fault, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let file = self.sources.join(fault.file);
        let sound = fs::read_to_string(&file)
            .with_context(|| format!("{}: cannot read {}", fault.name, file.display()))?;
        let found = sound.matches(fault.text).count();
        ensure!(
            found == 1,
            "{}: its text stands {found} times in {}, not once: change it in xtask/src/mutants/faults.rs",
            fault.name,
            fault.file
        );
        let faulty = sound.replacen(fault.text, fault.replacement, 1);
        write(&file, faulty.as_bytes())?;
        let done = then();
        write(&file, sound.as_bytes())?;
        done
    }
}

/// Those that are there: a file may be deleted, and git not know it yet.
fn tracked() -> Result<BTreeSet<PathBuf>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(workspace::root())
        .output()
        .context("cannot start git")?;
    if !listed.status.success() {
        bail!(
            "git lists no files: {}",
            String::from_utf8_lossy(&listed.stderr).trim()
        );
    }
    let names = String::from_utf8(listed.stdout).context("a file's name is not UTF-8")?;
    Ok(names
        .split_terminator('\0')
        .map(PathBuf::from)
        .filter(|file| workspace::root().join(file).is_file())
        .collect())
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let directory = file.parent().context("a file lies in a directory")?;
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(file, bytes))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Removes what an earlier copy had and this one has not.
fn remove_others(root: &Path, directory: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, files)?;
        } else if !files.contains(path.strip_prefix(root)?) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
