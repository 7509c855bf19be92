//! The transformer in fixed sizes: one row and so many positions a run, as some execution providers
//! want it. Whatever runs is brought into these sizes here, and the cache is kept here. A cache has the
//! size that the graph reads: that of a bucket, or the context.

use janus_runtime::manifest::LanguageConfig;
use janus_runtime::{Graph, Input, Output, tensors};
use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis, s};

use crate::embeddings::{Embeddings, HiddenStates};
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;

/// What hides a position: e^−30000 is zero, and 16-bit floats can hold it.
const HIDDEN: f32 = -3e4;

/// Why the elements of the cache are at hand.
const HOST_CACHE: &str = "the cache of graphs of fixed size is the host's";

/// Runs a graph of fixed size on new positions, which are numbered from `starts` on in each row, row
/// by row and piece by piece, and extends the cache by them.
pub(crate) fn extend(
    graph: &mut Graph,
    embeds: &Embeddings,
    starts: &[usize],
    cache: &mut KvCache,
    config: &LanguageConfig,
) -> Result<HiddenStates> {
    let (rows, new) = (embeds.rows(), embeds.positions());
    let size = graph.entry().positions().unwrap_or(1);
    let mut hidden = Array3::zeros((rows, new, config.hidden_size));
    let before = cache.lengths.clone();
    for (row, &start) in starts.iter().enumerate() {
        for done in (0..new).step_by(size) {
            let count = size.min(new - done);
            let piece = Piece {
                row,
                position: start + done,
                count,
                size,
            };
            let view = embeds.view();
            let run = piece.run(
                graph,
                view.slice(s![row..=row, done..done + count, ..]),
                cache,
                config,
            );
            let found = match run {
                Ok(found) => found,
                Err(error) => {
                    // What did not run as a whole did not run.
                    cache.lengths = before;
                    return Err(error);
                }
            };
            let mut place = hidden.slice_mut(s![row, done..done + count, ..]);
            place.assign(&found.slice(s![0, ..count, ..]));
        }
    }
    Ok(HiddenStates(hidden))
}

/// Positions of one row that go through the graph together; those beyond `count` are filled up.
struct Piece {
    row: usize,
    /// Number of the first.
    position: usize,
    count: usize,
    /// Positions of the graph.
    size: usize,
}

impl Piece {
    fn run(
        &self,
        graph: &mut Graph,
        embeds: ArrayView3<'_, f32>,
        cache: &mut KvCache,
        config: &LanguageConfig,
    ) -> Result<Array3<f32>> {
        let mut filled = Array3::zeros((1, self.size, config.hidden_size));
        filled.slice_mut(s![.., ..self.count, ..]).assign(&embeds);
        let [cos, sin] = self.angles(config);
        let mask = self.mask(cache);
        let past = cache.row_tensors(self.row);
        let mut inputs = vec![
            (tensors::INPUTS_EMBEDS, filled.view().into()),
            (tensors::ROTARY_COS, cos.view().into()),
            (tensors::ROTARY_SIN, sin.view().into()),
            (tensors::ATTENTION_MASK, mask.view().into()),
        ];
        let named = past.iter().map(|(name, view)| (*name, Input::from(*view)));
        inputs.extend(named);
        let mut outputs = graph.run(&inputs)?;
        let hidden = outputs.take_finite(tensors::HIDDEN_STATES)?;
        let found = hidden.shape().to_vec();
        let hidden = hidden
            .into_dimensionality()
            .map_err(|_| Error::OutputShape {
                graph: graph.kind(),
                tensor: tensors::HIDDEN_STATES,
                found,
                expected: "[1, positions, hidden]".to_owned(),
            })?;
        let present = outputs.into_values();
        let of = |name: &str| match present.get(name) {
            Some(Output::F32(array)) => array.view().into_dimensionality().ok(),
            _ => None,
        };
        cache.append(self.row, self.count, of)?;
        Ok(hidden)
    }

    /// Cosines and sines of the angles of each position, as the tables of other graphs have them:
    /// `position · theta^(−2i / d)`.
    fn angles(&self, config: &LanguageConfig) -> [Array4<f32>; 2] {
        let width = config.head_dim;
        let angle = |position: usize, i: usize| {
            let frequency = config.rope_theta.powf(-2.0 * i as f64 / width as f64);
            (self.position + position) as f64 * frequency
        };
        [f64::cos, f64::sin].map(|f| {
            Array4::from_shape_fn((1, 1, self.size, width / 2), |(_, _, position, i)| {
                f(angle(position, i)) as f32
            })
        })
    }

    /// Each position sees those of the row so far, those before it, and itself.
    fn mask(&self, cache: &KvCache) -> Array4<f32> {
        let (past, capacity) = (cache.lengths[self.row], cache.capacity());
        let shape = (1, 1, self.size, capacity + self.size);
        Array4::from_shape_fn(shape, |(_, _, position, seen)| {
            let is_seen = match seen.checked_sub(capacity) {
                None => seen < past,
                Some(new) => new <= position,
            };
            if is_seen { 0.0 } else { HIDDEN }
        })
    }
}

impl KvCache {
    /// Keys and values of a row, `[1, kv_heads, capacity, head_dim]`, by the names that a graph reads
    /// them under.
    fn row_tensors(&self, row: usize) -> Vec<(&str, ArrayView4<'_, f32>)> {
        let shape = (1, self.kv_heads, self.capacity(), self.head_dim);
        let length = shape.1 * shape.2 * shape.3;
        (0..self.residents.len())
            .map(|tensor| {
                let elements = self.residents.elements(tensor).expect(HOST_CACHE);
                let elements = &elements[row * length..][..length];
                let view = ArrayView4::from_shape(shape, elements).expect("elements of the shape");
                (self.residents.input(tensor), view)
            })
            .collect()
    }

    /// Adds the first `count` of new positions to a row: `of` gives their keys or values by the name
    /// that a graph writes them under, `[1, kv_heads, positions, head_dim]`.
    fn append<'a>(
        &mut self,
        row: usize,
        count: usize,
        of: impl Fn(&str) -> Option<ArrayView4<'a, f32>>,
    ) -> Result<()> {
        let (capacity, kv_heads, width) = (self.capacity(), self.kv_heads, self.head_dim);
        let past = self.lengths[row];
        for tensor in 0..self.residents.len() {
            let name = self.residents.output(tensor);
            let new = of(name).filter(|new| {
                let (_, heads, positions, found) = new.dim();
                (heads, found) == (kv_heads, width) && positions >= count
            });
            let Some(new) = new else {
                return Err(Error::NoKeysOrValues {
                    tensor: name.to_owned(),
                });
            };
            let elements = self.residents.elements_mut(tensor).expect(HOST_CACHE);
            for (head, new) in new.index_axis(Axis(0), 0).outer_iter().enumerate() {
                let start = ((row * kv_heads + head) * capacity + past) * width;
                let places = elements[start..start + count * width].iter_mut();
                places.zip(&new).for_each(|(to, from)| *to = *from);
            }
        }
        self.lengths[row] += count;
        Ok(())
    }
}
