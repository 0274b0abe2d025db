//! `cargo xtask upgrade`: daemons of now take over, under load, what those of an earlier commit left.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{cache, setup, test, workspace};

/// What tells the tests where the earlier `lbd` is.
const VARIABLE: &str = "BALANCER_LBD_BEFORE";

/// Builds `lbd` as `commit` has it, unless that was done before, and runs the tests of upgrades with it.
pub(crate) fn run(commit: &str) -> Result<()> {
    setup::run()?;
    let before = build(commit)?;
    let arguments = ["--test", "upgrade"].map(str::to_owned);
    test::run_with(&arguments, &[(VARIABLE, before.as_os_str())])
}

fn build(commit: &str) -> Result<PathBuf> {
    let commit = resolved(commit)?;
    let sources = cache::directory()?.join("before").join(&commit);
    let lbd = sources.join("target/debug/lbd");
    if lbd.is_file() {
        return Ok(lbd);
    }
    fs::create_dir_all(&sources).with_context(|| format!("cannot make {}", sources.display()))?;
    let mut archive = Command::new("git")
        .args(["archive", &commit])
        .current_dir(workspace::root())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start git")?;
    let unpacked = Command::new("tar")
        .arg("-x")
        .current_dir(&sources)
        .stdin(archive.stdout.take().context("no stdout")?)
        .status()
        .context("cannot start tar")?;
    if !archive.wait()?.success() || !unpacked.success() {
        bail!("commit {commit} was not unpacked to {}", sources.display());
    }
    println!("building lbd of {commit} in {}", sources.display());
    let built = workspace::cargo()
        .args(["build", "--package", "balancer", "--bin", "lbd"])
        .current_dir(&sources)
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("lbd of {commit} cannot be built");
    }
    Ok(lbd)
}

/// The whole name of a commit.
fn resolved(commit: &str) -> Result<String> {
    let asked = Command::new("git")
        .args(["rev-parse", "--verify", "--end-of-options"])
        .arg(format!("{commit}^{{commit}}"))
        .current_dir(workspace::root())
        .output()
        .context("cannot start git")?;
    if !asked.status.success() {
        bail!("there is no commit `{commit}` here: name one that `git log` shows");
    }
    Ok(String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}
