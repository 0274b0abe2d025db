//! `cargo xtask mutants`: faults in the packet path, one at a time, each of which a test must catch.

mod copy;
mod faults;

use std::fmt;
use std::io::{Write as _, stdout};
use std::process::Output;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use self::copy::Copy;
use self::faults::{FAULTS, Fault};
use crate::{narrate, setup, workspace};

/// What may catch a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suite {
    /// Of `balancer-common`: seconds.
    Units,
    /// In the kernel, with the real daemon.
    Packets,
}

impl Suite {
    /// What is built first: the packet tests start lbd and lbctl.
    fn builds(self) -> &'static [&'static str] {
        match self {
            Suite::Units => &[],
            Suite::Packets => &[
                "build",
                "-p",
                "balancer",
                "-p",
                "balancer-lbctl",
                "-p",
                "testbed",
                "--bins",
            ],
        }
    }

    fn tests(self) -> &'static [&'static str] {
        match self {
            Suite::Units => &[
                "test",
                "-p",
                "balancer-common",
                "--features",
                "user",
                "--lib",
            ],
            // Without the one that starts an edge of 4,096 services: it would double the time of each fault.
            Suite::Packets => &[
                "test",
                "-p",
                "testbed",
                "--test",
                "packets",
                "--",
                "--skip",
                "as_many_services_as_an_edge_takes",
            ],
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Suite::Units => "unit test",
            Suite::Packets => "packet test",
        })
    }
}

/// Puts in every fault whose name is among `names`, or all; `packets` leaves out the unit tests.
pub(crate) fn run(names: &[String], packets: bool) -> Result<()> {
    if !workspace::is_root() {
        bail!("the packet tests make network namespaces and load BPF programs: run it as root");
    }
    let faults = chosen(names)?;
    let suites: &[Suite] = match packets {
        true => &[Suite::Packets],
        false => &[Suite::Units, Suite::Packets],
    };
    setup::run()?;
    let copy = Copy::new()?;
    for suite in suites {
        let what = format!("without a fault, every {suite}");
        if !suite.builds().is_empty() {
            narrate::step(&format!("{what}: build"), copy.cargo().args(suite.builds()))?;
        }
        narrate::step(&what, copy.cargo().args(suite.tests()))?;
    }
    let mut survived = Vec::new();
    for (place, fault) in faults.iter().enumerate() {
        print!("{:>3}/{} {:<38} ", place + 1, faults.len(), fault.name);
        stdout().flush()?;
        let started = Instant::now();
        let caught = copy
            .with(fault, || first_to_catch(&copy, suites))
            .with_context(|| fault.name)?;
        let seconds = started.elapsed().as_secs_f64();
        match caught {
            Some((suite, test)) => println!("{seconds:>4.0} s  caught by {suite} {test}"),
            None => {
                println!("{seconds:>4.0} s  SURVIVED");
                survived.push(fault.name);
            }
        }
    }
    println!(
        "{} mutants, {} caught, {} survived",
        faults.len(),
        faults.len() - survived.len(),
        survived.len()
    );
    ensure!(survived.is_empty(), "nobody caught {}", survived.join(", "));
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Fault>> {
    if names.is_empty() {
        return Ok(FAULTS.iter().collect());
    }
    let named = |name: &String| {
        FAULTS
            .iter()
            .find(|fault| fault.name == name)
            .with_context(|| format!("no mutant is called {name}: see xtask/src/mutants/faults.rs"))
    };
    names.iter().map(named).collect()
}

/// The first test that fails. A fault that does not build is no fault: nobody could make it.
fn first_to_catch(copy: &Copy, suites: &[Suite]) -> Result<Option<(Suite, String)>> {
    for suite in suites {
        if !suite.builds().is_empty() {
            let built = copy.cargo().args(suite.builds()).output()?;
            ensure!(built.status.success(), "does not build:\n{}", tail(&built));
        }
        let ran = copy.cargo().args(suite.tests()).output()?;
        if ran.status.success() {
            continue;
        }
        let output = String::from_utf8_lossy(&ran.stdout);
        let failed = first_failed(&output)
            .with_context(|| format!("no {suite} failed, but cargo did:\n{}", tail(&ran)))?;
        return Ok(Some((*suite, failed.to_owned())));
    }
    Ok(None)
}

/// The first name that libtest tells as failed.
fn first_failed(output: &str) -> Option<&str> {
    output
        .lines()
        .find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
}

fn tail(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_by_name() {
        let output = "test a::b ... ok\ntest a::c ... FAILED\ntest d ... FAILED\n";
        assert_eq!(first_failed(output), Some("a::c"));
        assert_eq!(first_failed("test a::b ... ok\n"), None);
    }

    #[test]
    fn a_mutant_that_there_is_not_is_refused() {
        let error = chosen(&["no-such".to_owned()]).err().unwrap();
        assert!(error.to_string().contains("no-such"), "{error}");
        assert_eq!(chosen(&[]).unwrap().len(), FAULTS.len());
    }
}
