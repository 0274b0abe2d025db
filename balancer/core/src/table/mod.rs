//! The look-up table of a service: which backend owns each slot, and who owned it before.
//!
//! A table is a value. Every change gives a new one, and the same changes in the same order give the
//! same table on every edge.

mod disruption;
mod memory;
mod quota;
mod serial;
mod size;
mod step;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use disruption::{minimum_moved, moved};
pub use size::slots_for;

use crate::model::BackendId;

/// No owner.
const NOBODY: BackendId = BackendId(0);

/// How many earlier owners a slot remembers.
pub const HISTORY: usize = 3;

/// Owners and owner histories of a service's slots.
///
/// The number of slots is a power of two. The id 0 means "nobody". A slot's history is newest first,
/// names nobody twice, never names the slot's current owner, and ends in zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "serial::Compact", try_from = "serial::Compact")]
pub struct Table {
    owners: Vec<BackendId>,
    history: Vec<[BackendId; HISTORY]>,
}

impl Table {
    /// A table that nobody owns.
    ///
    /// # Panics
    ///
    /// When `slots` is no power of two.
    pub fn empty(slots: usize) -> Table {
        assert!(
            slots.is_power_of_two(),
            "{slots} slots are no power of two; ask `slots_for` for a size"
        );
        Table {
            owners: vec![NOBODY; slots],
            history: vec![[NOBODY; HISTORY]; slots],
        }
    }

    /// How many slots it has.
    pub fn slots(&self) -> usize {
        self.owners.len()
    }

    /// The owner of each slot; 0 is nobody.
    pub fn owners(&self) -> &[BackendId] {
        &self.owners
    }

    /// The earlier owners of each slot, newest first, filled up with 0.
    pub fn history(&self) -> &[[BackendId; HISTORY]] {
        &self.history
    }

    /// The slot of a flow, by the high bits of its hash, so that a slot of a grown table lies within its parent.
    pub fn slot_of(&self, hash: u64) -> usize {
        match self.slots().trailing_zeros() {
            0 => 0,
            bits => (hash >> (64 - bits)) as usize,
        }
    }

    /// How many slots each owner has; slots of nobody are left out.
    pub fn shares(&self) -> BTreeMap<BackendId, usize> {
        let shares = (0..=u16::MAX).map(BackendId).zip(self.counts());
        shares
            .filter(|&(id, count)| id != NOBODY && count > 0)
            .collect()
    }

    /// How many slots each id has, up to the largest that has any; also nobody's.
    fn counts(&self) -> Vec<usize> {
        let largest = self.owners.iter().max().copied().unwrap_or(NOBODY);
        let mut counts = vec![0; usize::from(largest.0) + 1];
        for owner in &self.owners {
            counts[usize::from(owner.0)] += 1;
        }
        counts
    }

    /// The same table with more slots: each slot becomes several, which inherit its owner and its history.
    ///
    /// # Panics
    ///
    /// When `slots` is no power of two or smaller than now: a table never shrinks.
    pub fn grown(&self, slots: usize) -> Table {
        assert!(
            slots.is_power_of_two() && slots >= self.slots(),
            "a table of {} slots cannot become one of {slots}",
            self.slots()
        );
        if slots == self.slots() {
            return self.clone();
        }
        let children = slots / self.slots();
        Table {
            owners: (0..slots)
                .map(|slot| self.owners[slot / children])
                .collect(),
            history: (0..slots)
                .map(|slot| self.history[slot / children])
                .collect(),
        }
    }

    /// The same table without `id`: its slots are nobody's, and no history names it.
    pub fn without(&self, id: BackendId) -> Table {
        let mut table = self.clone();
        for owner in table.owners.iter_mut().filter(|owner| **owner == id) {
            *owner = NOBODY;
        }
        for history in table
            .history
            .iter_mut()
            .filter(|history| history.contains(&id))
        {
            *history = remembered(history.iter().copied().filter(|&earlier| earlier != id));
        }
        table
    }

    /// Gives `slot` to `owner`; the old owner becomes the newest of its history.
    fn hand_over(&mut self, slot: usize, owner: BackendId) {
        let old = std::mem::replace(&mut self.owners[slot], owner);
        let earlier = self.history[slot].into_iter().filter(|&id| id != old);
        self.history[slot] = remembered(
            std::iter::once(old)
                .chain(earlier)
                .filter(|&id| id != owner),
        );
    }
}

/// The newest of `owners` as a history.
fn remembered(owners: impl Iterator<Item = BackendId>) -> [BackendId; HISTORY] {
    let mut history = [NOBODY; HISTORY];
    for (place, owner) in history.iter_mut().zip(owners.filter(|&id| id != NOBODY)) {
        *place = owner;
    }
    history
}
