//! Every promise has a test, every mark is above a test and names promises that there are, and the index says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Breach;
use crate::promises::{INDEX, SPECIFICATION, index, marks_of, promises};

/// `sources`: the text of each file, by its path from the workspace's root.
pub(super) fn check(
    specification: &str,
    written: &str,
    sources: &BTreeMap<PathBuf, String>,
) -> Vec<Breach> {
    let promises = promises(specification);
    let marks = marks_of(sources);
    let mut breaches = Vec::new();
    let mut breach = |file: &Path, line, what| {
        breaches.push(Breach {
            file: file.to_owned(),
            line,
            what,
        });
    };

    let mut kept = BTreeSet::new();
    let ids: BTreeSet<&str> = promises.iter().map(|promise| &promise.id[..]).collect();
    for (file, marks) in &marks {
        for mark in marks {
            if mark.test.is_none() {
                let what = "no test below this mark: put it above a test's attributes";
                breach(file, mark.line, what.to_owned());
                continue;
            }
            for id in &mark.ids {
                if !ids.contains(&id[..]) {
                    breach(
                        file,
                        mark.line,
                        format!("{SPECIFICATION} has no promise {id:?}"),
                    );
                }
                kept.insert(&id[..]);
            }
        }
    }
    let mut seen = BTreeSet::new();
    for promise in &promises {
        let (id, line) = (&promise.id[..], promise.line);
        if !seen.insert(id) {
            breach(
                Path::new(SPECIFICATION),
                line,
                format!("{id} is there twice"),
            );
        }
        if !kept.contains(id) {
            let what = format!("{id} has no test: put `// Promise: {id}` above one that keeps it");
            breach(Path::new(SPECIFICATION), line, what);
        }
    }
    if index(&promises, &marks) != written {
        let what = "not what the marks say: run `cargo xtask promises`";
        breach(Path::new(INDEX), 1, what.to_owned());
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a workspace with one promise, E1, whose source is `source`.
    fn breaches(source: &str) -> Vec<String> {
        let specification = "### At the edge\n\n**E1. So.**\n";
        let sources = BTreeMap::from([(PathBuf::from("a.rs"), source.to_owned())]);
        let written = index(&promises(specification), &marks_of(&sources));
        check(specification, &written, &sources)
            .iter()
            .map(Breach::to_string)
            .collect()
    }

    const TEST: &str = "#[test]\nfn so() {}\n";

    #[test]
    fn a_promise_with_its_test_is_fine() {
        assert_eq!(breaches(&format!("// Promise: E1\n{TEST}")), [""; 0]);
    }

    #[test]
    fn a_promise_without_a_test_is_found() {
        let expected =
            ["SPECIFICATION.md:3: E1 has no test: put `// Promise: E1` above one that keeps it"];
        assert_eq!(breaches(TEST), expected);
    }

    #[test]
    fn a_mark_of_no_promise_or_of_no_test_is_found() {
        assert_eq!(
            breaches(&format!("// Promise: E1, E2\n{TEST}")),
            ["a.rs:1: SPECIFICATION.md has no promise \"E2\""]
        );
        assert_eq!(
            breaches(&format!(
                "// Promise: E1\n{TEST}// Promise: E1\nfn no_test() {{}}\n"
            )),
            ["a.rs:4: no test below this mark: put it above a test's attributes"]
        );
    }

    #[test]
    fn an_index_that_is_out_of_date_is_found() {
        let sources = BTreeMap::from([(PathBuf::from("a.rs"), format!("// Promise: E1\n{TEST}"))]);
        let found = check("**E1. So.**\n", "", &sources);
        assert_eq!(
            found.iter().map(Breach::to_string).collect::<Vec<_>>(),
            ["docs/promises.md:1: not what the marks say: run `cargo xtask promises`"]
        );
    }

    #[test]
    fn an_id_that_is_there_twice_is_found() {
        let twice = "**E1. So.**\n\n**E1. And so.**\n";
        let found = check(twice, "", &BTreeMap::new());
        assert!(
            found
                .iter()
                .any(|breach| breach.line == 3 && breach.what == "E1 is there twice")
        );
    }
}
