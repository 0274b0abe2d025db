//! The story, with each runtime.

use std::process::{Command, Stdio};
use std::sync::PoisonError;

use anyhow::{Context, Result, ensure};
use testbed::program;

use crate::MACHINE;

/// Everything is checked where it is told; here only that it came to its end, and what it printed.
fn told(show: &str) -> Result<()> {
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    let done = Command::new(program("demo")?)
        .arg(show)
        .stdin(Stdio::null())
        .output()
        .context("cannot start the demo")?;
    let said = String::from_utf8_lossy(&done.stdout);
    let error = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{said}\n{error}");
    let last = said.lines().last().unwrap_or_default();
    ensure!(
        last.starts_with("demo: ") && last.ends_with("; nothing left behind"),
        "{said}"
    );
    Ok(())
}

// Promise: F8
#[test]
fn the_story_comes_to_its_end_with_containers() -> Result<()> {
    told("story")
}

// Promise: F8
#[test]
fn the_story_comes_to_its_end_without_a_container_engine() -> Result<()> {
    told("story-builtin")
}
