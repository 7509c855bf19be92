//! How far the next-token distributions of two models are apart.

use ndarray::ArrayView1;
use serde::Serialize;

/// How many times as probable as the next one a token has to be to be clearly the most probable.
const CLEARLY: f64 = 2.0;
/// The share of positions whose divergence [`Divergence::p99_kl`] bounds.
const QUANTILE: f64 = 0.99;

/// How far the next-token distributions of a model are from a reference's, over many positions.
///
/// At a position the reference has the scores `r` and the model the scores `m` over the same
/// vocabulary, and the reference drew the token `t`. With `P = softmax(r)` and `Q = softmax(m)`, at
/// temperature 1 and in 64-bit floats:
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Divergence {
    /// How many positions there are.
    pub positions: usize,
    /// The mean of `KL(P ‖ Q) = Σ P (ln P − ln Q)`, in nats per token.
    pub mean_kl: f64,
    /// The smallest `KL(P ‖ Q)` that 99 % of the positions do not exceed, in nats.
    pub p99_kl: f64,
    /// The share of positions where both find the same token most probable, 0 to 1; of equally
    /// probable ones the first counts.
    pub top1_agreement: f64,
    /// How many positions have a token that `P` finds at least twice as probable as any other.
    pub clear_positions: usize,
    /// The share of those where both find the same token most probable; 1 where there are none.
    ///
    /// Two tokens that are nearly as probable change places at the least difference, and nobody
    /// can tell: here a change means something.
    pub clear_agreement: f64,
    /// The mean of `|ln Q(t) − ln P(t)|`, in nats.
    pub mean_log_prob_change: f64,
}

impl Divergence {
    /// Sums positions up; none give zeros and full agreement.
    pub(crate) fn of(positions: &[Position]) -> Self {
        let mean = |value: fn(&Position) -> f64| {
            positions.iter().map(value).sum::<f64>() / positions.len().max(1) as f64
        };
        let clear = || positions.iter().filter(|position| position.is_clear);
        Self {
            positions: positions.len(),
            mean_kl: mean(|position| position.kl),
            p99_kl: quantile(positions.iter().map(|position| position.kl).collect()),
            top1_agreement: agreement(positions.iter()),
            clear_positions: clear().count(),
            clear_agreement: agreement(clear()),
            mean_log_prob_change: mean(|position| position.log_prob_change),
        }
    }
}

/// The share of positions that agree; 1 of none.
fn agreement<'a>(positions: impl Iterator<Item = &'a Position>) -> f64 {
    let (mut agreeing, mut count) = (0_usize, 0_usize);
    for position in positions {
        agreeing += usize::from(position.agrees);
        count += 1;
    }
    match count {
        0 => 1.0,
        _ => agreeing as f64 / count as f64,
    }
}

/// One position, as both models predict it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Position {
    /// `KL(P ‖ Q)` in nats.
    kl: f64,
    /// Whether the same token is most probable.
    agrees: bool,
    /// Whether the reference finds it [`CLEARLY`] so.
    is_clear: bool,
    /// `|ln Q(t) − ln P(t)|`.
    log_prob_change: f64,
}

impl Position {
    /// Compares the scores of both models where the reference drew `token`.
    ///
    /// # Panics
    ///
    /// Where `token` is outside of the vocabulary, or the vocabulary is empty.
    pub(crate) fn new(
        reference: ArrayView1<'_, f32>,
        found: ArrayView1<'_, f32>,
        token: u32,
    ) -> Self {
        let (log_p, log_q) = (log_softmax(reference), log_softmax(found));
        let terms = log_p.iter().zip(&log_q).map(|(p, q)| p.exp() * (p - q));
        let kl: f64 = terms.sum();
        let token = token as usize;
        let best = first_highest(reference);
        let others = log_p.iter().enumerate().filter(|(other, _)| *other != best);
        let next = others.fold(f64::NEG_INFINITY, |next, (_, &p)| next.max(p));
        Self {
            // Between nearly equal distributions rounding can leave the sum just below its bound.
            kl: if kl < 0.0 { 0.0 } else { kl },
            agrees: best == first_highest(found),
            is_clear: log_p[best] - next >= CLEARLY.ln(),
            log_prob_change: (log_q[token] - log_p[token]).abs(),
        }
    }
}

