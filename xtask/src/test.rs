//! `cargo xtask test`: every test, streamed, and one count at the end. `cargo xtask test story`: those that take minutes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::count::Count;
use crate::{setup, workspace};

/// The tests that `cargo test` leaves out, by the name that asks for them.
const STORY: &str = "story";

/// What `cargo test` is given: all tests, or those that are asked for by name.
fn selection(arguments: &[String]) -> Vec<&str> {
    match arguments.split_first() {
        Some((first, rest)) if first == STORY => {
            // No package is named: its dependencies would be built once more, with other features.
            let of_story = ["--test", STORY];
            of_story
                .into_iter()
                .chain(rest.iter().map(String::as_str))
                .collect()
        }
        _ => arguments.iter().map(String::as_str).collect(),
    }
}

/// Runs the tests of the default members; `arguments` go to `cargo test`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    run_with(arguments, &[])
}

/// The same with variables of the environment.
pub(crate) fn run_with(arguments: &[String], variables: &[(&str, &OsStr)]) -> Result<()> {
    setup::run()?;
    let tools: Vec<PathBuf> = setup::promtool::find_or_unpack()?
        .into_iter()
        .chain(setup::engine::find_or_unpack()?)
        .collect();
    if !workspace::is_root() {
        eprintln!(
            "test: you are not root: the network tests will fail, \
             because only root makes network namespaces and loads BPF programs"
        );
    }
    // The integration tests start lbd, lbctl and the testbed's own programs.
    let built = workspace::cargo()
        .arg("build")
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("the build failed");
    }
    let mut test = workspace::cargo();
    test.env("PATH", setup::path_with(&tools)?);
    test.envs(variables.iter().copied());
    let mut tests = test
        .args(["test", "--no-fail-fast"])
        .args(selection(arguments))
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut count = Count::default();
    for line in BufReader::new(tests.stdout.take().context("no stdout")?).lines() {
        let line = line?;
        println!("{line}");
        count.read(&line);
    }
    let passed = tests.wait()?.success();
    println!("{}", count.summary());
    if !passed || count.is_failure() {
        bail!("not every test passed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_is_asked_for_by_name() {
        let selected = |words: &str| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            selection(&words).join(" ")
        };
        assert_eq!(selected("story -- told"), "--test story -- told");
        assert_eq!(selected("balancing story"), "balancing story");
    }
}
