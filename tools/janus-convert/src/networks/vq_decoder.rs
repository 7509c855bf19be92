//! The VQ decoder (Janus, section 3.1: image tokens → pixels), that of LlamaGen's "VQ-16".
//!
//! ```text
//! image_tokens [n, tokens] ─ codebook, rows at unit length ─► [n, 8, 24, 24]
//!   ─ post_quant_conv 1×1 ─ conv_in 3×3 ─► middle: res · attn · res
//!   ─► (res · attn)³ ─ ↑2 ─► res³ ─ ↑2 ─► res³ ─ ↑2 ─► res³ ─ ↑2 ─► res³
//!   ─ group_norm · swish · conv_out 3×3 ─► pixels [n, 3, 384, 384], about −1 to 1
//! ```
//!
//! The sizes are those of the released models; how many levels and blocks there are, and which
//! have attention, is read off the checkpoint.

use janus_runtime::manifest::VqConfig;
use janus_runtime::tensors;

use super::IMAGES;
use super::vq_blocks::{codebook, level, middle, num_levels, upsample, vq_model_of};
use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d, conv2d_with, group_norm};
use crate::onnx::{Conv, DType, GraphBuilder, Value, shape};
use crate::weight::Computed;

/// `vq_decoder.onnx`
pub(crate) fn vq_decoder(g: &GraphBuilder, model: &Module<'_>, c: &VqConfig) -> Result<()> {
    let m = vq_model_of(model);
    let tokens = g.input(
        tensors::IMAGE_TOKENS,
        DType::I64,
        shape![IMAGES, c.num_tokens()],
    );
    let x = codebook_entries(&m, tokens, c)?;
    let x = conv2d(&m.at("post_quant_conv"), x, 1)?;

    let levels = num_levels(&m);
    let m = m.at("decoder");
    let x = conv2d(&m.at("conv_in"), x, 3)?;
    let mut x = middle(&m.at("mid"), x)?;

    for i in 0..levels {
        let block = m.at(["conv_blocks", "up"]).at(i);
        x = level(&block, x)?;
        if i + 1 < levels {
            x = upsample(&block.at("upsample"), x)?;
        }
    }

    let x = group_norm(&m.at("norm_out"), x)?.silu();
    conv2d_with(&m.at("conv_out"), x, 3, Conv::same(3))?.output(tensors::PIXELS);
    Ok(())
}

/// The code of each token, laid out as a picture: `[n, width, rows, columns]`.
fn codebook_entries<'g>(m: &Module<'_>, tokens: Value<'g>, c: &VqConfig) -> Result<Value<'g>> {
    let graph = tokens.graph();
    let _scope = graph.enter(m.at("quantize"));
    let (codes, dims) = codebook(m, c.codebook_size)?;
    let table = graph.weight(
        format!("{m}.quantize.codebook"),
        DType::F32,
        &dims,
        Computed(codes),
    );
    let [rows, columns] = c.grid;
    let codes = table.rows(tokens).transpose(&[0, 2, 1]);
    Ok(codes.reshape(shape![IMAGES, dims[1], rows, columns]))
}
