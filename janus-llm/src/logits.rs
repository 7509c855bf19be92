//! Scores over one of the two vocabularies.

use std::marker::PhantomData;

use janus_runtime::Token;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

/// Scores over one of the two vocabularies, one row per sequence.
///
/// The type parameter says which: sampling `Logits<ImageToken>` can only give an image token.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits<T: Token> {
    rows: Array2<f32>,
    vocabulary: PhantomData<T>,
}

impl<T: Token> Logits<T> {
    /// Takes scores, `[rows, vocabulary]`.
    pub fn new(rows: Array2<f32>) -> Self {
        Self {
            rows,
            vocabulary: PhantomData,
        }
    }

    /// The scores, `[rows, vocabulary]`.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// The scores of one row.
    ///
    /// # Panics
    ///
    /// Where there is no such row.
    pub fn row(&self, row: usize) -> ArrayView1<'_, f32> {
        self.rows.row(row)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len_of(Axis(0))
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Only the rows in `rows`.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn select(&self, rows: std::ops::Range<usize>) -> Self {
        Self::new(self.rows.slice(s![rows, ..]).to_owned())
    }

    /// Only the first `vocabulary` scores: an embedding table may have more rows than the
    /// tokenizer has tokens, and those must never be drawn.
    pub fn limited(mut self, vocabulary: usize) -> Self {
        let width = vocabulary.min(self.rows.len_of(Axis(1)));
        self.rows.slice_collapse(s![.., ..width]);
        self
    }

    /// Classifier-free guidance: `uncond + scale · (cond − uncond)`.
    ///
    /// Expects the conditional rows first and as many unconditional rows after them.
    ///
    /// # Panics
    ///
    /// Where the number of rows is odd.
    pub fn guided(self, scale: f32) -> Self {
        assert!(
            self.len().is_multiple_of(2),
            "a conditional row for every unconditional one"
        );
        let (cond, uncond) = self.rows.view().split_at(Axis(0), self.len() / 2);
        Self::new(&uncond + scale * (&cond - &uncond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use janus_runtime::ImageToken;
    use ndarray::arr2;

    #[test]
    fn guidance_extrapolates_from_the_unconditional_row() {
        let logits = Logits::<ImageToken>::new(arr2(&[[1.0, 2.0], [0.5, 4.0]]));
        assert_eq!(logits.clone().guided(5.0).view(), arr2(&[[3.0, -6.0]]));
        assert_eq!(logits.clone().guided(1.0).view(), arr2(&[[1.0, 2.0]]));
        assert_eq!(logits.guided(0.0).view(), arr2(&[[0.5, 4.0]]));
    }

    #[test]
    fn scores_beyond_the_tokenizer_are_dropped() {
        let logits = Logits::<ImageToken>::new(arr2(&[[1.0, 2.0, 9.0]]));
        assert_eq!(logits.limited(2).view(), arr2(&[[1.0, 2.0]]));
    }
}
