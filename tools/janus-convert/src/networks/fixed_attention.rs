//! Causal attention in the standard's operators, for one row and a fixed number of positions.
//!
//! ```text
//! q, k ─ rotate by halves ─► q · [past_k, k]ᵀ / √d + attention_mask ─ softmax ─► · [past_v, v]
//! ```
//!
//! Past and new positions are multiplied apart and joined in the scores, so that no cache is copied.
//! Angles and mask are inputs: providers for fixed sizes have neither `Gather` nor comparisons.

use janus_runtime::manifest::LanguageConfig;
use janus_runtime::tensors;

use super::CAPACITY;
use crate::onnx::{DType, GraphBuilder, Value, shape};

/// What every layer reads: the angles of the new positions, and what each of them sees.
pub(super) struct FixedPositions<'g> {
    cos: Value<'g>,
    sin: Value<'g>,
    mask: Value<'g>,
    /// Number of new positions.
    count: usize,
    /// Number of positions of the cache.
    capacity: usize,
}

impl<'g> FixedPositions<'g> {
    /// The inputs for `count` new positions. The cache has as many as the bucket that the graph is for,
    /// or else the context.
    pub(super) fn new(g: &'g GraphBuilder, count: usize, c: &LanguageConfig) -> Self {
        let capacity = g.fixed(CAPACITY).unwrap_or(c.context_length);
        let angles = shape![1, 1, count, c.head_dim / 2];
        let mask = shape![1, 1, count, capacity + count];
        Self {
            cos: g.input(tensors::ROTARY_COS, DType::F32, angles.clone()),
            sin: g.input(tensors::ROTARY_SIN, DType::F32, angles),
            mask: g.input(tensors::ATTENTION_MASK, DType::F32, mask),
            count,
            capacity,
        }
    }

    /// Attention of the new positions `[1, s, queries, keys and values]`; and their keys and values,
    /// `[1, kv_heads, s, d]`.
    pub(super) fn attention(
        &self,
        qkv: Value<'g>,
        layer: usize,
        c: &LanguageConfig,
    ) -> [Value<'g>; 3] {
        let g = qkv.graph();
        let (heads, kv_heads, width) = (c.num_heads, c.num_kv_heads, c.head_dim);
        let past = shape![1, kv_heads, self.capacity, width];
        let past_key = g.input(tensors::past_key(layer), DType::F32, past.clone());
        let past_value = g.input(tensors::past_value(layer), DType::F32, past);

        let [q, k, v] = qkv.split([heads * width, kv_heads * width, kv_heads * width]);
        let query = self.rotated(q.part_heads(heads));
        let key = self.rotated(k.part_heads(kv_heads));
        let value = v.part_heads(kv_heads);

        // Heads that share keys lie below one another.
        let group = heads / kv_heads;
        let query = query.reshape(shape![1, kv_heads, group * self.count, width]);
        let mask = (1..group).fold(self.mask, |mask, _| mask.followed_by(self.mask, 2));
        let of = |key: Value<'g>| query.matmul(key.transpose(&[0, 1, 3, 2]));
        let scores = of(past_key).followed_by(of(key), -1);
        let scale = g.scalar((width as f32).powf(-0.5));
        let weights = (scores * scale + mask).softmax(-1);

        let [of_past, of_new] = weights.split([self.capacity, self.count]);
        let output = of_past.matmul(past_value) + of_new.matmul(value);
        let output = output.reshape(shape![1, heads, self.count, width]);
        [output.join_heads(), key, value]
    }

    /// `[1, heads, s, d]`, each head turned by its position, by halves.
    fn rotated(&self, x: Value<'g>) -> Value<'g> {
        let half = x.extent(-1) / 2;
        let [left, right] = x.split([half; 2]);
        let turned = left * self.cos - right * self.sin;
        turned.followed_by(right * self.cos + left * self.sin, -1)
    }
}
