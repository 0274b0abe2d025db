//! Building with the toolchain of `cargo xtask setup`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use aya_build::{Package, Toolchain};

/// Which of the programs of `balancer-ebpf` are built: its features.
#[derive(Clone, Copy, Debug)]
pub enum Programs {
    /// Of an edge and an agent: `edge` and `agent`.
    Product,
    /// Of the testbed: `pass` and `bench`.
    Testbed,
}

/// Builds the programs, and leaves an object of each in `OUT_DIR`. For the only thread of a build script: it changes the
/// environment.
///
/// # Errors
///
/// When `cargo xtask setup` has not run, and when the programs do not build.
pub fn build(programs: Programs) -> Result<()> {
    let chosen = cache().join("bpf-toolchain");
    println!("cargo:rerun-if-changed={}", chosen.display());
    let chosen = fs::read_to_string(&chosen).with_context(|| {
        format!(
            "{} is missing: run `cargo xtask setup` first, or build with prebuilt objects (docs/install.md)",
            chosen.display()
        )
    })?;
    let lines: Vec<&str> = chosen.lines().collect();
    ensure!(
        lines.len() >= 4,
        "the cache's bpf-toolchain file is damaged: run `cargo xtask setup` again"
    );
    let (toolchain, kind, linker, llvm) = (lines[0], lines[1], lines[2], lines[3]);

    // SAFETY: a build script has one thread, which calls this.
    unsafe {
        if kind == "bootstrap" {
            env::set_var("RUSTC_BOOTSTRAP", "1");
        }
        // aya-build shows whatever its cargo says as a warning of ours.
        env::set_var("CARGO_TERM_QUIET", "true");
        prepend("PATH", linker)?;
        prepend("LD_LIBRARY_PATH", llvm)?;
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("this crate lies in the workspace")?;
    println!(
        "cargo:rerun-if-changed={}",
        root.join("balancer-common/src").display()
    );
    let directory = root.join("balancer-ebpf");
    let feature = match programs {
        Programs::Product => "product",
        Programs::Testbed => "testbed",
    };
    aya_build::build_ebpf(
        [Package {
            name: "balancer-ebpf",
            root_dir: directory.to_str().context("the path is not UTF-8")?,
            no_default_features: true,
            features: &[feature],
        }],
        Toolchain::Custom(toolchain),
    )
}

/// Where `cargo xtask setup` keeps what it built.
fn cache() -> PathBuf {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    for name in ["BALANCER_CACHE", "XDG_CACHE_HOME", "HOME"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if let Some(cache) = variable("BALANCER_CACHE") {
        return cache.into();
    }
    match variable("XDG_CACHE_HOME") {
        Some(cache) => Path::new(&cache).join("balancer"),
        None => Path::new(&variable("HOME").unwrap_or_default()).join(".cache/balancer"),
    }
}

/// Puts `first` in front of a path variable.
///
/// # Safety
///
/// No other thread runs.
unsafe fn prepend(name: &str, first: &str) -> Result<()> {
    let old = env::var_os(name).unwrap_or_default();
    let paths = [PathBuf::from(first)]
        .into_iter()
        .chain(env::split_paths(&old));
    let joined = env::join_paths(paths.filter(|path| !path.as_os_str().is_empty()))?;
    // SAFETY: as the caller promises.
    unsafe { env::set_var(name, joined) };
    Ok(())
}
