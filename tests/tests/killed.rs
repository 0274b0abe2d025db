//! Whoever owns a host with instances is killed, and nothing of them stays on the machine.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Traces, program};

/// What one leaves would be the other's: one at a time.
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

#[test]
fn an_orphan_is_told_by_its_name() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Traces::take()?;
    // The shell ends at once.
    let said = Command::new("sh")
        .args(["-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"])
        .output()?;
    let orphan = String::from_utf8(said.stdout)?;
    let orphan = orphan.trim();
    let new = before.new_now()?;
    let told = format!("process {orphan} ");
    ensure!(new.iter().any(|trace| trace.starts_with(&told)), "{new:?}");
    ensure!(new.len() == 1, "{new:?}");
    kill(Pid::from_raw(orphan.parse()?), Signal::SIGKILL)?;
    before.nothing_new()
}
