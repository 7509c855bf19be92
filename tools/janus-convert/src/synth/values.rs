//! Random values that depend on nothing but the seed, the tensor's name and the value's place in it.

use half::bf16;

/// How the values of a tensor are distributed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Init {
    /// Mean 0 and the standard deviation that keeps the size of what is multiplied with it: 1/√`fan_in`.
    Weight { fan_in: usize },
    /// Mean 0 and this standard deviation.
    Spread(f32),
    /// Around 1.
    Scale,
    /// 0 everywhere.
    Zero,
}

/// The values of one tensor, to be made in any order.
#[derive(Debug)]
pub(super) struct Values {
    key: u64,
    /// What the values are drawn from, each alike: the range at even distances, as little-endian bf16. There are more of
    /// them than bf16 tells apart in most of the range.
    choices: Vec<[u8; 2]>,
}

/// Twelve bits of a random number choose a value.
const CHOICES: usize = 1 << 12;

impl Values {
    pub(super) fn new(seed: u64, tensor: &str, init: Init) -> Self {
        let (mean, deviation) = match init {
            Init::Weight { fan_in } => (0.0, (fan_in as f32).sqrt().recip()),
            Init::Spread(deviation) => (0.0, deviation),
            Init::Scale => (1.0, 0.05),
            Init::Zero => (0.0, 0.0),
        };
        let key = tensor
            .bytes()
            .fold(mix(seed), |key, byte| mix(key ^ u64::from(byte)));
        // The deviation of an even distribution is its half width over √3.
        let reach = deviation * 3f32.sqrt();
        let value = |i| mean + reach * ((2 * i + 1) as f32 / CHOICES as f32 - 1.0);
        let choices = (0..CHOICES)
            .map(|i| bf16::from_f32(value(i)).to_le_bytes())
            .collect();
        Self { key, choices }
    }

    /// Writes the values from `first` on as little-endian bf16.
    pub(super) fn fill(&self, first: usize, bytes: &mut [u8]) {
        let (values, rest) = bytes.as_chunks_mut::<2>();
        debug_assert!(rest.is_empty());
        // Four values come out of one number; those before the first of them are skipped.
        let skipped = first % 4;
        let mut next = (first / 4) as u64;
        let (head, tail) = values.split_at_mut(((4 - skipped) % 4).min(values.len()));
        if !head.is_empty() {
            let four = self.four(next);
            let count = head.len();
            head.copy_from_slice(&four[skipped..][..count]);
            next += 1;
        }
        for (chunk, number) in tail.chunks_mut(4).zip(next..) {
            let count = chunk.len();
            chunk.copy_from_slice(&self.four(number)[..count]);
        }
    }

    fn four(&self, number: u64) -> [[u8; 2]; 4] {
        let random = mix(self.key.wrapping_add(number.wrapping_mul(GOLDEN)));
        [0, 16, 32, 48].map(|shift| self.choices[(random >> shift) as usize % CHOICES])
    }
}

/// 2⁶⁴ divided by the golden ratio: consecutive multiples fall far apart.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input changes half of the output.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(seed: u64, init: Init, first: usize, count: usize) -> Vec<f32> {
        let mut bytes = vec![0; count * 2];
        Values::new(seed, "a", init).fill(first, &mut bytes);
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| bf16::from_le_bytes(*b).to_f32())
            .collect()
    }

    #[test]
    fn values_do_not_depend_on_where_one_begins() {
        let whole = values(1, Init::Scale, 0, 64);
        for (first, count) in [(1, 1), (1, 2), (1, 9), (3, 61), (4, 8), (6, 0), (63, 1)] {
            assert_eq!(
                values(1, Init::Scale, first, count),
                whole[first..first + count]
            );
        }
        assert_ne!(values(2, Init::Scale, 0, 64), whole);
    }

    #[test]
    fn values_have_the_mean_and_deviation_that_were_asked_for() {
        for (init, mean, deviation) in [
            (Init::Weight { fan_in: 2048 }, 0.0, 1.0 / 2048f64.sqrt()),
            (Init::Spread(0.02), 0.0, 0.02),
            (Init::Scale, 1.0, 0.05),
            (Init::Zero, 0.0, 0.0),
        ] {
            let values = values(7, init, 0, 100_000)
                .into_iter()
                .map(f64::from)
                .collect::<Vec<_>>();
            let found_mean = values.iter().sum::<f64>() / values.len() as f64;
            let square = |v: &f64| (v - found_mean).powi(2);
            let found = (values.iter().map(square).sum::<f64>() / values.len() as f64).sqrt();
            assert!(
                (found_mean - mean).abs() <= 0.02 * deviation,
                "{init:?}: mean {found_mean}"
            );
            assert!(
                (found - deviation).abs() <= 0.02 * deviation,
                "{init:?}: deviation {found}"
            );
        }
    }
}
