//! What goes into the transformer and what comes out of it.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, concatenate, s};

/// Input of the transformer, `[rows, positions, hidden]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings(pub(crate) Array3<f32>);

impl Embeddings {
    /// Takes embeddings made elsewhere, `[rows, positions, hidden]`.
    pub fn new(embeds: Array3<f32>) -> Self {
        Self(embeds)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.0.len_of(Axis(0))
    }

    /// Number of positions of every row.
    pub fn positions(&self) -> usize {
        self.0.len_of(Axis(1))
    }

    /// The elements, `[rows, positions, hidden]`.
    pub fn view(&self) -> ArrayView3<'_, f32> {
        self.0.view()
    }

    /// Overwrites the positions from `start` of a row with `embeds [n, hidden]`: this is how a
    /// picture enters a prompt.
    ///
    /// # Panics
    ///
    /// Where they do not fit.
    pub fn replace(&mut self, row: usize, start: usize, embeds: ArrayView2<'_, f32>) {
        let end = start + embeds.len_of(Axis(0));
        self.0.slice_mut(s![row, start..end, ..]).assign(&embeds);
    }

    /// The positions in `range` of every row.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self(self.0.slice(s![.., range, ..]).to_owned())
    }

    /// One row, `times` times below itself.
    ///
    /// # Panics
    ///
    /// Where there is no such row.
    pub fn repeat_row(&self, row: usize, times: usize) -> Self {
        Self(self.0.select(Axis(0), &vec![row; times]))
    }

    /// Rows one after the other, as the positions of a single row.
    pub fn joined(self) -> Self {
        let (rows, positions, hidden) = self.0.dim();
        let joined = self.0.into_shape_with_order((1, rows * positions, hidden));
        Self(joined.expect("as many elements"))
    }

    /// These positions, then those of as many rows.
    ///
    /// # Panics
    ///
    /// Where the numbers of rows differ.
    pub fn followed_by(&self, next: &Self) -> Self {
        let both = concatenate(Axis(1), &[self.view(), next.view()]);
        Self(both.expect("as many rows"))
    }

    /// Rows below one another; all need as many positions.
    ///
    /// # Panics
    ///
    /// Where `parts` is empty or the positions differ.
    pub fn stack(parts: &[Self]) -> Self {
        let views: Vec<_> = parts.iter().map(Self::view).collect();
        Self(concatenate(Axis(0), &views).expect("rows of one length"))
    }
}

/// Output of the transformer after its last norm, `[rows, positions, hidden]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenStates(pub(crate) Array3<f32>);

impl HiddenStates {
    /// The elements, `[rows, positions, hidden]`.
    pub fn view(&self) -> ArrayView3<'_, f32> {
        self.0.view()
    }

    /// Every position of these, row by row, `[rows, hidden]`.
    ///
    /// # Panics
    ///
    /// Where `states` is empty.
    pub fn every_position(states: &[Self]) -> Array2<f32> {
        let rows = states.iter().flat_map(|states| states.0.outer_iter());
        let rows: Vec<_> = rows.collect();
        concatenate(Axis(0), &rows).expect("rows of one width")
    }

    /// The last position of every row, `[rows, hidden]`: what the heads read.
    pub fn last(&self) -> Array2<f32> {
        self.0.slice(s![.., -1, ..]).to_owned()
    }

    /// The last position of the rows in `rows`, in that order, `[rows, hidden]`.
    pub fn last_of(&self, rows: &[usize]) -> Array2<f32> {
        self.0.slice(s![.., -1, ..]).select(Axis(0), rows)
    }
}
