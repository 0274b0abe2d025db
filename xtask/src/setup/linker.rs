//! bpf-linker, in a directory of our own: the user's own linker is never touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::LLVM_MAJOR;
use super::toolchain::{self, Toolchain};
use crate::{narrate, workspace};

const VERSION: &str = "0.10.3";

/// A bpf-linker and the LLVM that it loads at run time.
pub(crate) struct Linker {
    /// The directory of the program.
    pub(crate) directory: PathBuf,
    /// The directory of `libLLVM`, for `LD_LIBRARY_PATH`.
    pub(crate) llvm: PathBuf,
}

/// Our own linker; builds it the first time.
pub(crate) fn find_or_build(cache: &Path, toolchain: &Toolchain) -> Result<Linker> {
    let root = cache.join(format!("bpf-linker-{VERSION}"));
    let linker = Linker {
        directory: root.join("bin"),
        llvm: llvm_library(cache, toolchain)?,
    };
    if linker.runs() {
        return Ok(linker);
    }
    eprintln!(
        "set-up: building bpf-linker {VERSION} into {} (one to three minutes)",
        root.display()
    );
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let mut install = workspace::cargo();
    install
        .args([
            "install",
            "bpf-linker",
            "--locked",
            "--force",
            "--version",
            VERSION,
        ])
        .arg("--root")
        .arg(&root)
        .env("LD_LIBRARY_PATH", &linker.llvm)
        .env_remove("CARGO_TARGET_DIR");
    narrate::step(&format!("cargo install bpf-linker {VERSION}"), &mut install)?;
    if !linker.runs() {
        bail!(
            "the new bpf-linker in {} does not start",
            linker.directory.display()
        );
    }
    Ok(linker)
}

impl Linker {
    fn runs(&self) -> bool {
        Command::new(self.directory.join("bpf-linker"))
            .arg("--version")
            .env("LD_LIBRARY_PATH", &self.llvm)
            .output()
            .is_ok_and(|out| out.status.success())
    }
}

/// A directory whose only `libLLVM` is the right one: of a rustup toolchain, else Debian's.
fn llvm_library(cache: &Path, toolchain: &Toolchain) -> Result<PathBuf> {
    let of_rustup = toolchain::installed()
        .chain([toolchain.clone()])
        .filter(Toolchain::fits_linker)
        .map(|candidate| candidate.sysroot.join("lib"))
        .find(|directory| library_in(directory, "libLLVM").is_some());
    match of_rustup {
        Some(directory) => Ok(directory),
        None => debians_library(cache),
    }
}

/// Debian keeps every LLVM in one directory; the linker would take the first it meets there.
fn debians_library(cache: &Path) -> Result<PathBuf> {
    let shared = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let library = library_in(Path::new(&shared), &format!("libLLVM.so.{LLVM_MAJOR}"))
        .with_context(|| {
            format!("no libLLVM {LLVM_MAJOR}: `apt-get install libllvm{LLVM_MAJOR}` brings one")
        })?;
    let alone = cache.join(format!("libllvm-{LLVM_MAJOR}"));
    fs::create_dir_all(&alone).with_context(|| format!("cannot make {}", alone.display()))?;
    let link = alone.join(library.file_name().context("a library has a name")?);
    if !link.exists() {
        symlink(&library, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    Ok(alone)
}

fn library_in(directory: &Path, prefix: &str) -> Option<PathBuf> {
    fs::read_dir(directory)
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
}
