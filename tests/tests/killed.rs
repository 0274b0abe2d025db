//! Whoever owns a host with instances is killed, and nothing of them stays on the machine.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use testbed::{Traces, program};

/// The whole machine is compared before and after: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// `kinds` are what is seen while it runs.
fn kill_the_owner_of(runs: &str, kinds: &[&str]) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Traces::take()?;
    let mut host = Command::new(program("host")?)
        .arg(runs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    let output = host.stdout.as_mut().context("its output is ours")?;
    BufReader::new(output).read_line(&mut said)?;
    assert_eq!(said, "held answers\n");
    let new = before.new_now()?;
    for kind in kinds {
        let seen = new.iter().any(|trace| trace.contains(kind));
        ensure!(seen, "no trace of {kind} while it runs: {new:?}");
    }
    host.kill()?;
    host.wait()?;
    before.nothing_new()
}

#[test]
fn a_killed_owner_of_an_engine_leaves_nothing_behind() -> Result<()> {
    kill_the_owner_of(
        "docker",
        &[
            "/dockerd",
            "/containerd",
            "/containerd-shim",
            " /instance",
            "cgroup ",
        ],
    )
}

#[test]
fn a_killed_owner_of_processes_leaves_nothing_behind() -> Result<()> {
    kill_the_owner_of("builtin", &["/lbd", "/instance", "cgroup "])
}
