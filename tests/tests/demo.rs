//! The demo cleans up after itself, however it ends. (`cargo xtask readme` runs it to its good end.)

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Traces, program};

/// A demo compares the whole machine before and after: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn start(arguments: &[&str]) -> Result<Child> {
    Command::new(program("demo")?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the demo")
}

/// Reads what the demo says until a line begins like this.
fn read_until(demo: &mut Child, beginning: &str) -> Result<()> {
    let said = BufReader::new(demo.stdout.as_mut().context("its output is ours")?);
    for line in said.lines() {
        if line?.starts_with(beginning) {
            return Ok(());
        }
    }
    anyhow::bail!("the demo ended before {beginning:?}")
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Traces::take()?;
    let mut demo = start(&[])?;
    read_until(&mut demo, "== Ten curls")?;
    kill(Pid::from_raw(demo.id().try_into()?), Signal::SIGINT)?;
    let done = demo.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(
        said.contains("demo: failed: nothing is left behind: interrupted"),
        "{said}"
    );
    before.nothing_new()
}

#[test]
fn a_killed_demo_leaves_nothing_behind() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Traces::take()?;
    let mut demo = start(&[])?;
    read_until(&mut demo, "== Ten curls")?;
    demo.kill()?;
    demo.wait()?;
    before.nothing_new()
}

#[test]
fn a_story_is_not_kept_and_says_what_is() -> Result<()> {
    let refused = start(&["story", "--keep"])?.wait_with_output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("`cargo xtask demo --keep`"), "{said}");
    Ok(())
}

#[test]
fn a_kept_demo_can_be_tried_until_it_is_cleaned() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Traces::take()?;
    let done = start(&["--keep"])?.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let to_try: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("nsenter "))
        .collect();
    assert!(!to_try.is_empty(), "{said}");
    for command in to_try {
        let tried = Command::new("sh").args(["-c", command]).output()?;
        assert!(
            tried.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&tried.stderr)
        );
    }
    let second = start(&[])?.wait_with_output()?;
    let refusal = String::from_utf8_lossy(&second.stderr);
    assert!(refusal.contains("cargo xtask clean"), "{refusal}");
    let cleaned = start(&["--clean"])?.wait_with_output()?;
    assert!(
        cleaned.status.success(),
        "{}",
        String::from_utf8_lossy(&cleaned.stderr)
    );
    before.nothing_new()
}
