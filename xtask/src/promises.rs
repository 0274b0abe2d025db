//! Which tests keep which promise, and `cargo xtask promises`, which writes that down.
//!
//! A promise is a paragraph of SPECIFICATION.md that begins with its id, `**E3. An edge balances.**`. A test names
//! the promises that it keeps in a comment above its attributes, or above its name in a macro's list of tests:
//! `// Promise: E3, K1`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

pub(crate) const SPECIFICATION: &str = "SPECIFICATION.md";
pub(crate) const INDEX: &str = "docs/promises.md";

const MARK: &str = "// Promise: ";

/// One promise of the specification.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// A letter for its section and a number: `E3`.
    pub(crate) id: String,
    /// What stands in bold behind the id.
    pub(crate) title: String,
    /// The heading that it stands below.
    pub(crate) section: String,
    /// Counted from one.
    pub(crate) line: usize,
}

/// One comment that names promises.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The ids that it names.
    pub(crate) ids: Vec<String>,
    /// The test below it; `None` if there is none.
    pub(crate) test: Option<String>,
    /// Counted from one.
    pub(crate) line: usize,
}

/// Writes the index.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let specification = fs::read_to_string(root.join(SPECIFICATION))
        .with_context(|| format!("cannot read {SPECIFICATION}"))?;
    let promises = promises(&specification);
    if promises.is_empty() {
        bail!("{SPECIFICATION} has no promise such as `**E3. An edge balances.**`");
    }
    let index = index(&promises, &marks_of(&workspace::sources()?));
    fs::write(root.join(INDEX), index).with_context(|| format!("cannot write {INDEX}"))?;
    eprintln!("{INDEX}: {} promises", promises.len());
    Ok(())
}

/// The marks of each file that has any.
pub(crate) fn marks_of(sources: &BTreeMap<PathBuf, String>) -> BTreeMap<&Path, Vec<Mark>> {
    sources
        .iter()
        .map(|(file, text)| (file.as_path(), marks(text)))
        .filter(|(_, marks)| !marks.is_empty())
        .collect()
}

/// Every promise, in the order of the specification.
pub(crate) fn promises(specification: &str) -> Vec<Promise> {
    let mut section = String::new();
    let mut promises = Vec::new();
    let lines: Vec<&str> = specification.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if let Some(heading) = line.strip_prefix("### ") {
            section = heading.to_owned();
        }
        let Some((id, _)) = line
            .strip_prefix("**")
            .and_then(|bold| bold.split_once(". "))
        else {
            continue;
        };
        if !is_id(id) {
            continue;
        }
        // The bold text may go on in the next lines.
        let paragraph: Vec<&str> = lines[index..]
            .iter()
            .take_while(|line| !line.is_empty())
            .copied()
            .collect();
        let paragraph = paragraph.join(" ");
        let title = &paragraph["**".len() + id.len() + ". ".len()..];
        promises.push(Promise {
            id: id.to_owned(),
            title: title.split("**").next().unwrap_or(title).to_owned(),
            section: section.clone(),
            line: index + 1,
        });
    }
    promises
}

/// `E3`: a capital letter and a number.
fn is_id(word: &str) -> bool {
    let number = word.strip_prefix(|c: char| c.is_ascii_uppercase());
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

/// Every mark of a source file.
fn marks(text: &str) -> Vec<Mark> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut marks = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(ids) = line.strip_prefix(MARK) {
            marks.push(Mark {
                ids: ids.split(", ").map(str::to_owned).collect(),
                test: test_below(&lines[index + 1..]),
                line: index + 1,
            });
        }
    }
    marks
}

/// The name of the test that the lines begin with, behind its attributes and comments.
fn test_below(lines: &[&str]) -> Option<String> {
    let mut has_attribute = false;
    for line in lines {
        if let Some(attribute) = line.strip_prefix("#[") {
            let path = attribute.split([']', '(']).next().unwrap_or(attribute);
            has_attribute |= path.rsplit("::").next() == Some("test");
        } else if !line.starts_with("//") {
            let (name, is_function) = match line.split_once("fn ") {
                Some((_, rest)) => (rest.split(['(', '<']).next().unwrap_or(rest), true),
                None => (line.strip_suffix(',')?, false),
            };
            let is_name = name
                .chars()
                .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
            return (is_name && has_attribute == is_function).then(|| name.to_owned());
        }
    }
    None
}

/// The text of the index.
pub(crate) fn index(promises: &[Promise], marks: &BTreeMap<&Path, Vec<Mark>>) -> String {
    let mut index = format!(
        "# Promises and their tests\n\n\
         `cargo xtask promises` writes this page from the comments `{MARK}ID` above the tests. What each promise says \
         in full\nis in [{SPECIFICATION}](../{SPECIFICATION}).\n"
    );
    let mut section = "";
    for promise in promises {
        if promise.section != section {
            section = &promise.section;
            let _ = write!(index, "\n## {section}\n");
        }
        let _ = write!(index, "\n**{}. {}**\n\n", promise.id, promise.title);
        for (file, marks) in marks {
            let tests: Vec<String> = marks
                .iter()
                .filter(|mark| mark.ids.contains(&promise.id))
                .filter_map(|mark| Some(format!("`{}`", mark.test.as_ref()?)))
                .collect();
            if !tests.is_empty() {
                let _ = writeln!(index, "- `{}`: {}", file.display(), tests.join(", "));
            }
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_has_an_id_a_title_and_a_section() {
        let specification = "# S\n\n## Promised\n\n### At the edge\n\n**E1. It\nis so.** And\n**more**.\n\n\
                             **Note. No promise.**\n";
        assert_eq!(
            promises(specification),
            [Promise {
                id: "E1".to_owned(),
                title: "It is so.".to_owned(),
                section: "At the edge".to_owned(),
                line: 7,
            }]
        );
    }

    #[test]
    fn a_mark_is_of_the_test_below_it() {
        let of = |lines: &[&str]| {
            let text = [&["    // Promise: E1, K2"], lines].concat().join("\n");
            let [mark] = &marks(&text)[..] else {
                panic!("one mark")
            };
            assert_eq!(mark.ids, ["E1", "K2"]);
            mark.test.clone()
        };
        for function in [
            &["#[test]", "fn it_is_so() {"][..],
            &[
                "#[test]",
                "#[ignore = \"why\"]",
                "fn it_is_so() -> Result<()> {",
            ],
            &[
                "/// Why.",
                "#[tokio::test(start_paused = true)]",
                "async fn it_is_so() {",
            ],
            &["    it_is_so,"],
        ] {
            assert_eq!(of(function).as_deref(), Some("it_is_so"), "{function:?}");
        }
        for other in [
            &["fn it_is_so() {"][..],
            &["#[inline]", "fn it_is_so() {"],
            &["", "#[test]", "fn it_is_so() {"],
            &["struct Test;"],
            &[],
        ] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_index_lists_tests_by_promise_and_file() {
        let source = |tests: &[&str]| {
            let test = |name: &&str| format!("// Promise: E1\n#[test]\nfn {name}() {{}}\n");
            tests.iter().map(test).collect::<String>()
        };
        let sources = BTreeMap::from([
            (PathBuf::from("b.rs"), source(&["three"])),
            (PathBuf::from("a.rs"), source(&["one", "two"])),
        ]);
        let index = index(
            &promises("### At the edge\n\n**E1. So.**\n"),
            &marks_of(&sources),
        );
        assert!(
            index.ends_with(
                "\n## At the edge\n\n**E1. So.**\n\n- `a.rs`: `one`, `two`\n- `b.rs`: `three`\n"
            ),
            "{index}"
        );
    }
}
