//! Which token comes next.

use janus_runtime::Token;
use ndarray::ArrayView1;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::error::{Error, Result};

/// How a token is chosen from the scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sampling {
    /// Always the most probable token.
    #[default]
    Greedy,
    /// Draw from the distribution; equal seeds give equal draws on every platform and version.
    Random {
        /// Divides the scores; 0 is greedy.
        temperature: f32,
        /// Only so many of the most probable tokens.
        top_k: Option<usize>,
        /// Only the most probable tokens that together have this probability, above 0 to 1.
        top_p: Option<f32>,
        /// Which draws.
        seed: u64,
    },
}

impl Sampling {
    /// Draws from the whole distribution, as the official image loop does.
    pub fn random(temperature: f32, seed: u64) -> Self {
        Self::Random {
            temperature,
            top_k: None,
            top_p: None,
            seed,
        }
    }

    /// Checks the ranges.
    pub fn check(&self) -> Result<()> {
        let Self::Random {
            temperature,
            top_k,
            top_p,
            ..
        } = *self
        else {
            return Ok(());
        };
        let fail = |setting, value, expected| {
            Err(Error::Setting {
                setting,
                value,
                expected,
            })
        };
        if !temperature.is_finite() || temperature < 0.0 {
            return fail("temperature", temperature, "a number of 0 or above");
        }
        if top_k == Some(0) {
            return fail("top-k", 0.0, "1 or above");
        }
        match top_p {
            Some(p) if !(p > 0.0 && p <= 1.0) => fail("top-p", p, "above 0 and at most 1"),
            _ => Ok(()),
        }
    }
}

/// Chooses the tokens of one sequence.
///
/// A draw is a race: every token gets a Gumbel number of its own, and the highest sum of scaled
/// score and number wins, which draws from the softmax (Gumbel-max). The numbers are counter-based:
/// those of position `t` of stream `i` depend on the seed, `i` and `t` alone. So asking for eight
/// pictures does not change the first four, a sequence gives the same tokens alone and in company,
/// and scores that are nearly the same nearly always give the same token.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    stream: u64,
    position: u64,
    /// Random words of one position, a word for each token.
    words: Vec<u8>,
}

/// Words of the generator that a position has to itself: more than any vocabulary has tokens.
const WORDS: u128 = 1 << 23;

impl Sampler {
    /// A sampler for the sequence `stream` of a request.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] where a setting is out of range.
    pub fn new(sampling: Sampling, stream: u64) -> Result<Self> {
        sampling.check()?;
        Ok(Self {
            sampling,
            stream,
            position: 0,
            words: Vec::new(),
        })
    }

    /// The next token of the sequence.
    ///
    /// # Panics
    ///
    /// Where `logits` is empty.
    pub fn sample<T: Token>(&mut self, logits: ArrayView1<'_, f32>) -> T {
        let token = self.peek(0, logits);
        self.advance(1);
        token
    }

    /// The token that would be drawn `ahead` positions after the next, were these its scores.
    ///
    /// # Panics
    ///
    /// Where `logits` is empty.
    pub fn peek<T: Token>(&mut self, ahead: u64, logits: ArrayView1<'_, f32>) -> T {
        let index = match self.sampling {
            Sampling::Random {
                temperature,
                top_k,
                top_p,
                seed,
            } if temperature > 0.0 => {
                self.draw_words(seed, self.position + ahead, logits.len());
                let scale = 1.0 / f64::from(temperature);
                match (top_k, top_p) {
                    (None, None) => self.race((0..).zip(logits.iter().copied()), scale),
                    _ => {
                        let candidates = Candidates::new(logits, temperature);
                        let candidates = candidates.top_k(top_k).top_p(top_p);
                        self.race(candidates.scores(logits), scale)
                    }
                }
            }
            _ => argmax(logits),
        };
        T::from_index(index)
    }

    /// Passes over positions whose tokens are known.
    pub fn advance(&mut self, positions: u64) {
        self.position += positions;
    }

    /// The random words of a position, the same for the same seed, stream and position.
    fn draw_words(&mut self, seed: u64, position: u64, count: usize) {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(self.stream);
        generator.set_word_pos(WORDS * u128::from(position));
        self.words.resize(4 * count, 0);
        generator.fill_bytes(&mut self.words);
    }

