//! `lbctl workload` is killed after ever longer times; the next command finishes what it began.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{Deployment, Runs, World};

use crate::MACHINE;

/// From before the first question to a site to after the last answer, on most machines.
const MOMENTS_MS: [u64; 8] = [5, 10, 20, 50, 150, 500, 1_000, 2_000];

/// How often a change has to be pending when it is killed, and how many more moments there may be until it was.
const OFTEN_ENOUGH: usize = 4;
const MORE: usize = 8;

/// Starts it, and kills it after this time. Whether it was still at work then.
fn killed_after(two: &Deployment, arguments: &[&str], moment: Duration) -> Result<bool> {
    let mut command = two.command(&two.fleet.file, arguments)?;
    let mut running = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    thread::sleep(moment);
    running.kill()?;
    Ok(!running.wait()?.success())
}

/// Has a change killed at every moment, each time from the same beginning, and finished by the next command.
fn at_every_moment(
    two: &Deployment,
    arguments: &[&str],
    begin: impl Fn() -> Result<()>,
    finish: impl Fn() -> Result<()>,
) -> Result<()> {
    let (mut killed, mut pending) = (0, 0);
    let mut moments: VecDeque<_> = MOMENTS_MS.map(Duration::from_millis).into();
    // The last moment at which it had begun nothing, and the first at which it was done: the machine's speed decides.
    let (mut early, mut late) = (Duration::ZERO, Duration::from_secs(5));
    let mut tried = 0;
    while let Some(moment) = moments.pop_front() {
        begin()?;
        let was_at_work = killed_after(two, arguments, moment)?;
        killed += usize::from(was_at_work);
        let state = two.state();
        let was_pending =
            state.contains("\"pending\": \"apply\"") || state.contains("\"pending\": \"destroy\"");
        match (was_at_work, was_pending) {
            (_, true) => pending += 1,
            (true, false) => early = early.max(moment),
            (false, false) => late = late.min(moment),
        }
        finish()?;
        ensure!(
            !two.state().contains("\"pending\": \"apply\""),
            "{}",
            two.state()
        );
        tried += 1;
        if moments.is_empty() && pending < OFTEN_ENOUGH && tried < MOMENTS_MS.len() + MORE {
            moments.push_back((early + late) / 2);
        }
    }
    println!("{arguments:?}: killed {killed} times, {pending} of them while a change was pending");
    // Otherwise nothing was interrupted.
    ensure!(
        pending >= OFTEN_ENOUGH,
        "the moments are not those of a change"
    );
    Ok(())
}

/// As it was asked for, everywhere, with nothing more to do.
fn is_applied(two: &Deployment, count: usize) -> Result<()> {
    let plan = two.ok(&["plan"])?;
    ensure!(plan.contains("No changes."), "{plan}");
    let status = two.ok(&["status"])?;
    for city in ["sea", "dfw"] {
        let lines = status
            .lines()
            .filter(|line| line.contains(&format!("web-global-{city}-")));
        let serving = lines.filter(|line| is_well(line)).count();
        ensure!(serving == count, "{status}");
    }
    Ok(())
}

/// Whether an instance's line says that it serves and was never started again.
fn is_well(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.any(|word| word == "serving") && words.any(|word| word == "0")
}

/// Neither services nor instances are left.
fn is_gone(two: &Deployment) -> Result<()> {
    two.nothing_started()?;
    let status = two.ok(&["status"])?;
    ensure!(!status.contains("web-global"), "{status}");
    Ok(())
}

// Promise: F6
#[test]
fn a_first_apply_that_is_killed_is_finished_by_the_next() -> Result<()> {
    let _others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let world = World::new()?;
    let two = Deployment::start(&world, Runs::Builtin)?;
    two.write(&two.text(1))?;
    at_every_moment(
        &two,
        &["apply", "--yes"],
        || Ok(()),
        || {
            two.ok(&["apply", "--yes"])?;
            is_applied(&two, 1)?;
            two.ok(&["destroy", "--yes"])?;
            two.nothing_started()
        },
    )
}

// Promise: F6
#[test]
fn a_first_apply_that_is_killed_is_undone_by_a_destroy() -> Result<()> {
    let _others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let world = World::new()?;
    let two = Deployment::start(&world, Runs::Builtin)?;
    two.write(&two.text(1))?;
    at_every_moment(
        &two,
        &["apply", "--yes"],
        || Ok(()),
        || {
            two.ok(&["destroy", "--yes"])?;
            is_gone(&two)
        },
    )
}

// Promise: F6
#[test]
fn an_apply_of_an_edit_that_is_killed_is_finished_by_the_next() -> Result<()> {
    let _others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let world = World::new()?;
    let two = Deployment::start(&world, Runs::Builtin)?;
    at_every_moment(
        &two,
        &["apply", "--yes"],
        || {
            two.write(&two.text(1))?;
            two.ok(&["apply", "--yes"])?;
            two.write(&two.text(2))
        },
        || {
            two.ok(&["apply", "--yes"])?;
            is_applied(&two, 2)
        },
    )
}

// Promise: F6
#[test]
fn a_removal_and_a_destroy_that_are_killed_are_finished_by_the_next() -> Result<()> {
    let _others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let world = World::new()?;
    let two = Deployment::start(&world, Runs::Builtin)?;
    let begin = || {
        two.write(&two.text(1))?;
        two.ok(&["apply", "--yes"])?;
        is_applied(&two, 1)
    };
    let removed = || {
        begin()?;
        two.write("# Nothing runs any more.\n")
    };
    let again = || {
        two.ok(&["apply", "--yes"])?;
        is_gone(&two)
    };
    at_every_moment(&two, &["apply", "--yes"], removed, again)?;
    at_every_moment(&two, &["destroy", "--yes"], begin, || {
        two.ok(&["destroy", "--yes"])?;
        is_gone(&two)
    })
}
