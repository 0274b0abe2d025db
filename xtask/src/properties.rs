//! `cargo xtask properties`: every property of the unit tests on as many random cases as one likes.
//!
//! `cargo test` draws 256 cases of each from the seed in `.cargo/config.toml`, so that it passes or fails every time
//! alike. Here the seed is another one each time, and said.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::count::Count;
use crate::{setup, workspace};

/// What a block of properties begins with, and the end of the line before its own.
const BLOCK: &str = "proptest! {";

/// Draws `cases` of each property whose name contains one of `names`, or of all; from `seed`, or from another one.
pub(crate) fn run(cases: u32, seed: Option<u64>, names: &[String]) -> Result<()> {
    ensure!(cases > 0, "no cases: say how many, like --cases 20000");
    let mut properties = BTreeSet::new();
    for text in workspace::sources()?.values() {
        properties.extend(named(text));
    }
    if !names.is_empty() {
        properties.retain(|property| names.iter().any(|name| property.contains(name)));
    }
    ensure!(
        !properties.is_empty(),
        "no property has a name like {}",
        names.join(", ")
    );
    setup::run()?;
    let seed = seed.unwrap_or_else(another_seed);
    println!(
        "{} properties, {cases} cases each, seed {seed}",
        properties.len()
    );
    let mut tests = workspace::cargo()
        .args(["test", "--no-fail-fast", "--lib", "--"])
        .args(&properties)
        .env("PROPTEST_CASES", cases.to_string())
        .env("PROPTEST_RNG_SEED", seed.to_string())
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
    println!("{} of {cases} cases each, seed {seed}", count.summary());
    ensure!(
        passed && !count.is_failure(),
        "not every property held: `cargo xtask properties --cases {cases} --seed {seed}` says so again. \
         Make the case that it shrank to a test of its own"
    );
    ensure!(
        count.passed() >= properties.len(),
        "only {} of {} properties ran",
        count.passed(),
        properties.len()
    );
    Ok(())
}

/// The names of the properties in a source file.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.ends_with(BLOCK) {
            continue;
        }
        let margin = line.len() - line.trim_start().len();
        let end = format!("{}}}", &line[..margin]);
        let block = lines.by_ref().take_while(|line| *line != end);
        names.extend(block.filter_map(|line| {
            let (name, _) = line.trim_start().strip_prefix("fn ")?.split_once('(')?;
            Some(name.to_owned())
        }));
    }
    names
}

/// One that people can type.
fn another_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::from(now.unwrap_or_default().subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_known_by_their_blocks() {
        let text = "fn no_property() {}\n\
            proptest! {\n    #[test]\n    fn one(a: u8) {\n        let x = |y| y;\n    }\n\n    fn two(\n    ) {}\n}\n\
            #[test]\nfn a_case() {}\n\
            mod tests {\n    proptest::proptest! {\n        fn three(b in 0..1) {\n        }\n    }\n    fn helper() {}\n}\n";
        assert_eq!(named(text), ["one", "two", "three"]);
    }
}
