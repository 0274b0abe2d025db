//! The known word that was probably meant.

/// The nearest of the known words, if it is near enough to be a slip of the pen.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Words of the language are short; a long one is none of them.
    if word.len() > 64 {
        return None;
    }
    let most = (word.chars().count() / 3).clamp(1, 3);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be put in, left out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found() {
        let known = ["min_replicas", "max_replicas", "name", "selector"];
        let nearest = |word| nearest(word, known.into_iter());
        assert_eq!(nearest("min_replica"), Some("min_replicas"));
        assert_eq!(nearest("nam"), Some("name"));
        assert_eq!(nearest("selectors"), Some("selector"));
        assert_eq!(nearest("zone"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"name".repeat(100)), None);
    }
}
