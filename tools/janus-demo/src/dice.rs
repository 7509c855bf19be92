//! Random choices that repeat: one stream of ChaCha8 for every task.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded stream of choices.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The choices of one task: streams of one seed are independent of each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`, each equally likely; 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        // Numbers from the last, incomplete run of `limit` would favour the small ones.
        let complete = u64::MAX - u64::MAX % limit;
        loop {
            let bits = self.bits();
            if bits < complete {
                return (bits % limit) as usize;
            }
        }
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits fill a binary64's mantissa: a number in [0, 1).
        let unit = (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// One of the items, which must not be none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// `count` different numbers below `limit`, in random order; all of them if there are fewer.
    pub fn distinct(&mut self, count: usize, limit: usize) -> Vec<usize> {
        let mut numbers: Vec<_> = (0..limit).collect();
        let count = count.min(limit);
        for i in 0..count {
            let j = i + self.below(limit - i);
            numbers.swap(i, j);
        }
        numbers.truncate(count);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let bits = |seed, stream| Dice::new(seed, stream).bits();
        assert_eq!(bits(1, 2), bits(1, 2));
        assert_ne!(bits(1, 2), bits(1, 3));
        assert_ne!(bits(1, 2), bits(2, 2));
    }

    #[test]
    fn choices_are_fair() {
        let mut dice = Dice::new(7, 0);
        let mut counts = [0; 6];
        for _ in 0..6000 {
            counts[dice.below(6)] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        let heads = (0..4000).filter(|_| dice.chance(0.25)).count();
        assert!((880..1120).contains(&heads), "{heads}");
    }

    #[test]
    fn distinct_numbers_differ() {
        let mut dice = Dice::new(7, 1);
        for _ in 0..100 {
            let mut numbers = dice.distinct(4, 9);
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), 4);
        }
        assert_eq!(dice.distinct(5, 3).len(), 3);
    }
}
