//! How many slots a change moves, and how few it could.

use std::collections::BTreeMap;

use super::{Table, quota::quotas};
use crate::model::BackendId;

/// How many slots have another owner in `after` than in `before`. The smaller table is grown to the
/// other's size first, for growing moves nothing.
pub fn moved(before: &Table, after: &Table) -> usize {
    let (small, large) = match before.slots() <= after.slots() {
        true => (before, after),
        false => (after, before),
    };
    let children = large.owners.chunks_exact(large.slots() / small.slots());
    let differing = children
        .zip(&small.owners)
        .map(|(children, parent)| children.iter().filter(|&child| child != parent).count());
    differing.sum()
}

/// The fewest slots that any change of `before` to exact shares for `weights` has to move, counted in a table of
/// `slots` slots (at least as many as `before` has).
pub fn minimum_moved(before: &Table, slots: usize, weights: &BTreeMap<BackendId, u16>) -> usize {
    let children = slots / before.slots();
    let counts = before.counts();
    quotas(slots, weights)
        .into_iter()
        .map(|(id, quota)| {
            let has = counts.get(usize::from(id.0)).unwrap_or(&0) * children;
            quota.saturating_sub(has)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(ids: &[u16]) -> BTreeMap<BackendId, u16> {
        ids.iter().map(|&id| (BackendId(id), 1)).collect()
    }

    // Promise: T3
    #[test]
    fn the_51st_backend_moves_one_slot_in_51() {
        let fifty: Vec<u16> = (1..=50).collect();
        let before = Table::empty(4_096).step(&weights(&fifty));
        let fifty_one: Vec<u16> = (1..=51).collect();
        let after = before.step(&weights(&fifty_one));
        // 4,096 / 51 = 80.3.
        assert_eq!(moved(&before, &after), 80);
        assert_eq!(minimum_moved(&before, 4_096, &weights(&fifty_one)), 80);
    }

    // Promise: T3
    #[test]
    fn growing_alone_moves_nothing() {
        let before = Table::empty(256).step(&weights(&[1, 2, 3]));
        assert_eq!(moved(&before, &before.grown(2_048)), 0);
        assert_eq!(moved(&before.grown(2_048), &before), 0);
    }
}
