//! Every promise of SPECIFICATION.md names a test that there is, in the file that it says.
//!
//! A promise is a numbered item; a test is a name in backticks, and the file in parentheses behind
//! some of them holds them all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Breach;

/// `sources`: the text of each file, by its path from the workspace's root.
pub(super) fn check(
    file: &Path,
    specification: &str,
    sources: &BTreeMap<PathBuf, String>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |line, what| {
        breaches.push(Breach {
            file: file.to_owned(),
            line,
            what,
        });
    };
    // The line that a promise begins at, until it has named a test.
    let mut unnamed = None;
    let mut tests: Vec<(usize, &str)> = Vec::new();
    for (line, text) in (1..).zip(specification.lines()) {
        if is_promise(text) || text.starts_with("## ") {
            if let Some(line) = unnamed.take() {
                breach(line, "this promise names no test".to_owned());
            }
            unnamed = is_promise(text).then_some(line);
            tests.clear();
        }
        for word in text.split('`').skip(1).step_by(2) {
            if is_test(word) {
                tests.push((line, word));
            } else if word.ends_with(".rs") && !tests.is_empty() {
                let source = sources.get(Path::new(word));
                if source.is_none() {
                    breach(line, format!("there is no {word}"));
                }
                for (line, test) in tests.drain(..) {
                    unnamed = None;
                    if source.is_some_and(|source| !source.contains(&format!("fn {test}("))) {
                        breach(line, format!("{word} has no test {test}"));
                    }
                }
            }
        }
    }
    if let Some(line) = unnamed {
        breach(line, "this promise names no test".to_owned());
    }
    breaches
}

/// `12. **Text`
fn is_promise(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    number.len() < line.len() && number.starts_with(". ")
}

/// Tests read as sentences: at least three words.
fn is_test(word: &str) -> bool {
    word.matches('_').count() >= 2
        && word
            .chars()
            .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(specification: &str) -> Vec<String> {
        let source = "fn a_test_there_is() {}".to_owned();
        let sources = BTreeMap::from([(PathBuf::from("a/b.rs"), source)]);
        check(Path::new("S.md"), specification, &sources)
            .iter()
            .map(Breach::to_string)
            .collect()
    }

    #[test]
    fn a_promise_with_its_test_is_fine() {
        assert!(breaches("1. **Fine**\n   `a_test_there_is` (`a/b.rs`)\n").is_empty());
    }

    #[test]
    fn a_promise_without_a_test_is_found() {
        let expected = ["S.md:1: this promise names no test"];
        assert_eq!(breaches("1. **Hope**\n\n## Not promised\n"), expected);
        assert_eq!(
            breaches("1. **Hope**\n2. **Fine** `a_test_there_is` (`a/b.rs`)"),
            expected
        );
    }

    #[test]
    fn a_test_or_a_file_that_there_is_not_is_found() {
        assert_eq!(
            breaches("1. **Gone**\n   `a_test_that_went` (`a/b.rs`)"),
            ["S.md:2: a/b.rs has no test a_test_that_went"]
        );
        assert_eq!(
            breaches("1. **Gone** `a_test_there_is` (`a/c.rs`)"),
            ["S.md:1: there is no a/c.rs"]
        );
    }
}