/// `x − ln Σ exp x`, without overflow.
fn log_softmax(scores: ArrayView1<'_, f32>) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let highest = f64::from(highest);
    let shifted = scores.iter().map(|&score| f64::from(score) - highest);
    let log_sum = shifted.clone().map(f64::exp).sum::<f64>().ln();
    shifted.map(|score| score - log_sum).collect()
}

fn first_highest(scores: ArrayView1<'_, f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, &score) in scores.iter().enumerate() {
        if score > best.1 {
            best = (index, score);
        }
    }
    best.0
}

/// The smallest of the values that [`QUANTILE`] of them do not exceed; 0 of none.
fn quantile(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (QUANTILE * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr1;

    fn assert_near(found: f64, expected: f64) {
        // The scores are 32-bit roundings of logarithms.
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    }

    fn scores(probabilities: [f64; 3]) -> ndarray::Array1<f32> {
        arr1(&probabilities.map(|p| p.ln() as f32))
    }

    #[test]
    fn a_position_is_what_the_formulas_say() {
        let p = scores([0.5, 0.25, 0.25]);
        let q = scores([0.25, 0.25, 0.5]);
        let position = Position::new(p.view(), q.view(), 2);
        // 0.5 ln 2 + 0.25 ln 1 + 0.25 ln ½ = 0.25 ln 2
        assert_near(position.kl, 0.25 * 2_f64.ln());
        assert!(!position.agrees);
        assert_near(position.log_prob_change, 2_f64.ln());
        // It is the reference's probabilities that weigh.
        let q = scores([0.5, 0.125, 0.375]);
        let position = Position::new(p.view(), q.view(), 0);
        assert_near(position.kl, 0.25 * 2_f64.ln() - 0.25 * 1.5_f64.ln());
        assert!(position.agrees);
        assert_near(position.log_prob_change, 0.0);
    }

    #[test]
    fn a_token_is_clearly_first_from_twice_the_next_on() {
        let is_clear = |probabilities| {
            let p = scores(probabilities);
            Position::new(p.view(), p.view(), 0).is_clear
        };
        assert!(is_clear([0.2, 0.55, 0.25]));
        assert!(!is_clear([0.3, 0.45, 0.25]));
        assert!(is_clear([1.0, 0.0, 0.0]));
    }

    #[test]
    fn what_is_added_to_all_scores_changes_nothing_however_large_they_are() {
        let p = arr1(&[3.0_f32, -1.0, 0.5]);
        let shifted = Position::new(p.view(), (&p + 1024.0).view(), 1);
        assert_near(shifted.kl, 0.0);
        assert!(shifted.agrees);
        let apart = Position::new(
            arr1(&[1e30_f32, 0.0]).view(),
            arr1(&[0.0_f32, 1e30]).view(),
            0,
        );
        assert_eq!(apart.kl, f64::from(1e30_f32));
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let p = arr1(&[0.3_f32, 7.0, 7.0, -30.0]);
        let position = Position::new(p.view(), p.view(), 3);
        let expected = Position {
            kl: 0.0,
            agrees: true,
            is_clear: false,
            log_prob_change: 0.0,
        };
        assert_eq!(position, expected);
        let divergence = Divergence::of(&[position; 7]);
        assert_eq!((divergence.mean_kl, divergence.p99_kl), (0.0, 0.0));
        assert_eq!(divergence.top1_agreement, 1.0);
    }

    #[test]
    fn positions_are_summed_up() {
        let position = |i: usize| Position {
            kl: i as f64,
            agrees: i.is_multiple_of(4),
            is_clear: i < 8,
            log_prob_change: 0.5,
        };
        let divergence = Divergence::of(&(0..200).map(position).collect::<Vec<_>>());
        let expected = Divergence {
            positions: 200,
            mean_kl: 99.5,
            // 198 of the values 0 to 199 do not exceed 197.
            p99_kl: 197.0,
            top1_agreement: 0.25,
            clear_positions: 8,
            clear_agreement: 0.25,
            mean_log_prob_change: 0.5,
        };
        assert_eq!(divergence, expected);
        assert_eq!(Divergence::of(&[position(5)]).p99_kl, 5.0);
        let none = Divergence::of(&[]);
        assert_eq!(
            (none.mean_kl, none.top1_agreement, none.clear_agreement),
            (0.0, 1.0, 1.0)
        );
    }
}
