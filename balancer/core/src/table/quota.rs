//! How many slots each backend is due.

use std::collections::BTreeMap;

use crate::model::BackendId;

/// The slots each weight is due out of `slots`: exact to one slot, by largest remainder, ties to the
/// smaller id. Weights of 0 are left out; the result is empty when every weight is 0.
pub(super) fn quotas(
    slots: usize,
    weights: &BTreeMap<BackendId, u16>,
) -> BTreeMap<BackendId, usize> {
    let total: u64 = weights.values().map(|&weight| u64::from(weight)).sum();
    if total == 0 {
        return BTreeMap::new();
    }
    let mut quotas = BTreeMap::new();
    let mut remainders = Vec::new();
    let mut left = slots;
    for (&id, &weight) in weights.iter().filter(|&(_, &weight)| weight > 0) {
        // At most 65,536 slots times a weight of 16 bits: far from overflow.
        let exact = slots as u64 * u64::from(weight);
        let quota = (exact / total) as usize;
        left -= quota;
        quotas.insert(id, quota);
        remainders.push((std::cmp::Reverse(exact % total), id));
    }
    remainders.sort_unstable();
    for (_, id) in remainders.into_iter().take(left) {
        *quotas.entry(id).or_default() += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas_of<const N: usize>(slots: usize, weights: [u16; N]) -> Vec<usize> {
        let weights = (1..).map(BackendId).zip(weights).collect();
        quotas(slots, &weights).into_values().collect()
    }

    // Promise: T2
    #[test]
    fn slots_left_over_go_to_the_largest_remainders_and_then_to_the_smaller_ids() {
        assert_eq!(quotas_of(256, [1, 1, 1]), [86, 85, 85]);
        // 146.3, 73.1 and 36.6.
        assert_eq!(quotas_of(256, [4, 2, 1]), [146, 73, 37]);
        assert_eq!(quotas_of(4, [1, 1, 1, 1, 1, 1]), [1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_weight_of_zero_is_due_nothing() {
        assert_eq!(quotas_of(256, [0, 3, 0, 1]), [192, 64]);
        assert!(quotas_of(256, [0, 0]).is_empty());
    }
}
