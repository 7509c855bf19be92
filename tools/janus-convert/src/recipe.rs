//! The choices in which the graphs for one family of execution providers differ from another's.
//!
//! | weights | `fp32` | `fp16` |
//! |---|---|---|
//! | matrices of linear layers, in every network but the VQ tokenizer | f32 | f16 |
//! | text embedding table | f32 | f16 |
//! | image embedding table (8 wide), codebook | f32 | f32 |
//! | convolutions, norms, biases, position embeddings, rotary tables | f32 | f32 |
//!
//! A 16-bit weight is followed by a `Cast`, which ONNX Runtime folds when it opens the graph:
//! on the CPU all arithmetic, inputs and outputs are f32.

use janus_runtime::manifest::DType as Precision;

use crate::onnx::DType;

/// How graphs are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// Type in which the matrices of linear layers and the text embedding table are stored.
    pub(crate) matrices: DType,
}

impl Recipe {
    /// For ONNX Runtime's CPU provider.
    pub(crate) fn cpu(precision: Precision) -> Self {
        let matrices = match precision {
            Precision::Fp32 => DType::F32,
            Precision::Fp16 => DType::F16,
        };
        Self { matrices }
    }

    /// Whether `GroupQueryAttention` turns queries and keys itself. Its kernel takes rotary
    /// tables only for heads of a multiple of 16; others are turned before.
    pub(crate) fn rotary_in_attention(self, head_dim: usize) -> bool {
        head_dim.is_multiple_of(16)
    }
}
