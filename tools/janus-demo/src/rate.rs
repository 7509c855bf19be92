//! Counts of what went right, with their uncertainty.

use std::fmt;

use serde::Serialize;

/// The 97.5 % quantile of the normal distribution: 95 % lie within ± this.
const Z: f64 = 1.959_963_984_540_054;

/// How many of so many were right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "Figures")]
pub struct Rate {
    right: usize,
    asked: usize,
}

impl Rate {
    /// `right` of `asked`; more right than asked is all right.
    pub fn new(right: usize, asked: usize) -> Self {
        Self {
            right: right.min(asked),
            asked,
        }
    }

    /// Counts one more.
    pub fn record(&mut self, right: bool) {
        self.right += usize::from(right);
        self.asked += 1;
    }

    /// How many were right.
    pub fn right(self) -> usize {
        self.right
    }

    /// How many there were.
    pub fn asked(self) -> usize {
        self.asked
    }

    /// The share that was right, 0 to 1; 0 if there were none.
    pub fn share(self) -> f64 {
        if self.asked == 0 {
            0.0
        } else {
            self.right as f64 / self.asked as f64
        }
    }

    /// The 95 % confidence interval of the share, after Wilson (1927); 0 to 1 if there were none.
    pub fn interval(self) -> (f64, f64) {
        if self.asked == 0 {
            return (0.0, 1.0);
        }
        let (p, n) = (self.share(), self.asked as f64);
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        (
            ((middle - half) / scale).max(0.0),
            ((middle + half) / scale).min(1.0),
        )
    }
}

impl std::iter::Sum for Rate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::default(), |sum, rate| Self {
            right: sum.right + rate.right,
            asked: sum.asked + rate.asked,
        })
    }
}

impl fmt::Display for Rate {
    /// ` 97/100  97.0 % [91.5, 99.0]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        let percent = |share: f64| 100.0 * share;
        let text = format!(
            "{:>4}/{:<4} {:5.1} % [{:.1}, {:.1}]",
            self.right,
            self.asked,
            percent(self.share()),
            percent(low),
            percent(high),
        );
        f.pad(&text)
    }
}

/// A rate as it is written to JSON.
#[derive(Serialize)]
struct Figures {
    right: usize,
    asked: usize,
    rate: f64,
    low: f64,
    high: f64,
}

impl From<Rate> for Figures {
    fn from(rate: Rate) -> Self {
        let (low, high) = rate.interval();
        Self {
            right: rate.right,
            asked: rate.asked,
            rate: rate.share(),
            low,
            high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_literature() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        let cases = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0000, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (right, asked, low, high) in cases {
            let interval = Rate::new(right, asked).interval();
            assert!(
                (interval.0 - low).abs() < 5e-5,
                "{right}/{asked}: {interval:?}"
            );
            assert!(
                (interval.1 - high).abs() < 5e-5,
                "{right}/{asked}: {interval:?}"
            );
        }
        assert_eq!(Rate::default().interval(), (0.0, 1.0));
        let (low, high) = Rate::new(20, 20).interval();
        assert!(
            (low - 0.8389).abs() < 5e-5 && (high - 1.0).abs() < 1e-12,
            "{low} {high}"
        );
    }

    #[test]
    fn rates_add_up_and_read_well() {
        let mut rate = Rate::new(96, 99);
        rate.record(true);
        assert_eq!(rate, Rate::new(97, 100));
        assert_eq!(
            [rate, Rate::new(3, 10)].into_iter().sum::<Rate>(),
            Rate::new(100, 110)
        );
        assert_eq!(rate.to_string(), "  97/100   97.0 % [91.5, 99.0]");
    }
}
