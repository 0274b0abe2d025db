//! The text of a file: parsed, with its places.

use std::ops::Range;

use hcl_edit::{expr::Expression, parser, structure::Body};

use super::{findings::Findings, quotes};
use crate::workload::Place;

/// A file that is read: what people call it, and its text.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// Its name in errors.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// A file whose blocks and attributes are known.
pub(super) struct Source {
    lines: Lines,
    pub(super) body: Body,
}

/// A text whose offsets have places.
struct Lines {
    name: String,
    text: String,
    /// The offset of the first byte of each line.
    starts: Vec<usize>,
}

impl Source {
    /// The blocks and attributes of a file. Typographic quotes are read as straight ones, with warnings. `None` if
    /// it is not in the language, which is among the errors then.
    pub(super) fn parse(file: SourceFile<'_>, findings: &Findings) -> Option<Source> {
        let (text, replaced) = quotes::straighten(file.text);
        let lines = Lines::new(file.name, text);
        for quote in replaced {
            let place = lines.place(quote.offset);
            findings.warning(&place, quote.warning());
        }
        match parser::parse_body(&lines.text) {
            Ok(body) => Some(Source { lines, body }),
            Err(error) => {
                lines.refuse(&error, findings);
                None
            }
        }
    }

    /// One expression alone, as the value of a flag has it.
    pub(super) fn parse_expression(
        file: SourceFile<'_>,
        findings: &Findings,
    ) -> Option<(Source, Expression)> {
        let lines = Lines::new(file.name, file.text.to_owned());
        match parser::parse_expr(&lines.text) {
            Ok(expression) => {
                let body = Body::new();
                Some((Source { lines, body }, expression))
            }
            Err(error) => {
                lines.refuse(&error, findings);
                None
            }
        }
    }

    /// The place of a span's first character; the file's first if it has none.
    pub(super) fn place(&self, span: Option<Range<usize>>) -> Place {
        self.lines.place(span.map_or(0, |span| span.start))
    }
}

impl Lines {
    fn new(name: &str, text: String) -> Lines {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = [0].into_iter().chain(ends.map(|(offset, _)| offset + 1));
        Lines {
            name: name.to_owned(),
            starts: starts.collect(),
            text,
        }
    }

    /// Says what the parser found.
    fn refuse(&self, error: &parser::Error, findings: &Findings) {
        let line = error.location().line();
        let text = error.line().trim_end();
        let is_last = self
            .text
            .lines()
            .skip(line)
            .all(|line| line.trim().is_empty());
        // At the end of the text the parser counts the last line's end as a column.
        let past = error.location().column() > text.chars().count();
        let place = Place {
            file: self.name.clone(),
            line,
            column: match past {
                true => text.chars().count() + 1,
                false => error.location().column(),
            },
        };
        let problem = match past && is_last {
            true => "the text ends too early".to_owned(),
            false => format!("cannot be read: {}", text.trim_start()),
        };
        let expected = match error.message().split_once("expected ") {
            Some((_, expected)) => expected.replace("eof", "the end of the file"),
            None => "Terraform's language".to_owned(),
        };
        findings.error(&place, "", problem, expected);
    }

    fn place(&self, offset: usize) -> Place {
        // The first line starts at 0, so there is always one before.
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        Place {
            file: self.name.clone(),
            line,
            column: before.chars().count() + 1,
        }
    }
}
