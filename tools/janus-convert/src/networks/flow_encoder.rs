//! JanusFlow's generation encoder (section 3.2): latents on their way from noise to picture, as
//! positions of the language model.
//!
//! ```text
//! timesteps [n] ─ cos, sin ─ linear · silu · linear ─► time_embeds [n, H] ───────────┐
//!                                                        │                          ▼
//! latents [n, c, 48, 48] ─ in_conv 2×2 ─► convnext² ─► skip [n, W, 24, 24] ─ linear ─ concat
//!                                                          inputs_embeds [n, 1 + tokens, H] ◄┘
//! ```

use janus_runtime::manifest::Operators;
use janus_runtime::{tensors, time_frequencies};

use super::IMAGES;
use super::convnext::{mid_block, to_places};
use crate::config::FlowSizes;
use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d_with, linear};
use crate::onnx::{Conv, DType, GraphBuilder, Value, shape};
use crate::weight::Computed;

/// The generation encoder's place in a checkpoint.
pub(crate) fn flow_encoder_of<'c>(model: &Module<'c>) -> Module<'c> {
    model.at("vision_gen_enc_model")
}

/// `flow_encoder.onnx`
pub(crate) fn flow_encoder(
    g: &GraphBuilder,
    model: &Module<'_>,
    c: &FlowSizes<'_>,
    hidden_size: usize,
) -> Result<()> {
    let m = flow_encoder_of(model);
    let side = c.config.latent_size;
    let latents = shape![IMAGES, c.config.latent_channels, side, side];
    let latents = g.input(tensors::LATENTS, DType::F32, latents);
    let time_embeds = embed_time(g, &m.at("time_embed"), c.width, hidden_size)?;
    let patch = Conv {
        kernel: c.patch_size,
        stride: c.patch_size,
        pads: [0; 4],
    };
    let x = conv2d_with(&m.at("in_conv"), latents, c.width, patch)?;
    let x = mid_block(&m, x, time_embeds, c)?;

    let tokens = linear(
        &model.at("vision_gen_enc_aligner"),
        to_places(x),
        hidden_size,
    )?;
    let time = time_embeds.reshape(shape![IMAGES, 1, hidden_size]);
    time.followed_by(tokens, 1).output(tensors::INPUTS_EMBEDS);
    time_embeds.output(tensors::TIME_EMBEDS);
    x.output(tensors::SKIP);
    Ok(())
}

/// Waves of falling frequency, then a perceptron.
///
/// In the standard's operators the waves are an input: not every provider has sines that are near for
/// large angles.
fn embed_time<'g>(
    g: &'g GraphBuilder,
    m: &Module<'_>,
    width: usize,
    hidden_size: usize,
) -> Result<Value<'g>> {
    let x = match g.operators() {
        Operators::Standard => g.input(tensors::TIME_WAVES, DType::F32, shape![IMAGES, width]),
        Operators::Fused => {
            let timesteps = g.input(tensors::TIMESTEPS, DType::F32, shape![IMAGES]);
            let _scope = g.enter(m);
            let waves = Computed(time_frequencies(width / 2));
            let name = format!("{m}.frequencies");
            let waves = g.weight(name, DType::F32, &[1, width / 2], waves);
            let angles = timesteps.reshape(shape![IMAGES, 1]) * waves;
            angles.cos().followed_by(angles.sin(), 1)
        }
    };
    let _scope = g.enter(m);
    let x = linear(&m.at("linear_1"), x, hidden_size)?.silu();
    linear(&m.at("linear_2"), x, hidden_size)
}
