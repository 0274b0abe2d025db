//! `cargo xtask test`: every test, streamed, and one count at the end. `cargo xtask test story`: those that take minutes.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{setup, workspace};

/// The tests that `cargo test` leaves out, by the name that asks for them.
const STORY: &str = "story";

/// What `cargo test` is given: all tests, or those that are asked for by name.
fn selection(arguments: &[String]) -> Vec<&str> {
    match arguments.split_first() {
        Some((first, rest)) if first == STORY => {
            let of_story = ["--package", "testbed", "--test", STORY];
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
    if !passed || count.failed > 0 {
        bail!("not every test passed");
    }
    Ok(())
}

/// The sums of libtest's `test result:` lines.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// A runner that announced tests and has not told their result.
    unfinished: usize,
}

impl Count {
    fn read(&mut self, line: &str) {
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            self.unfinished += 1;
        }
        let Some(results) = line.strip_prefix("test result: ") else {
            return;
        };
        self.unfinished = self.unfinished.saturating_sub(1);
        self.passed += number_before(results, " passed");
        self.failed += number_before(results, " failed");
        self.ignored += number_before(results, " ignored");
    }

    /// A runner that died took at least one test with it.
    fn summary(&self) -> String {
        let failed = self.failed + self.unfinished;
        let mut line = format!("{} passed, {failed} failed", self.passed);
        if self.ignored > 0 {
            line.push_str(&format!(", {} skipped", self.ignored));
        }
        line
    }
}

fn number_before(results: &str, what: &str) -> usize {
    results
        .split(what)
        .next()
        .and_then(|before| before.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(output: &str) -> Count {
        let mut count = Count::default();
        output.lines().for_each(|line| count.read(line));
        count
    }

    #[test]
    fn the_story_is_asked_for_by_name() {
        let selected = |words: &str| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            selection(&words).join(" ")
        };
        assert_eq!(
            selected("story -- told"),
            "--package testbed --test story -- told"
        );
        assert_eq!(selected("balancing story"), "balancing story");
    }

    #[test]
    fn the_results_of_all_runners_are_summed() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
            running 12 tests\n\
            test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out\n";
        assert_eq!(count(output).summary(), "13 passed, 2 failed");
    }

    #[test]
    fn skipped_tests_are_told() {
        let output = "test result: ok. 1 passed; 0 failed; 4 ignored; 0 measured\n";
        assert_eq!(count(output).summary(), "1 passed, 0 failed, 4 skipped");
    }

    #[test]
    fn a_runner_that_died_counts_as_a_failure() {
        let output = "running 3 tests\ntest one ... ok\n\
            running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert_eq!(count(output).summary(), "1 passed, 1 failed");
    }
}
