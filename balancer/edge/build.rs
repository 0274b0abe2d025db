//! Builds the kernel programs and leaves their objects in `OUT_DIR`: `edge`, `agent`, `pass`, `bench`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use aya_build::{Package, Toolchain};

fn main() -> Result<()> {
    let chosen = cache().join("bpf-toolchain");
    println!("cargo:rerun-if-changed={}", chosen.display());
    let chosen = fs::read_to_string(&chosen).with_context(|| {
        format!(
            "{} is missing: run `cargo xtask setup` first",
            chosen.display()
        )
    })?;
    let lines: Vec<&str> = chosen.lines().collect();
    ensure!(
        lines.len() >= 4,
        "the cache's bpf-toolchain file is damaged: run `cargo xtask setup` again"
    );
    let (toolchain, kind, linker, llvm) = (lines[0], lines[1], lines[2], lines[3]);

    // SAFETY: a build script has one thread.
    unsafe {
        if kind == "bootstrap" {
            env::set_var("RUSTC_BOOTSTRAP", "1");
        }
        // aya-build shows whatever its cargo says as a warning of ours.
        env::set_var("CARGO_TERM_QUIET", "true");
        prepend("PATH", linker)?;
        prepend("LD_LIBRARY_PATH", llvm)?;
    }

    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = manifest
        .ancestors()
        .nth(2)
        .context("the workspace has a root")?;
    println!(
        "cargo:rerun-if-changed={}",
        root.join("balancer-common/src").display()
    );
    let programs = root.join("balancer-ebpf");
    aya_build::build_ebpf(
        [Package {
            name: "balancer-ebpf",
            root_dir: programs.to_str().context("the path is UTF-8")?,
            ..Package::default()
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
