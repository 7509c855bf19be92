//! What is told of many runs of one thing.

use serde::Serialize;

/// Median and spread of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub runs: usize,
    /// As many are below as above.
    pub median: f64,
    /// A tenth is below.
    pub p10: f64,
    /// A tenth is above.
    pub p90: f64,
}

impl Summary {
    /// Summarises a sample; an empty one is NaN.
    pub fn of(sample: &[f64]) -> Self {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            runs: sorted.len(),
            median: quantile(&sorted, 0.5),
            p10: quantile(&sorted, 0.1),
            p90: quantile(&sorted, 0.9),
        }
    }
}

/// The median of a sample; of an empty one NaN.
pub(crate) fn median(sample: &[f64]) -> f64 {
    Summary::of(sample).median
}

/// The quantile `q` of sorted numbers, linear between neighbours, as NumPy's default has it.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = q * last as f64;
    let below = position.floor() as usize;
    let above = last.min(below + 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from `numpy.quantile(sample, [0.5, 0.1, 0.9])`.
    #[test]
    fn quantiles_are_those_of_numpy() {
        for (sample, median, p10, p90) in [
            (vec![7.0], 7.0, 7.0, 7.0),
            (vec![3.0, 1.0], 2.0, 1.2, 2.8),
            (vec![5.0, 1.0, 3.0], 3.0, 1.4, 4.6),
            (vec![4.0, 1.0, 3.0, 2.0], 2.5, 1.3, 3.7),
            ((0..=10).rev().map(f64::from).collect(), 5.0, 1.0, 9.0),
        ] {
            let summary = Summary::of(&sample);
            assert_eq!(summary.runs, sample.len());
            for (found, expected) in [
                (summary.median, median),
                (summary.p10, p10),
                (summary.p90, p90),
            ] {
                assert!((found - expected).abs() < 1e-12, "{sample:?}: {summary:?}");
            }
        }
    }

    #[test]
    fn a_stray_run_does_not_move_the_median() {
        let mut sample = vec![1.0; 9];
        sample.push(1000.0);
        assert_eq!(Summary::of(&sample).median, 1.0);
    }

    #[test]
    fn nothing_has_no_median() {
        assert!(Summary::of(&[]).median.is_nan());
        assert_eq!(Summary::of(&[]).runs, 0);
    }
}
