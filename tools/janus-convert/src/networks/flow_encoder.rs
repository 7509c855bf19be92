//! JanusFlow's generation encoder (section 3.2): latents on their way from noise to picture, as
//! positions of the language model.
//!
//! ```text
//! timesteps [n] ─ cos, sin ─ linear · silu · linear ─► time_embeds [n, H] ───────────┐
//!                                                        │                          ▼
//! latents [n, c, 48, 48] ─ in_conv 2×2 ─► convnext² ─► skip [n, W, 24, 24] ─ linear ─ concat
//!                                                          inputs_embeds [n, 1 + tokens, H] ◄┘
//! ```

use janus_runtime::tensors;

use super::IMAGES;
use super::convnext::{mid_block, to_places};
use crate::config::FlowSizes;
use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d_with, linear};
use crate::onnx::{Conv, DType, GraphBuilder, Value, shape};
use crate::weight::Computed;

/// The longest wave of the time embedding takes 2π times as many timesteps.
const MAX_PERIOD: f64 = 10_000.0;

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
    let timesteps = g.input(tensors::TIMESTEPS, DType::F32, shape![IMAGES]);

    let time_embeds = embed_time(&m.at("time_embed"), timesteps, c.width, hidden_size)?;
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
fn embed_time<'g>(
    m: &Module<'_>,
    timesteps: Value<'g>,
    width: usize,
    hidden_size: usize,
) -> Result<Value<'g>> {
    let graph = timesteps.graph();
    let _scope = graph.enter(m);
    let waves = frequencies(width / 2);
    let name = format!("{m}.frequencies");
    let waves = graph.weight(name, DType::F32, &[1, width / 2], Computed(waves));
    let angles = timesteps.reshape(shape![IMAGES, 1]) * waves;
    let x = angles.cos().followed_by(angles.sin(), 1);
    let x = linear(&m.at("linear_1"), x, hidden_size)?.silu();
    linear(&m.at("linear_2"), x, hidden_size)
}

/// `10000^(−i / count)`, rounded as the official code rounds it: angles of hundreds of radians
/// magnify the last bit.
fn frequencies(count: usize) -> Vec<f32> {
    let exponent = -(MAX_PERIOD.ln() as f32);
    let frequency = |i| f64::from(exponent * i as f32 / count as f32).exp() as f32;
    (0..count).map(frequency).collect()
}
