//! A set of backends that is asked for every slot of a table.

use super::BackendId;

/// Backends by number: one bit each, so that a question takes the same few instructions whatever the set's size.
#[derive(Clone, Debug, Default)]
pub struct IdSet(Vec<u64>);

impl IdSet {
    /// Whether this backend is in it.
    pub fn contains(&self, id: BackendId) -> bool {
        let (word, bit) = place(id);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

impl FromIterator<BackendId> for IdSet {
    fn from_iter<I: IntoIterator<Item = BackendId>>(ids: I) -> Self {
        let mut words = Vec::new();
        for id in ids {
            let (word, bit) = place(id);
            if word >= words.len() {
                words.resize(word + 1, 0);
            }
            words[word] |= bit;
        }
        Self(words)
    }
}

fn place(id: BackendId) -> (usize, u64) {
    (usize::from(id.0) / 64, 1 << (id.0 % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_has_what_was_put_in(ids in prop::collection::btree_set(any::<u16>(), 0..200), other: u16) {
            let set: IdSet = ids.iter().copied().map(BackendId).collect();
            let asked: BTreeSet<u16> = ids.iter().copied().chain([0, 63, 64, u16::MAX, other]).collect();
            for id in asked {
                prop_assert_eq!(set.contains(BackendId(id)), ids.contains(&id), "{}", id);
            }
        }
    }
}
