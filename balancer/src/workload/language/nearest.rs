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

/// How many letters have to be put in, left out, changed, or swapped with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        rows[i][0] = i;
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
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
        assert_eq!(nearest("naem"), Some("name"));
        assert_eq!(nearest("selectors"), Some("selector"));
        assert_eq!(nearest("zone"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"name".repeat(100)), None);
    }
}
