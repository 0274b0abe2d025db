//! One change of a table: exact shares with the fewest moved slots.

use std::collections::BTreeMap;

use super::{NOBODY, Table, quota::quotas};
use crate::model::BackendId;

impl Table {
    /// The next table for `weights`: each backend owns exactly its quota (largest remainder, ties to the
    /// smaller id), and no slot moves that need not. A moved slot remembers its old owner.
    ///
    /// Slots move where they lose least: back to an earlier owner if one has too few, and otherwise from
    /// slots with a short history. Among equals the choice is spread over the table by a mix of
    /// the slot's number, and each owner's moved slots are spread over the receivers alike.
    ///
    /// Without a weight above 0 the owners stay as they are.
    pub fn step(&self, weights: &BTreeMap<BackendId, u16>) -> Table {
        let quotas = quotas(self.slots(), weights);
        let mut table = self.clone();
        if quotas.is_empty() {
            return table;
        }
        let mut balance = Balance::of(self, &quotas);
        if balance.is_even() {
            return table;
        }

        // The order in which slots are offered.
        let mut offers: Vec<usize> = (0..self.slots())
            .filter(|&slot| balance.surplus(self.owners[slot]) > 0)
            .collect();
        offers.sort_by_cached_key(|&slot| {
            let owner = self.owners[slot];
            let remembered = self.history[slot]
                .iter()
                .filter(|&&id| id != NOBODY)
                .count();
            (remembered, mix(slot as u64, owner.0.into()))
        });

        // First, slots return to an earlier owner that has too few.
        for &slot in &offers {
            let giver = self.owners[slot];
            let earlier = self.history[slot]
                .into_iter()
                .find(|&id| id != NOBODY && balance.shortfall(id) > 0);
            if let Some(receiver) = earlier
                && balance.surplus(giver) > 0
            {
                balance.transfer(giver, receiver);
                table.hand_over(slot, receiver);
            }
        }

        // Then the rest is dealt out.
        let mut receivers = Receivers::of(&balance);
        for &slot in &offers {
            let giver = self.owners[slot];
            if table.owners[slot] != giver || balance.surplus(giver) <= 0 {
                continue;
            }
            let Some(receiver) = receivers.best(slot) else {
                break;
            };
            balance.transfer(giver, receiver);
            table.hand_over(slot, receiver);
            if balance.shortfall(receiver) == 0 {
                receivers.remove(receiver);
            }
        }
        table
    }
}

/// What each owner has above (positive) or below (negative) its quota, by id; those behind the last one have and are due nothing.
struct Balance(Vec<i32>);

impl Balance {
    fn of(table: &Table, quotas: &BTreeMap<BackendId, usize>) -> Balance {
        let ids = table.owners.iter().chain(quotas.keys());
        let largest = ids.max().copied().unwrap_or(NOBODY);
        let mut balance = vec![0; usize::from(largest.0) + 1];
        for owner in &table.owners {
            balance[usize::from(owner.0)] += 1;
        }
        for (id, &quota) in quotas {
            balance[usize::from(id.0)] -= quota as i32;
        }
        Balance(balance)
    }

    fn is_even(&self) -> bool {
        self.0.iter().all(|&difference| difference == 0)
    }

    fn surplus(&self, id: BackendId) -> i32 {
        self.0.get(usize::from(id.0)).copied().unwrap_or_default()
    }

    fn shortfall(&self, id: BackendId) -> i32 {
        -self.surplus(id)
    }

    fn transfer(&mut self, giver: BackendId, receiver: BackendId) {
        self.0[usize::from(giver.0)] -= 1;
        self.0[usize::from(receiver.0)] += 1;
    }
}

/// The backends that are short of slots.
///
/// A slot goes to the one with the highest score for it, so that a slot of an unusable backend
/// mostly keeps its substitute when another backend becomes unusable too.
struct Receivers(Vec<(u64, BackendId)>);

impl Receivers {
    fn of(balance: &Balance) -> Receivers {
        let short = (0..=u16::MAX)
            .zip(&balance.0)
            .filter(|&(_, &difference)| difference < 0);
        Receivers(
            short
                .map(|(id, _)| (mix(id.into(), RECEIVER), BackendId(id)))
                .collect(),
        )
    }

    fn best(&self, slot: usize) -> Option<BackendId> {
        let slot = mix(slot as u64, RECEIVER);
        let scored = self
            .0
            .iter()
            .map(|&(receiver, id)| (finalise(slot ^ receiver), id));
        scored.max().map(|(_, id)| id)
    }

    fn remove(&mut self, gone: BackendId) {
        self.0.retain(|&(_, id)| id != gone);
    }
}

/// Makes scores differ from the order of offering, which mixes slots with backends' ids.
const RECEIVER: u64 = 1 << 32;

/// A well-mixed 64-bit number for a pair (splitmix64's finaliser, twice). Tables depend on it: it never changes.
fn mix(a: u64, b: u64) -> u64 {
    finalise(finalise(a.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ b)
}

fn finalise(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
