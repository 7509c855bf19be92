//! The multi-layer perceptrons that lead into the space of the language model: from the vision
//! encoder, and from the embedding of image tokens (Janus, section 3.1: "understanding adaptor",
//! "generation adaptor").
//!
//! ```text
//! image features [n, tokens, W] ─► linear ─ (gelu ─ linear)* ─► image_embeds  [n, tokens, H]
//! image_tokens [b, s] ─ gen_embed ─► linear ─ (gelu ─ linear)* ─► inputs_embeds [b, s, H]
//! ```

use janus_runtime::tensors;

use super::{BATCH, SEQUENCE};
use crate::error::Result;
use crate::module::Module;
use crate::nn::{embedding, linear};
use crate::onnx::{DType, GraphBuilder, Value, shape};

/// `gen_embed.onnx`: the image embedding table is its own, not the codebook of the VQ tokenizer.
pub(crate) fn gen_embed(
    g: &GraphBuilder,
    model: &Module<'_>,
    codebook_size: usize,
    hidden_size: usize,
) -> Result<()> {
    let tokens = g.input(tensors::IMAGE_TOKENS, DType::I64, shape![BATCH, SEQUENCE]);
    let table = model.at(["gen_embed", "model.generation_embeddings"]);
    let width = table.extent("weight", 1)?;
    let x = embedding(&table, tokens, [codebook_size, width])?;
    let x = align(&gen_aligner_of(model), x, hidden_size)?;
    x.output_f32(tensors::INPUTS_EMBEDS);
    Ok(())
}

/// The adaptor behind the vision encoder.
pub(crate) fn aligner_of<'c>(model: &Module<'c>) -> Module<'c> {
    model.at(["aligner", "model.aligner"])
}

/// The adaptor behind the image embedding.
pub(crate) fn gen_aligner_of<'c>(model: &Module<'c>) -> Module<'c> {
    model.at(["gen_aligner", "model.generation_aligner"])
}

/// Linear layers of an adaptor.
pub(crate) fn depth_of(m: &Module<'_>) -> usize {
    (0..).take_while(|&i| layer(m, i).has("weight")).count()
}

/// `linear`, then `gelu` and `linear` for each further layer.
pub(crate) fn align<'g>(m: &Module<'_>, x: Value<'g>, hidden_size: usize) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let first = linear(&layer(m, 0), x, hidden_size)?;
    (1..depth_of(m)).try_fold(first, |x, i| linear(&layer(m, i), x.gelu(), hidden_size))
}

/// The linear layer `i`; the released layout counts the activations between them too.
fn layer<'c>(m: &Module<'c>, i: usize) -> Module<'c> {
    match i {
        0 => m.at(["layers.0", "fc1"]),
        _ => m.at([
            format!("layers.{}", 2 * i),
            format!("hidden_layers.{}", i - 1),
        ]),
    }
}
