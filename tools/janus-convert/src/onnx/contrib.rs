//! ONNX Runtime's own operators: one short method each; and what they are in the standard's, for
//! providers that have only those.

use janus_runtime::manifest::Operators;

use super::MICROSOFT;
use super::shape::{DType, Dim, matrix_product, shape};
use super::value::Value;

/// Sizes of a [`Value::group_query_attention`].
#[derive(Clone, Copy)]
pub(crate) struct GroupedQuery {
    pub(crate) num_heads: usize,
    pub(crate) num_kv_heads: usize,
    pub(crate) head_dim: usize,
}

/// What [`Value::group_query_attention`] reads beside queries, keys and values.
#[derive(Clone, Copy)]
pub(crate) struct CacheInputs<'g> {
    pub(crate) past_key: Value<'g>,
    pub(crate) past_value: Value<'g>,
    /// Positions in the cache after the step, less one.
    pub(crate) seqlens_k: Value<'g>,
    /// The longest row after the step.
    pub(crate) total_sequence_length: Value<'g>,
}

/// Rotary tables `[positions, head_dim / 2]` and the row of each input position.
#[derive(Clone, Copy)]
pub(crate) struct Rotary<'g> {
    pub(crate) cos: Value<'g>,
    pub(crate) sin: Value<'g>,
    pub(crate) position_ids: Value<'g>,
}

impl<'g> Value<'g> {
    /// Root mean square norm over the last axis. ONNX Runtime keeps it in the standard domain.
    pub(crate) fn rms_norm(self, weight: Self, eps: f32) -> Self {
        assert_eq!(
            self.dim(-1),
            weight.dim(0),
            "SimplifiedLayerNormalization of {self:?}"
        );
        if self.graph().operators() == Operators::Standard {
            let last = self.shape().len() - 1;
            let mean = (self * self).reduce_mean(last);
            return self / (mean + self.graph().scalar(eps)).sqrt() * weight;
        }
        self.op("SimplifiedLayerNormalization")
            .input(weight)
            .int("axis", -1)
            .float("epsilon", eps)
            .int("stash_type", DType::F32.proto() as i64)
            .like(self)
    }

    /// The product with a matrix of integers in blocks: `codes [out, blocks, bytes]` and `scales
    /// [out, blocks]`. Accuracy level 4 lets the kernel round activations to 8 bits, without which
    /// it restores the weights first.
    pub(crate) fn matmul_blocks(self, codes: Self, scales: Self, bits: usize, size: usize) -> Self {
        let (inner, outer) = (self.extent(-1), codes.extent(0));
        assert_eq!(
            inner.div_ceil(size),
            codes.extent(1),
            "MatMulNBits of {self:?}"
        );
        let mut shape = self.shape();
        shape.pop();
        shape.push(outer.into());
        self.op("MatMulNBits")
            .domain(MICROSOFT)
            .input(codes)
            .input(scales)
            .int("K", inner as i64)
            .int("N", outer as i64)
            .int("bits", bits as i64)
            .int("block_size", size as i64)
            .int("accuracy_level", 4)
            .output(self.dtype(), shape)
    }

    /// The product of bytes, less `middle`, with integers `[in, out]`, times `scales [out]`.
    pub(crate) fn matmul_integers(self, middle: Self, weight: Self, scales: Self) -> Self {
        let shape = matrix_product(&self.shape(), &weight.shape());
        let one = self.graph().scalar(1.0);
        self.op("MatMulIntegerToFloat")
            .domain(MICROSOFT)
            .input(weight)
            .input(one)
            .input(scales)
            .input(middle)
            .output(DType::F32, shape)
    }

    /// Attention of every position to every other; `self` are the queries `[n, s, heads · d]`.
    pub(crate) fn multi_head_attention(self, key: Self, value: Self, num_heads: usize) -> Self {
        if self.graph().operators() == Operators::Standard {
            let [query, key, value] = [self, key, value].map(|it| it.part_heads(num_heads));
            let scale = (query.extent(-1) as f32).powf(-0.5);
            let scores = query.matmul(key.transpose(&[0, 1, 3, 2]));
            let weights = (scores * self.graph().scalar(scale)).softmax(-1);
            return weights.matmul(value).join_heads();
        }
        self.op("MultiHeadAttention")
            .domain(MICROSOFT)
            .input(key)
            .input(value)
            .int("num_heads", num_heads as i64)
            .like(self)
    }

    /// `[n, s, heads · d]` as `[n, heads, s, d]`.
    pub(crate) fn part_heads(self, num_heads: usize) -> Self {
        let width = self.extent(-1) / num_heads;
        self.reshape(shape![self.dim(0), self.dim(1), num_heads, width])
            .transpose(&[0, 2, 1, 3])
    }

    /// `[n, heads, s, d]` as `[n, s, heads · d]`.
    pub(crate) fn join_heads(self) -> Self {
        let width = self.extent(1) * self.extent(-1);
        let joined = shape![self.dim(0), self.dim(2), width];
        self.transpose(&[0, 2, 1, 3]).reshape(joined)
    }

    /// Causal attention with a cache that is appended to in place. `self` are the queries of the
    /// new positions; or the queries, keys and values, packed in this order along the last axis.
    /// `rotary` turns queries and keys on the way. Gives the output, the keys and the values.
    pub(crate) fn group_query_attention(
        self,
        keys_values: Option<[Self; 2]>,
        cache: CacheInputs<'g>,
        rotary: Option<Rotary<'g>>,
        sizes: GroupedQuery,
    ) -> [Self; 3] {
        let GroupedQuery {
            num_heads,
            num_kv_heads,
            head_dim,
        } = sizes;
        let heads = if keys_values.is_some() {
            num_heads
        } else {
            num_heads + 2 * num_kv_heads
        };
        assert_eq!(
            self.dim(-1),
            Dim::Fixed(heads * head_dim),
            "GroupQueryAttention of {self:?}"
        );
        let node = self
            .op("GroupQueryAttention")
            .domain(MICROSOFT)
            .optional(keys_values.map(|[key, _]| key))
            .optional(keys_values.map(|[_, value]| value))
            .input(cache.past_key)
            .input(cache.past_value)
            .input(cache.seqlens_k)
            .input(cache.total_sequence_length)
            .int("num_heads", num_heads as i64)
            .int("kv_num_heads", num_kv_heads as i64)
            .int("do_rotary", i64::from(rotary.is_some()));
        let node = match rotary {
            Some(Rotary {
                cos,
                sin,
                position_ids,
            }) => node.input(cos).input(sin).input(position_ids),
            None => node,
        };
        let output = shape![self.dim(0), self.dim(1), num_heads * head_dim];
        node.outputs([
            (self.dtype(), output),
            (self.dtype(), cache.past_key.shape()),
            (self.dtype(), cache.past_value.shape()),
        ])
    }

    /// Turns each head of `[b, s, heads · d]` by its position; a head is rotated by halves.
    pub(crate) fn rotary_embedding(self, rotary: Rotary<'g>) -> Self {
        self.op("RotaryEmbedding")
            .domain(MICROSOFT)
            .input(rotary.position_ids)
            .input(rotary.cos)
            .input(rotary.sin)
            .int("interleaved", 0)
            .like(self)
    }
}
