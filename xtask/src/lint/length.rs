//! A file that is too long has more than one subject.

use super::Breach;
use super::source::Source;

const MOST_LINES: usize = 400;

pub(super) fn check(source: &Source) -> Option<Breach> {
    let lines = source.code.lines().count();
    (lines > MOST_LINES).then(|| Breach {
        file: source.file.clone(),
        line: lines,
        what: format!("{lines} lines, at most {MOST_LINES}: split it by subject"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_of_401_lines_is_too_long() {
        let of = |lines: usize| Source::new(Path::new("x.rs"), &"// line\n".repeat(lines));
        assert_eq!(check(&of(400)), None);
        assert!(check(&of(401)).is_some());
    }
}
