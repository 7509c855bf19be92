//! The decoder of the SDXL VAE (Podell et al., 2023), into whose latents JanusFlow draws.
//!
//! ```text
//! latents [n, 4, 48, 48] ─ / scaling_factor ─ post_quant_conv 1×1 ─ conv_in 3×3
//!   ─► middle: res · attn · res ─► res³ ─ ↑2 ─► res³ ─ ↑2 ─► res³ ─ ↑2 ─► res³
//!   ─ group_norm · silu · conv_out 3×3 ─► pixels [n, 3, 384, 384], about −1 to 1
//! ```
//!
//! Its activations exceed what 16-bit floats can hold.

use janus_runtime::tensors;

use super::IMAGES;
use super::convnext::{to_picture, to_places};
use super::vq_blocks::{res_block, upsample};
use crate::config::FlowSizes;
use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d, conv2d_with, group_norm, linear};
use crate::onnx::{Conv, DType, GraphBuilder, Value, shape};

/// What residual blocks call the convolution of their shortcut.
const SHORTCUT: &str = "conv_shortcut";

/// `vae_decoder.onnx`
pub(crate) fn vae_decoder(g: &GraphBuilder, c: &FlowSizes<'_>) -> Result<()> {
    let vae = &c.vae;
    let side = c.config.latent_size;
    let latents = shape![IMAGES, c.config.latent_channels, side, side];
    let latents = g.input(tensors::LATENTS, DType::F32, latents);

    let x = latents / g.scalar(c.scaling_factor);
    let x = conv2d(&vae.at("post_quant_conv"), x, 1)?;
    let m = vae.at("decoder");
    let x = conv2d(&m.at("conv_in"), x, 3)?;
    let mut x = middle(&m.at("mid_block"), x)?;

    for block in m.each("up_blocks") {
        for res in block.each("resnets") {
            x = res_block(&res, x, SHORTCUT)?;
        }
        let next = block.at("upsamplers.0");
        if next.has("conv.weight") {
            x = upsample(&next, x)?;
        }
    }

    let x = group_norm(&m.at("conv_norm_out"), x)?.silu();
    conv2d_with(&m.at("conv_out"), x, 3, Conv::same(3))?.output(tensors::PIXELS);
    Ok(())
}

/// The middle: residual, attention, residual.
fn middle<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let x = res_block(&m.at("resnets.0"), x, SHORTCUT)?;
    let x = attention(&m.at("attentions.0"), x)?;
    res_block(&m.at("resnets.1"), x, SHORTCUT)
}

/// `x + to_out(attention(group_norm(x)))`, one head over all places.
fn attention<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let channels = x.extent(1);
    let h = to_places(group_norm(&m.at("group_norm"), x)?);
    let project = |name: &str, h| linear(&m.at(name), h, channels);
    let (q, k, v) = (
        project("to_q", h)?,
        project("to_k", h)?,
        project("to_v", h)?,
    );
    let h = project("to_out.0", q.multi_head_attention(k, v, 1))?;
    Ok(x + to_picture(h, [x.extent(2), x.extent(3)]))
}
