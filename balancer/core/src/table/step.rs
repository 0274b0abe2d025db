//! One change of a table: exact shares with the fewest moved slots.

use std::collections::BTreeMap;

use super::{HISTORY, NOBODY, Table, quota::quotas};
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

        // First, slots return to an earlier owner that has too few.
        let mut returning: Vec<Offer> = self
            .offers(&balance)
            .filter(|offer| {
                let mut earlier = self.history[offer.slot()].iter();
                earlier.any(|&id| id != NOBODY && balance.shortfall(id) > 0)
            })
            .collect();
        returning.sort_unstable();
        for offer in returning {
            let (slot, giver) = (offer.slot(), self.owners[offer.slot()]);
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

        // Then the rest is dealt out. Whoever received a slot above gives none here.
        let mut receivers = Receivers::of(&balance);
        let left = table.offers(&balance);
        for offer in first_of_each_giver(left, &table, &balance) {
            let (slot, giver) = (offer.slot(), table.owners[offer.slot()]);
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

    /// The slots of owners that have too many, in the order of their numbers.
    fn offers(&self, balance: &Balance) -> impl Iterator<Item = Offer> {
        let slots = self.owners.iter().zip(&self.history).enumerate();
        slots
            .filter(|&(_, (&owner, _))| balance.surplus(owner) > 0)
            .map(|(slot, (&owner, history))| Offer::new(slot, owner, history))
    }
}

/// A slot that its owner may give away. Slots are offered in this order: those that few are remembered of first, among them
/// by a mix of slot and owner, and by the slot's number at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offer(u128);

impl Offer {
    fn new(slot: usize, owner: BackendId, history: &[BackendId; HISTORY]) -> Self {
        let remembered = history.iter().filter(|&&id| id != NOBODY).count();
        let mixed = mix(slot as u64, owner.0.into());
        // One number, because comparing is most of the work.
        Self((remembered as u128) << 96 | u128::from(mixed) << 32 | slot as u128)
    }

    fn slot(self) -> usize {
        self.0 as u32 as usize
    }
}

/// Of each giver in `table` as many offers as it has too many slots, the first ones, in their order: the others are never
/// taken, and so are not sorted.
fn first_of_each_giver(
    offers: impl Iterator<Item = Offer>,
    table: &Table,
    balance: &Balance,
) -> Vec<Offer> {
    let giver = |offer: &Offer| usize::from(table.owners[offer.slot()].0);
    let offers: Vec<Offer> = offers.collect();
    // Each giver's offers side by side: where they end, counted and then summed.
    let mut ends = vec![0; balance.0.len()];
    offers.iter().for_each(|offer| ends[giver(offer)] += 1);
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    let mut grouped = vec![Offer(0); offers.len()];
    for offer in offers {
        let end = &mut ends[giver(&offer)];
        grouped[*end] = offer;
        *end += 1;
    }
    let (mut first, mut start) = (Vec::new(), 0);
    for (end, &surplus) in ends.into_iter().zip(&balance.0) {
        let offers = &mut grouped[start..end];
        start = end;
        if offers.is_empty() {
            continue;
        }
        let surplus = offers.len().min(surplus as usize);
        if surplus < offers.len() {
            offers.select_nth_unstable(surplus);
        }
        first.extend_from_slice(&offers[..surplus]);
    }
    first.sort_unstable();
    first
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// [`Table::step`] as it is defined: every slot that can be given is sorted and offered.
    fn sorted_step(before: &Table, weights: &BTreeMap<BackendId, u16>) -> Table {
        let quotas = quotas(before.slots(), weights);
        let mut table = before.clone();
        let mut balance = Balance::of(before, &quotas);
        if quotas.is_empty() || balance.is_even() {
            return table;
        }
        let mut offers: Vec<usize> = (0..before.slots())
            .filter(|&slot| balance.surplus(before.owners[slot]) > 0)
            .collect();
        offers.sort_by_cached_key(|&slot| {
            let owner = before.owners[slot];
            let history = before.history[slot].iter();
            let remembered = history.filter(|&&id| id != NOBODY).count();
            (remembered, mix(slot as u64, owner.0.into()))
        });
        for &slot in &offers {
            let giver = before.owners[slot];
            let mut earlier = before.history[slot].into_iter();
            let earlier = earlier.find(|&id| id != NOBODY && balance.shortfall(id) > 0);
            if let Some(receiver) = earlier
                && balance.surplus(giver) > 0
            {
                balance.transfer(giver, receiver);
                table.hand_over(slot, receiver);
            }
        }
        let mut receivers = Receivers::of(&balance);
        for &slot in &offers {
            let giver = before.owners[slot];
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

    fn some_weights() -> impl Strategy<Value = BTreeMap<BackendId, u16>> {
        prop::collection::btree_map((1..24_u16).prop_map(BackendId), 0..4_u16, 0..20)
    }

    proptest! {
        #[test]
        fn a_step_takes_the_slots_that_sorting_all_of_them_would_give(
            steps in prop::collection::vec((some_weights(), 1..24_u16, any::<bool>()), 1..12),
        ) {
            let mut table = Table::empty(64);
            for (weights, id, leaves) in steps {
                if leaves {
                    table = table.without(BackendId(id));
                }
                if table.slots() < 1_024 && id % 4 == 0 {
                    table = table.grown(2 * table.slots());
                }
                let next = table.step(&weights);
                prop_assert_eq!(&next, &sorted_step(&table, &weights));
                table = next;
            }
        }
    }
}
