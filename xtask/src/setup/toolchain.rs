//! A Rust toolchain that can build `core` for the BPF target: the library's source, and LLVM 22.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{LLVM_MAJOR, packages};
use crate::narrate;

/// The name under which Debian's toolchain is linked into rustup.
const LINKED: &str = "balancer-bpf";

/// A toolchain as rustup knows it.
#[derive(Clone)]
pub(crate) struct Toolchain {
    /// rustup's name for it.
    pub(crate) name: String,
    /// Unstable flags work as they are; else with `RUSTC_BOOTSTRAP=1`.
    pub(crate) nightly: bool,
    /// `rustc`'s own words for its version.
    pub(crate) version: String,
    /// Where its libraries are.
    pub(crate) sysroot: PathBuf,
    llvm_major: u32,
}

impl Toolchain {
    /// Asks rustup; `None` when it has no toolchain of this name.
    pub(crate) fn named(name: &str) -> Option<Toolchain> {
        let verbose = rustc(name, &["--version", "--verbose"])?;
        Some(Toolchain {
            name: name.to_owned(),
            nightly: field(&verbose, "release")?.contains("nightly"),
            version: verbose.lines().next()?.to_owned(),
            sysroot: rustc(name, &["--print", "sysroot"])?.trim().into(),
            llvm_major: llvm_major(&verbose)?,
        })
    }

    fn has_source(&self) -> bool {
        self.sysroot
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .is_file()
    }

    /// Whether its LLVM is the linker's.
    pub(crate) fn fits_linker(&self) -> bool {
        self.llvm_major == LLVM_MAJOR
    }
}

/// The first that will do: one that is ready, one that only lacks the source, Debian's.
pub(crate) fn find_or_install() -> Result<Toolchain> {
    if !Command::new("rustup")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success())
    {
        bail!("rustup is missing: install it from https://rustup.rs, then run this again");
    }
    let fitting = || installed().filter(Toolchain::fits_linker);
    if let Some(ready) = fitting()
        .chain(Toolchain::named(LINKED).filter(Toolchain::fits_linker))
        .find(Toolchain::has_source)
    {
        return Ok(ready);
    }
    for toolchain in fitting() {
        if add_source(&toolchain) && toolchain.has_source() {
            return Ok(toolchain);
        }
    }
    debian()
}

/// The user's own toolchains, the preferred first.
pub(super) fn installed() -> impl Iterator<Item = Toolchain> {
    ["nightly", "stable"]
        .into_iter()
        .filter_map(Toolchain::named)
}

fn add_source(toolchain: &Toolchain) -> bool {
    let name = &toolchain.name;
    eprintln!("set-up: adding the component rust-src to the toolchain {name}");
    let added = Command::new("rustup")
        .args(["component", "add", "rust-src", "--toolchain", name])
        .output()
        .is_ok_and(|out| out.status.success());
    if !added {
        eprintln!("set-up: rustup has no rust-src for {name} within reach; trying the next way");
    }
    added
}

/// Debian's own compiler with the source of its library, linked into rustup.
fn debian() -> Result<Toolchain> {
    packages::install(&["rustc-web", "cargo-web", "rust-web-src"]).with_context(|| {
        format!(
            "no toolchain with rust-src and LLVM {LLVM_MAJOR}; \
             `rustup component add rust-src` on a matching nightly would do as well"
        )
    })?;
    eprintln!("set-up: linking /usr as the rustup toolchain {LINKED}");
    let mut link = Command::new("rustup");
    narrate::step(
        "rustup toolchain link",
        link.args(["toolchain", "link", LINKED, "/usr"]),
    )?;
    Toolchain::named(LINKED)
        .filter(|debian| debian.fits_linker() && debian.has_source())
        .with_context(|| {
            format!("/usr/bin/rustc has no library source or another LLVM than {LLVM_MAJOR}")
        })
}

fn rustc(toolchain: &str, arguments: &[&str]) -> Option<String> {
    let out = Command::new("rustup")
        .args(["run", toolchain, "rustc"])
        .args(arguments)
        .output()
        .ok()?;
    out.status
        .success()
        .then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn field<'a>(verbose: &'a str, name: &str) -> Option<&'a str> {
    verbose
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn llvm_major(verbose: &str) -> Option<u32> {
    field(verbose, "LLVM version")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBOSE: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
        release: 1.97.0-nightly\nLLVM version: 22.1.4\n";

    #[test]
    fn the_llvm_of_a_toolchain_is_read_from_its_own_words() {
        assert_eq!(llvm_major(VERBOSE), Some(22));
        assert_eq!(field(VERBOSE, "release"), Some("1.97.0-nightly"));
    }

    #[test]
    fn a_toolchain_without_llvm_is_no_toolchain_for_bpf() {
        assert_eq!(llvm_major("rustc 1.97.0\nrelease: 1.97.0\n"), None);
    }
}
