//! Quantiles of samples.

/// The sample that at least this share of all does not exceed; `None` without samples.
pub(crate) fn quantile(samples: &[f64], share: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// The largest sample.
pub(crate) fn largest(samples: &[f64]) -> Option<f64> {
    quantile(samples, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_sample_and_never_an_interpolation() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&samples, 0.5), Some(100.0));
        assert_eq!(quantile(&samples, 0.99), Some(198.0));
        assert_eq!(quantile(&samples, 0.0), Some(1.0));
        assert_eq!(largest(&samples), Some(200.0));
    }

    #[test]
    fn few_samples_have_quantiles_and_none_have_none() {
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[3.0, 5.0], 0.5), Some(3.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
