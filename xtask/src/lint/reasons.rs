//! The operators' table of reasons says what the code says: number, name, verdict and meaning.

use std::path::Path;

use super::Breach;

/// Where the reasons are.
pub(super) const REASONS: &str = "balancer-common/src/reason.rs";
/// Where operators read of them.
pub(super) const TABLE: &str = "docs/reference.md";

/// `code`: the text of [`REASONS`]; `table`: that of [`TABLE`].
pub(super) fn check(code: &str, table: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |file: &str, line: usize, what: String| {
        breaches.push(Breach {
            file: Path::new(file).to_owned(),
            line,
            what,
        });
    };
    let mut rows: Vec<(usize, &str)> = (1..)
        .zip(table.lines())
        .filter(|(_, row)| row.matches(" | ").count() == 4 && is_numbered(row))
        .collect();
    for (line, reason) in reasons(code) {
        let row = rows.iter().position(|(_, row)| row.starts_with(&reason));
        match row {
            Some(index) => drop(rows.remove(index)),
            None => breach(REASONS, line, format!("{TABLE} has no row `{reason}...`")),
        }
    }
    for (line, row) in rows {
        breach(TABLE, line, format!("{REASONS} does not say this: `{row}`"));
    }
    breaches
}

fn is_numbered(row: &str) -> bool {
    row.strip_prefix("| ")
        .is_some_and(|cells| cells.starts_with(is_digit))
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// What the row of each reason begins with, and the reason's line.
fn reasons(code: &str) -> Vec<(usize, String)> {
    let mut meaning = String::new();
    let mut reasons = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        let text = text.trim();
        if let Some(more) = text.strip_prefix("///") {
            meaning.push_str(more);
            continue;
        }
        // NotIp = 0, "not_ip", Pass;
        if let Some((_, fields)) = text.split_once(" = ")
            && let [number, name, verdict] = fields.split(", ").collect::<Vec<_>>()[..]
            && number.chars().all(is_digit)
        {
            let name = name.trim_matches('"');
            let verdict = verdict.trim_end_matches(';').to_lowercase();
            let row = format!("| {number} | `{name}` | {verdict} | {} |", meaning.trim());
            reasons.push((line, row));
        }
        meaning.clear();
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "/// Why.\npub enum X {}\nreasons! {\n    /// No IP.\n    NotIp = 0, \"not_ip\", Pass;\n}\n";

    fn breaches(table: &str) -> Vec<String> {
        check(CODE, table).iter().map(Breach::to_string).collect()
    }

    #[test]
    fn a_table_that_says_the_same_is_fine() {
        let table = "| no. | name | verdict | meaning | what to do |\n|---|---|---|---|---|\n\
                     | 0 | `not_ip` | pass | No IP. | nothing |\n";
        assert_eq!(breaches(table), [""; 0]);
    }

    #[test]
    fn a_table_that_says_something_else_is_found() {
        let missing = "balancer-common/src/reason.rs:5: docs/reference.md has no row `| 0 | `not_ip` | pass | No IP. |...`";
        assert_eq!(breaches(""), [missing]);
        assert_eq!(
            breaches("\n| 0 | `not_ip` | drop | No IP. | nothing |\n"),
            [
                missing,
                "docs/reference.md:2: balancer-common/src/reason.rs does not say this: `| 0 | `not_ip` | drop | No IP. | nothing |`"
            ]
        );
    }
}
