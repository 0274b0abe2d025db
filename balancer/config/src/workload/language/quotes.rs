//! Typographic quotes and spaces, as listings on the web have them, made straight.
//!
//! Each is replaced by one character, so that lines and columns stay what they are in the file.

/// A character that was replaced.
pub(super) struct Replaced {
    /// Where its replacement begins, in bytes of the new text.
    pub(super) offset: usize,
    was: char,
}

impl Replaced {
    pub(super) fn warning(&self) -> String {
        match self.was {
            '\u{a0}' => "a no-break space is read as a space".to_owned(),
            '\u{feff}' => "a byte order mark is read as a space".to_owned(),
            was => format!("the typographic quote {was} is read as \""),
        }
    }
}

/// What the text is in, innermost last.
enum Inside {
    /// Blocks and expressions; within an interpolation, with the number of its open braces.
    Code { braces: usize },
    /// A string that a quote of this kind ends.
    String { end: Quote },
}

#[derive(Clone, Copy, PartialEq)]
enum Quote {
    Straight,
    Double,
    Single,
}

/// The text with straight quotes, and what was replaced. Strings in straight quotes, heredocs and comments are left
/// as they are.
pub(super) fn straighten(text: &str) -> (String, Vec<Replaced>) {
    let mut straight = String::with_capacity(text.len());
    let mut replaced = Vec::new();
    let mut inside = vec![Inside::Code { braces: 0 }];
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let quote = quote(character);
        let mut taken = character.len_utf8();
        let mut put = None;
        match inside.last_mut() {
            Some(Inside::String { end }) => {
                if rest.starts_with("$${") || rest.starts_with("%%{") {
                    taken = 3;
                } else if rest.starts_with("${") || rest.starts_with("%{") {
                    taken = 2;
                    inside.push(Inside::Code { braces: 1 });
                } else if character == '\\' {
                    taken += rest[1..].chars().next().map_or(0, char::len_utf8);
                } else if quote.is_some_and(|quote| quote == Quote::Straight || quote == *end) {
                    // Within straight quotes a typographic one is text.
                    put = (character != '"').then_some('"');
                    inside.pop();
                } else if character == '\n' {
                    // No string goes on there.
                    inside.pop();
                }
            }
            Some(Inside::Code { braces }) => match character {
                '#' => taken = line_length(rest),
                '/' if rest.starts_with("//") => taken = line_length(rest),
                '/' if rest.starts_with("/*") => {
                    taken = rest.find("*/").map_or(rest.len(), |end| end + 2);
                }
                '<' if rest.starts_with("<<") => taken = heredoc_length(rest),
                '{' if *braces > 0 => *braces += 1,
                '}' if *braces > 0 => {
                    *braces -= 1;
                    if *braces == 0 {
                        inside.pop();
                    }
                }
                '\u{a0}' | '\u{feff}' => put = Some(' '),
                _ => {
                    if let Some(end) = quote {
                        put = (character != '"').then_some('"');
                        inside.push(Inside::String { end });
                    }
                }
            },
            None => {}
        }
        if let Some(put) = put {
            replaced.push(Replaced {
                offset: straight.len(),
                was: character,
            });
            straight.push(put);
        } else {
            straight.push_str(&rest[..taken]);
        }
        rest = &rest[taken..];
    }
    (straight, replaced)
}

fn quote(character: char) -> Option<Quote> {
    match character {
        '"' => Some(Quote::Straight),
        '“' | '”' | '„' | '‟' => Some(Quote::Double),
        '‘' | '’' | '‚' | '‛' => Some(Quote::Single),
        _ => None,
    }
}

/// To the end of the line, without it.
fn line_length(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// From `<<` to the line that ends the heredoc, with it; two bytes if it is none.
fn heredoc_length(text: &str) -> usize {
    let first = &text[..line_length(text)];
    let delimiter = first[2..].trim_start_matches('-').trim_end();
    if delimiter.is_empty()
        || !delimiter
            .chars()
            .all(|c| c.is_alphanumeric() || "_-".contains(c))
    {
        return 2;
    }
    let mut length = first.len();
    while length < text.len() {
        let line = &text[length + 1..];
        let line = &line[..line_length(line)];
        length += 1 + line.len();
        if line.trim() == delimiter {
            break;
        }
    }
    length.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn straight(text: &str, expected: &str, quotes: usize) {
        let (straight, replaced) = straighten(text);
        assert_eq!(straight, expected);
        assert_eq!(replaced.len(), quotes, "{text}");
    }

    #[test]
    fn quotes_of_every_kind_become_straight() {
        straight("name = “app”", "name = \"app\"", 2);
        straight("name = „app“", "name = \"app\"", 2);
        straight("name = ‘app’", "name = \"app\"", 2);
        // One that is not closed goes no further than its line.
        straight("a = “b\nc = \"x “y” z\"", "a = \"b\nc = \"x “y” z\"", 1);
        // As word processors break them.
        straight("name = “app\"", "name = \"app\"", 1);
        straight("name = ”app”", "name = \"app\"", 2);
        straight(
            "“a” = “${var.b[“c”]}-‘d’”",
            "\"a\" = \"${var.b[\"c\"]}-‘d’\"",
            6,
        );
    }

    #[test]
    fn what_is_text_stays() {
        for text in [
            "name = \"the “app”\"",
            "name = \"\\\"“\"",
            "name = \"$${“}\"",
            "# the “app”\n// “\n/* “ */ name = 1",
            "a = <<EOF\n“\nEOF\n",
            "a = <<-EOF\n “\n EOF\n",
        ] {
            straight(text, text, 0);
        }
        straight(
            "a = <<EOF\n“\nEOF\nb = “c”",
            "a = <<EOF\n“\nEOF\nb = \"c\"",
            2,
        );
        straight("a = \"${“b”}“\"", "a = \"${\"b\"}“\"", 2);
    }

    #[test]
    fn a_no_break_space_becomes_a_space() {
        straight("name\u{a0}= \"a\u{a0}b\"", "name = \"a\u{a0}b\"", 1);
    }
}
