//! The two heads: scores of the next text token, and of the next image token.
//!
//! ```text
//! hidden_states [b, H] ─► lm_head ───────────────────────────────────► logits [b, V]
//! hidden_states [b, H] ─► output_mlp_projector ─ gelu ─ vision_head ─► logits [b, K]
//! ```

use janus_runtime::manifest::LanguageConfig;
use janus_runtime::tensors;

use super::BATCH;
use super::llama::language_model_of;
use crate::error::Result;
use crate::module::Module;
use crate::nn::{mlp, projection};
use crate::onnx::{DType, GraphBuilder, Value, shape};

/// `lm_head.onnx`. If `tied`, a model without a head of its own uses the embedding table.
pub(crate) fn lm_head(
    g: &GraphBuilder,
    model: &Module<'_>,
    c: &LanguageConfig,
    tied: bool,
) -> Result<()> {
    let mut head = model.at(["language_model.lm_head", "lm_head"]);
    if tied && !head.has("weight") {
        head = language_model_of(model).at("embed_tokens");
    }
    projection(&head, hidden_states(g, c), c.vocab_size)?.output_f32(tensors::LOGITS);
    Ok(())
}

/// `gen_head.onnx`. `codebook_size` is `K`.
pub(crate) fn gen_head(
    g: &GraphBuilder,
    model: &Module<'_>,
    c: &LanguageConfig,
    codebook_size: usize,
) -> Result<()> {
    let m = model.at(["gen_head", "model.generation_head"]);
    let hidden = m.at(["output_mlp_projector", "proj_out"]);
    let width = hidden.extent("weight", 0)?;
    let x = hidden_states(g, c);
    mlp([&hidden, &m.at("vision_head")], x, [width, codebook_size])?.output_f32(tensors::LOGITS);
    Ok(())
}

fn hidden_states<'g>(g: &'g GraphBuilder, c: &LanguageConfig) -> Value<'g> {
    g.input(
        tensors::HIDDEN_STATES,
        DType::F32,
        shape![BATCH, c.hidden_size],
    )
    .narrow()
}
