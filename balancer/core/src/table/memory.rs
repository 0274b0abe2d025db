//! What packets met before, laid under a table.

use super::{HISTORY, NOBODY, Table};
use crate::model::BackendId;

impl Table {
    /// A table as a data plane holds it, to be remembered; `None` unless it has a power of two of slots, and a history for each.
    pub fn held(owners: Vec<BackendId>, history: Vec<[BackendId; HISTORY]>) -> Option<Table> {
        let fits = owners.len().is_power_of_two() && owners.len() == history.len();
        fits.then_some(Table { owners, history })
    }

    /// The same owners. Each slot's history begins with who owned it in `before`, the table that packets have met so far, and
    /// with its history there, as far as `is_known` holds; then comes the slot's own.
    ///
    /// A table has only grown since: of a larger `before` nothing is remembered.
    pub fn after(mut self, before: &Table, is_known: &dyn Fn(BackendId) -> bool) -> Table {
        if before.slots() > self.slots() {
            return self;
        }
        // Both are powers of two: the parent of a slot is a shift away, not a division.
        let shift = (self.slots() / before.slots()).trailing_zeros();
        for (slot, history) in self.history.iter_mut().enumerate() {
            let owner = self.owners[slot];
            let (previous, earlier) = (before.owners[slot >> shift], before.history[slot >> shift]);
            // Most slots of most changes.
            let mut known = earlier.iter().filter(|&&id| id != NOBODY);
            if previous == owner && earlier == *history && known.all(|&id| is_known(id)) {
                continue;
            }
            let mut remembered = [NOBODY; HISTORY];
            let mut places = 0;
            for id in [previous].into_iter().chain(earlier).chain(*history) {
                let named = id == owner || remembered.contains(&id);
                if id != NOBODY && !named && is_known(id) && places < HISTORY {
                    remembered[places] = id;
                    places += 1;
                }
            }
            *history = remembered;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn anybody(_: BackendId) -> bool {
        true
    }

    fn stepped(table: &Table, ids: &[u16]) -> Table {
        let weights: BTreeMap<_, _> = ids.iter().map(|&id| (BackendId(id), 1)).collect();
        table.step(&weights)
    }

    // Promise: M5
    #[test]
    fn who_owned_a_slot_before_is_the_newest_of_its_history() {
        let base = stepped(&Table::empty(256), &[1, 2, 3]);
        // 3 is down for a while; then the base table is met again.
        let substituted = stepped(&base, &[1, 2]).after(&base, &anybody);
        let back = base.clone().after(&substituted, &anybody);
        assert_eq!(back.owners(), base.owners());
        for slot in 0..256 {
            let (owner, substitute) = (base.owners()[slot], substituted.owners()[slot]);
            let expected = if substitute == owner {
                NOBODY
            } else {
                substitute
            };
            assert_eq!(back.history()[slot], [expected, NOBODY, NOBODY]);
        }
    }

    #[test]
    fn the_newest_three_are_remembered() {
        let one = |id| stepped(&Table::empty(2), &[id]);
        let table = (1..=5).fold(one(1), |before, id| one(id).after(&before, &anybody));
        assert_eq!(table.history()[0], [4, 3, 2].map(BackendId));
        // One that returns leaves the history.
        let table = one(3).after(&table, &anybody);
        assert_eq!(table.history()[0], [5, 4, 2].map(BackendId));
    }

    #[test]
    fn who_is_no_longer_known_is_forgotten() {
        let one = |id| stepped(&Table::empty(2), &[id]);
        let table = (1..=4).fold(one(1), |before, id| one(id).after(&before, &anybody));
        let table = one(4).after(&table, &|id| id != BackendId(2));
        assert_eq!(table.history()[0], [3, 1, 0].map(BackendId));
        // Also where nothing else has changed.
        let table = table.clone().after(&table, &|id| id != BackendId(1));
        assert_eq!(table.history()[0], [3, 0, 0].map(BackendId));
    }

    #[test]
    fn a_grown_tables_slots_remember_what_their_parent_met() {
        let small = stepped(&Table::empty(256), &[1, 2]);
        let large = stepped(&small.grown(1_024), &[3, 4]);
        let previous = large.clone().after(&small, &anybody);
        for slot in 0..1_024 {
            assert_eq!(previous.history()[slot][0], small.owners()[slot / 4]);
        }
        assert_eq!(small.clone().after(&large, &anybody), small);
    }

    proptest! {
        // Promise: M5
        #[test]
        fn histories_stay_sound_and_a_second_publication_changes_nothing(
            sets in prop::collection::vec(prop::collection::btree_set(1..8u16, 1..7), 1..6),
            gone in 1..10u16,
        ) {
            let (mut base, mut previous) = (Table::empty(256), Table::empty(256));
            for set in sets {
                base = stepped(&base, &Vec::from_iter(set));
                previous = base.clone().after(&previous, &|id| id != BackendId(gone));
                prop_assert_eq!(previous.owners(), base.owners());
                for (owner, history) in previous.owners().iter().zip(previous.history()) {
                    let named: Vec<_> = history.iter().filter(|id| **id != NOBODY).collect();
                    prop_assert!(!named.contains(&owner));
                    prop_assert!(named.iter().all(|id| id.0 != gone));
                    let mut different = named.clone();
                    different.sort();
                    different.dedup();
                    prop_assert_eq!(different.len(), named.len());
                    prop_assert!(history[..named.len()].iter().all(|id| *id != NOBODY));
                }
                let again = base.clone().after(&previous, &|id| id != BackendId(gone));
                prop_assert_eq!(&again, &previous);
            }
        }
    }
}
