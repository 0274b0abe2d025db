//! A set of services or backends, by number.

/// Numbers of services, or of backends: one bit each, so that a question takes the same few instructions whatever the set's size.
#[derive(Clone, Debug, Default)]
pub struct IdSet(Vec<u64>);

impl IdSet {
    /// Whether this one is in it.
    pub fn contains(&self, id: impl Into<u16>) -> bool {
        let (word, bit) = place(id);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Puts one in.
    pub fn insert(&mut self, id: impl Into<u16>) {
        let (word, bit) = place(id);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }

    /// Takes one out.
    pub fn remove(&mut self, id: impl Into<u16>) {
        let (word, bit) = place(id);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
    }
}

impl<Id: Into<u16>> FromIterator<Id> for IdSet {
    fn from_iter<I: IntoIterator<Item = Id>>(ids: I) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

fn place(id: impl Into<u16>) -> (usize, u64) {
    let id: u16 = id.into();
    (usize::from(id / 64), 1 << (id % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::BackendId;

    proptest! {
        #[test]
        fn it_has_what_was_put_in_and_not_taken_out(
            mut ids in prop::collection::btree_set(any::<u16>(), 0..200),
            gone in prop::collection::vec(any::<u16>(), 0..4),
            other: u16,
        ) {
            let mut set: IdSet = ids.iter().copied().map(BackendId).collect();
            for id in gone.into_iter().chain(ids.iter().step_by(3).copied().collect::<Vec<_>>()) {
                set.remove(BackendId(id));
                ids.remove(&id);
            }
            let asked: BTreeSet<u16> = ids.iter().copied().chain([0, 63, 64, u16::MAX, other]).collect();
            for id in asked {
                prop_assert_eq!(set.contains(BackendId(id)), ids.contains(&id), "{}", id);
            }
        }
    }
}