    /// The winner among tokens and their scores.
    fn race(&self, entrants: impl Iterator<Item = (u32, f32)> + Clone, scale: f64) -> u32 {
        // Numbers lie between these: who trails the favourite by more than the difference cannot
        // win, whatever is drawn. Nor can who trails the best by more than its own number may be;
        // so most tokens need no logarithm.
        const LEAST: f64 = -3.2;
        const MOST: f64 = 22.9;
        let favourite = entrants.clone().map(|(_, score)| score);
        let favourite = f64::from(favourite.fold(f32::NEG_INFINITY, f32::max)) * scale;
        let floor = favourite + LEAST;
        let mut best = (0, f64::NEG_INFINITY);
        for (token, score) in entrants {
            let score = f64::from(score) * scale;
            if score + MOST < floor || score + self.gumbel_at_most(token) < best.1 {
                continue;
            }
            let sum = score + self.gumbel(token);
            if sum > best.1 {
                best = (token, sum);
            }
        }
        best.0
    }

    fn word(&self, token: u32) -> u32 {
        let at = 4 * token as usize;
        self.words[at..at + 4]
            .try_into()
            .map_or(0, u32::from_le_bytes)
    }

    /// A number of the standard Gumbel distribution, −3.2 to 22.9.
    fn gumbel(&self, token: u32) -> f64 {
        // The middle of one of 2³² equal parts of the unit interval.
        let uniform = (f64::from(self.word(token)) + 0.5) / 4_294_967_296.0;
        -(-uniform.ln()).ln()
    }

    /// A bound of the token's number, which takes no logarithm: as −ln u is 1 − u at least, the number
    /// is −ln(1 − u) at most, and 1 − u is above the power of two that its leading bit stands for.
    fn gumbel_at_most(&self, token: u32) -> f64 {
        let leading = (!self.word(token)).leading_zeros();
        f64::from(leading + 1) * std::f64::consts::LN_2
    }
}

/// Tokens that may be drawn, with weights in proportion to their probabilities.
struct Candidates {
    /// Index and `exp((score − highest score) / temperature)`.
    weighted: Vec<(u32, f64)>,
    /// Whether the most probable come first.
    sorted: bool,
}

impl Candidates {
    fn new(logits: ArrayView1<'_, f32>, temperature: f32) -> Self {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |score: f32| (f64::from(score - highest) / f64::from(temperature)).exp();
        let weighted = logits
            .iter()
            .zip(0..)
            .map(|(&score, i)| (i, weight(score)))
            .collect();
        Self {
            weighted,
            sorted: false,
        }
    }

    /// Ties are broken by index, so that the choice is the same everywhere.
    fn order(a: &(u32, f64), b: &(u32, f64)) -> std::cmp::Ordering {
        b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
    }

    fn top_k(mut self, k: Option<usize>) -> Self {
        if let Some(k) = k.filter(|&k| k < self.weighted.len()) {
            self.weighted.select_nth_unstable_by(k - 1, Self::order);
            self.weighted.truncate(k);
            self.weighted.sort_unstable_by(Self::order);
            self.sorted = true;
        }
        self
    }

    fn top_p(mut self, p: Option<f32>) -> Self {
        if let Some(p) = p.filter(|&p| p < 1.0) {
            if !self.sorted {
                self.weighted.sort_unstable_by(Self::order);
                self.sorted = true;
            }
            let limit = f64::from(p) * self.total();
            let mut sum = 0.0;
            let kept = self.weighted.iter().take_while(|(_, weight)| {
                let before = sum;
                sum += weight;
                before < limit
            });
            let kept = kept.count().max(1);
            self.weighted.truncate(kept);
        }
        self
    }

    fn total(&self) -> f64 {
        self.weighted.iter().map(|(_, weight)| weight).sum()
    }

    /// The tokens with their scores.
    fn scores<'a>(
        &'a self,
        logits: ArrayView1<'a, f32>,
    ) -> impl Iterator<Item = (u32, f32)> + Clone + 'a {
        let tokens = self.weighted.iter().map(|(token, _)| *token);
        tokens.map(move |token| (token, logits[token as usize]))
    }
}

