//! How many slots a table has.

/// Slots that each backend should have: its share is then exact to 1/64 of itself.
const SLOTS_PER_BACKEND: usize = 64;

/// The smallest table.
const MIN_SLOTS: usize = 256;

/// The largest table.
const MAX_SLOTS: usize = 65_536;

/// The number of slots for a number of backends: a power of two from 256 to 65,536, with at least
/// 64 slots for each of up to 1,024 backends.
pub fn slots_for(backends: usize) -> usize {
    backends
        .saturating_mul(SLOTS_PER_BACKEND)
        .clamp(MIN_SLOTS, MAX_SLOTS)
        .next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_64_slots_for_each_backend_and_a_power_of_two() {
        let sizes = [0, 1, 4, 5, 8, 9, 1_024, 1_025, 32_767, usize::MAX].map(slots_for);
        assert_eq!(
            sizes,
            [
                256, 256, 256, 512, 512, 1_024, 65_536, 65_536, 65_536, 65_536
            ]
        );
    }
}
