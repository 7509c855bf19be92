//! Blocks of the VQ tokenizer, shared by its encoder and decoder.

use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d, conv2d_with, group_norm, upsampled_conv2d};
use crate::onnx::{Conv, Value, shape};

/// What residual blocks call the convolution of their shortcut.
const SHORTCUT: &str = "nin_shortcut";

/// The VQ tokenizer's place in a checkpoint.
pub(crate) fn vq_model_of<'c>(model: &Module<'c>) -> Module<'c> {
    model.at(["gen_vision_model", "model.vqmodel"])
}

/// Levels of resolution, of which the encoder and the decoder have equally many. Those of the
/// decoder are counted: without residual blocks, the encoder's last level has no weights.
pub(crate) fn num_levels(vq: &Module<'_>) -> usize {
    vq.at("decoder").each(["conv_blocks", "up"]).len()
}

/// The codebook, each row at unit length: `[codes, width]`.
///
/// Code and latent are compared, and decoded, by direction alone; rows are divided by their length
/// once, here.
pub(crate) fn codebook(m: &Module<'_>, codes: usize) -> Result<(Vec<f32>, [usize; 2])> {
    let table = m.at("quantize.embedding");
    let width = table.extent("weight", 1)?;
    let mut rows = table.weight("weight", &[codes, width])?.read()?;
    for row in rows.chunks_exact_mut(width) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x /= length);
    }
    Ok((rows, [codes, width]))
}

/// The middle: residual, attention, residual.
pub(crate) fn middle<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let x = res_block(&m.at(["0", "block_1"]), x, SHORTCUT)?;
    let x = attn_block(&m.at(["1", "attn_1"]), x)?;
    res_block(&m.at(["2", "block_2"]), x, SHORTCUT)
}

/// Residual blocks of a level, each followed by its attention where the checkpoint has one.
pub(crate) fn level<'g>(m: &Module<'_>, mut x: Value<'g>) -> Result<Value<'g>> {
    for (i, block) in m.each(["res", "block"]).enumerate() {
        x = res_block(&block, x, SHORTCUT)?;
        let attention = m.at("attn").at(i);
        if attention.has("norm.weight") {
            x = attn_block(&attention, x)?;
        }
    }
    Ok(x)
}

/// `shortcut(x) + conv2(swish(norm2(conv1(swish(norm1(x))))))`; the shortcut is a convolution of
/// that name where the number of channels changes.
pub(crate) fn res_block<'g>(m: &Module<'_>, x: Value<'g>, shortcut: &str) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let h = group_norm(&m.at("norm1"), x)?.silu();
    let h = conv2d(&m.at("conv1"), h, 3)?;
    let h = group_norm(&m.at("norm2"), h)?.silu();
    let h = conv2d(&m.at("conv2"), h, 3)?;
    let out = h.extent(1);
    let x = match x.extent(1) == out {
        true => x,
        false => conv2d_with(&m.at(shortcut), x, out, Conv::same(1))?,
    };
    Ok(x + h)
}

/// Each pixel as 2 × 2, then a convolution.
pub(crate) fn upsample<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    upsampled_conv2d(&m.at("conv"), x)
}

/// `x + proj_out(attention(norm(x)))`, one head over all positions.
fn attn_block<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let h = group_norm(&m.at("norm"), x)?;
    let channels = x.extent(1);
    let flat = shape![x.dim(0), channels, x.extent(2) * x.extent(3)];
    let project = |name: &str, h| conv2d_with(&m.at(name), h, channels, Conv::same(1));
    let [q, k, v] = [project("q", h)?, project("k", h)?, project("v", h)?]
        .map(|value| value.reshape(flat.clone()));

    let scale = x.graph().scalar((channels as f32).powf(-0.5));
    let weights = (q.transpose(&[0, 2, 1]).matmul(k) * scale).softmax(-1); // [n, to, from]
    let h = v.matmul(weights.transpose(&[0, 2, 1])).reshape(x.shape());
    Ok(x + project("proj_out", h)?)
}