/// The first of the highest scores.
fn argmax(logits: ArrayView1<'_, f32>) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, &score) in (0..).zip(logits) {
        if score > best.1 {
            best = (index, score);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use janus_runtime::ImageToken;
    use ndarray::arr1;

    fn draw(sampling: Sampling, stream: u64, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, stream).unwrap();
        let logits = arr1(logits);
        (0..count)
            .map(|_| sampler.sample::<ImageToken>(logits.view()).0)
            .collect()
    }

    /// χ² of 40,000 draws against softmax; 3 degrees of freedom exceed 16.3 once in a thousand.
    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0_f32, 1.0, 2.0, -1.0];
        for temperature in [0.5, 1.0, 2.0] {
            let weights: Vec<_> = logits
                .iter()
                .map(|l| f64::from(l / temperature).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            let draws = draw(Sampling::random(temperature, 3), 0, &logits, 40_000);
            let chi2: f64 = (0..4)
                .map(|i| {
                    let seen = draws.iter().filter(|&&d| d == i as u32).count() as f64;
                    let expected = 40_000.0 * weights[i] / total;
                    (seen - expected).powi(2) / expected
                })
                .sum();
            assert!(chi2 < 16.3, "temperature {temperature}: χ² = {chi2}");
        }
    }

    #[test]
    fn truncation_keeps_the_most_probable() {
        let logits = [0.0, 3.0, 1.0, 2.9];
        let random = |top_k, top_p| Sampling::Random {
            temperature: 1.0,
            top_k,
            top_p,
            seed: 1,
        };
        let seen = |sampling| {
            let mut seen = draw(sampling, 0, &logits, 2000);
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(seen(random(Some(1), None)), [1]);
        assert_eq!(seen(random(Some(2), None)), [1, 3]);
        assert_eq!(seen(random(None, Some(0.01))), [1]);
        assert_eq!(seen(random(None, Some(0.6))), [1, 3]);
        assert_eq!(seen(random(Some(3), Some(1.0))), [1, 2, 3]);
        assert_eq!(seen(random(Some(99), None)), [0, 1, 2, 3]);
    }

    #[test]
    fn looking_ahead_is_what_comes() {
        let logits = arr1(&[0.0; 500]);
        for sampling in [Sampling::random(1.0, 5), Sampling::Greedy] {
            let mut ahead = Sampler::new(sampling, 2).unwrap();
            let seen: Vec<ImageToken> = (0..6).map(|i| ahead.peek(i, logits.view())).collect();
            ahead.advance(4);
            assert_eq!(seen[4], ahead.sample(logits.view()));
            let mut plain = Sampler::new(sampling, 2).unwrap();
            let drawn: Vec<ImageToken> = (0..6).map(|_| plain.sample(logits.view())).collect();
            assert_eq!(seen, drawn);
        }
    }

    /// A token far behind can be passed over only if it could not have won.
    #[test]
    fn passing_over_changes_nothing() {
        let logits: Vec<_> = (0..2000).map(|i| (i % 40) as f32).collect();
        let sampler = |seed| Sampler::new(Sampling::random(1.0, seed), 0).unwrap();
        for seed in 0..50 {
            let drawn: ImageToken = sampler(seed).sample(arr1(&logits).view());
            let mut all = sampler(seed);
            all.draw_words(seed, 0, logits.len());
            let sums = logits
                .iter()
                .zip(0..)
                .map(|(l, i)| f64::from(*l) + all.gumbel(i));
            let winner = sums.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
            assert_eq!(Some(drawn.0 as usize), winner.map(|(i, _)| i));
        }
    }

    #[test]
    fn streams_are_independent_and_repeatable() {
        let logits = [0.0; 1000];
        let first = draw(Sampling::random(1.0, 7), 0, &logits, 50);
        assert_eq!(first, draw(Sampling::random(1.0, 7), 0, &logits, 50));
        assert_ne!(first, draw(Sampling::random(1.0, 7), 1, &logits, 50));
        assert_ne!(first, draw(Sampling::random(1.0, 8), 0, &logits, 50));
    }

    /// Seeds people have noted down must go on giving the same pictures.
    #[test]
    fn the_generator_is_pinned() {
        assert_eq!(draw(Sampling::random(1.0, 42), 3, &[0.0; 16384], 4), PINNED);
    }

    const PINNED: [u32; 4] = [10692, 12620, 655, 12508];

    #[test]
    fn greedy_takes_the_first_of_equals() {
        assert_eq!(draw(Sampling::Greedy, 0, &[1.0, 4.0, 4.0], 1), [1]);
        assert_eq!(draw(Sampling::random(0.0, 1), 0, &[1.0, 4.0, 4.0], 1), [1]);
        assert_eq!(
            draw(Sampling::random(1e-30, 1), 0, &[1.0, 2.0, 4.0], 1),
            [2]
        );
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (temperature, top_k, top_p, message) in [
            (
                -1.0,
                None,
                None,
                "temperature is -1; it should be a number of 0 or above",
            ),
            (
                f32::NAN,
                None,
                None,
                "temperature is NaN; it should be a number of 0 or above",
            ),
            (1.0, Some(0), None, "top-k is 0; it should be 1 or above"),
            (
                1.0,
                None,
                Some(0.0),
                "top-p is 0; it should be above 0 and at most 1",
            ),
            (
                1.0,
                None,
                Some(1.5),
                "top-p is 1.5; it should be above 0 and at most 1",
            ),
        ] {
            let sampling = Sampling::Random {
                temperature,
                top_k,
                top_p,
                seed: 0,
            };
            assert_eq!(Sampler::new(sampling, 0).unwrap_err().to_string(), message);
        }
    }
}
