//! The known word that was probably meant.

use strsim::osa_distance;

/// The nearest of the known words, if it is near enough to be a slip of the pen.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Words of the language are short; a long one is none of them.
    if word.len() > 64 {
        return None;
    }
    let most = (word.chars().count() / 3).clamp(1, 3);
    known
        .map(|candidate| (osa_distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
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
