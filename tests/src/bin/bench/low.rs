//! What a packet costs while nothing else has the CPU.
//!
//! A shared machine takes the CPU away, or slows it, for reasons that lie outside, and in no run of tens of milliseconds does it
//! leave it alone. So a run is timed in strides of a thousand packets, program and floor in turns, and of all strides
//! the low ones count.

/// Of a hundred strides, so many are lower than the one that counts: not the lowest, which may be an error of the clock.
const LOWER_PERCENT: usize = 5;

/// The figure of these strides; none for no stride.
pub(crate) fn low(strides: &[f64]) -> f64 {
    let mut strides = strides.to_vec();
    strides.sort_by(f64::total_cmp);
    let place = strides.len() * LOWER_PERCENT / 100;
    strides.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_a_hundred_strides_are_lower() {
        let strides: Vec<f64> = (0..200).rev().map(f64::from).collect();
        assert_eq!(low(&strides), 10.0);
        assert_eq!(low(&[7.0]), 7.0);
        assert!(low(&[]).is_nan());
    }

    #[test]
    fn a_machine_that_is_busy_most_of_the_time_makes_no_difference() {
        let strides = |busy: usize| -> Vec<f64> {
            (0..1_000)
                .map(|stride| if stride % 10 < busy { 74.0 } else { 31.0 })
                .collect()
        };
        assert_eq!(low(&strides(9)), low(&strides(0)));
    }
}
