//! A source file as its code alone: comments and literals blanked, lines kept.

use std::path::{Path, PathBuf};

/// One file of the workspace.
pub(super) struct Source {
    /// From the workspace's root.
    pub(super) file: PathBuf,
    /// The text with comments, strings and characters blanked; as many lines as the file.
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(file: &Path, text: &str) -> Source {
        Source {
            file: file.to_path_buf(),
            code: code_of(text),
        }
    }

    /// The words (identifiers and keywords) with their lines, counted from one.
    pub(super) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().flat_map(|(index, line)| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !word.is_empty())
                .map(move |word| (index + 1, word))
        })
    }

    /// The crate below `balancer`, and the path as modules of it: `balancer/api/src/server/reads.rs` is
    /// `("api", ["server", "reads"])`. A crate's root is an empty path.
    pub(super) fn module(&self) -> Option<(&str, Vec<String>)> {
        let mut parts = self.file.strip_prefix("balancer").ok()?.iter();
        let name = parts.next()?.to_str()?;
        if parts.next()? != "src" {
            return None;
        }
        let mut modules: Vec<String> = parts
            .map(|part| Path::new(part).with_extension("").display().to_string())
            .collect();
        if modules
            .last()
            .is_some_and(|last| last == "mod" || last == "lib")
        {
            modules.pop();
        }
        Some((name, modules))
    }
}

fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let literal = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest, &code) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(
            rest[..literal]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        rest = &rest[literal..];
    }
    code
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a raw string that begins here, if one does.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    let inside_a_word = before.ends_with(|c: char| c.is_alphanumeric() && c != 'b' && c != 'c');
    let hashes = text
        .strip_prefix('r')?
        .chars()
        .take_while(|c| *c == '#')
        .count();
    let start = 1 + hashes;
    if inside_a_word || !text[start..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = start + 1;
    Some(
        text[body..]
            .find(&end)
            .map_or(text.len(), |at| body + at + end.len()),
    )
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, not a lifetime: a quote follows the next character, or an escape begins.
fn is_character(text: &str) -> bool {
    let mut next = text.chars().skip(1);
    match next.next() {
        Some('\\') => true,
        Some(_) => next.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let source = Source::new(Path::new("balancer/src/x.rs"), text);
        source
            .words()
            .map(|(line, word)| format!("{line}:{word}"))
            .collect()
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = "a // unsafe\n/* unsafe /* x */ unsafe */ b\nc(\"unsafe \\\" unsafe\", 'u', r#\"un\"safe\"#)";
        assert_eq!(words(text), ["1:a", "2:b", "3:c"]);
    }

    #[test]
    fn a_lifetime_is_not_a_literal() {
        assert_eq!(
            words("fn f<'a>(x: &'a str) {}"),
            ["1:fn", "1:f", "1:a", "1:x", "1:a", "1:str"]
        );
    }

    #[test]
    fn lines_survive_blanking() {
        assert_eq!(words("/*\n\n*/ a\n\"\n\" b"), ["3:a", "5:b"]);
    }

    #[test]
    fn a_module_is_named_by_its_path() {
        for (path, name, modules) in [
            ("balancer/api/src/server/mod.rs", "api", &["server"][..]),
            (
                "balancer/api/src/server/reads.rs",
                "api",
                &["server", "reads"],
            ),
            ("balancer/api/src/lib.rs", "api", &[]),
        ] {
            let source = Source::new(Path::new(path), "");
            assert_eq!(
                source.module().unwrap(),
                (
                    name,
                    modules.iter().map(|part| (*part).to_owned()).collect()
                )
            );
        }
        for path in [
            "xtask/src/main.rs",
            "balancer/src/main.rs",
            "balancer/edge/build.rs",
        ] {
            assert_eq!(Source::new(Path::new(path), "").module(), None);
        }
    }
}
