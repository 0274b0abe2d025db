//! `cargo xtask lint`: the rules of the house that the compiler does not know.

mod foreign;
mod length;
mod promises;
mod rings;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;
use source::Source;

/// One breach, as a compiler would name it.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: PathBuf,
    /// Counted from one.
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// The source files of the workspace, in the order of their names.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for package in [
        "balancer",
        "balancer-common",
        "balancer-ebpf",
        "tests",
        "xtask",
    ] {
        collect(&workspace::root().join(package), &mut files)?;
    }
    files.sort();
    Ok(files)
}

/// Names every breach, then fails if there was one.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let files = files()?;
    let mut breaches = Vec::new();
    let mut sources = BTreeMap::new();
    for file in &files {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let source = Source::new(file.strip_prefix(&root)?, &text);
        breaches.extend(rings::check(&source));
        breaches.extend(foreign::check(&source));
        breaches.extend(length::check(&source));
        sources.insert(file.strip_prefix(&root)?.to_owned(), text);
    }
    let promises = Path::new("SPECIFICATION.md");
    let text = fs::read_to_string(root.join(promises)).context("cannot read SPECIFICATION.md")?;
    breaches.extend(promises::check(promises, &text, &sources));
    for breach in &breaches {
        eprintln!("{breach}");
    }
    let format = workspace::cargo()
        .args(["fmt", "--all", "--check"])
        .status()
        .context("cannot start cargo fmt")?;
    if !breaches.is_empty() || !format.success() {
        bail!(
            "{} breaches, format {}",
            breaches.len(),
            if format.success() { "right" } else { "wrong" }
        );
    }
    eprintln!("lint: {} files, no breach", files.len());
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
