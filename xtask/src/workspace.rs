//! Where the workspace is, and cargo as the person who called us runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
        .to_path_buf()
}

/// The text of every Rust file of the packages, by its path from the workspace's directory.
pub(crate) fn sources() -> Result<BTreeMap<PathBuf, String>> {
    let root = root();
    let mut sources = BTreeMap::new();
    let entries = fs::read_dir(&root).with_context(|| format!("cannot list {}", root.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            collect(Path::new(&entry.file_name()), "rs", &mut sources)?;
        }
    }
    Ok(sources)
}

/// The text of every Markdown file, by its path from the workspace's directory.
pub(crate) fn pages() -> Result<BTreeMap<PathBuf, String>> {
    let mut pages = BTreeMap::new();
    collect(Path::new(""), "md", &mut pages)?;
    Ok(pages)
}

/// Reads the files below `directory` whose names end in `.extension`, without what cargo built and what is hidden.
fn collect(directory: &Path, extension: &str, files: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let listed = root().join(directory);
    let entries =
        fs::read_dir(&listed).with_context(|| format!("cannot list {}", listed.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let path = directory.join(&name);
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                collect(&path, extension, files)?;
            }
        } else if path.extension().is_some_and(|other| other == extension) {
            let text = fs::read_to_string(entry.path())
                .with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(path, text);
        }
    }
    Ok(())
}

/// The cargo that runs us, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// Where `cargo build` puts the binaries.
pub(crate) fn binaries() -> PathBuf {
    target().join("debug")
}

/// Whether we may make network namespaces and load programs.
pub(crate) fn is_root() -> bool {
    // The owner of /proc/self is the effective user.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
