//! JanusFlow's generation decoder (section 3.2): what the language model makes of the positions of
//! a picture, as the velocity of its latent.
//!
//! ```text
//! hidden_states [n, tokens, H] ─ rms_norm · linear ─ rms_norm ─► [n, W, 24, 24]
//!   ─ concat skip [n, W, 24, 24] ─► convnext² ─ rms_norm · conv 1×1 ─ pixel_shuffle
//!   ─► velocity [n, c, 48, 48]
//! ```
//!
//! The hidden states have been through the language model's last norm; the one here is another.

use janus_runtime::tensors;

use super::IMAGES;
use super::convnext::{mid_block, to_picture, to_places};
use crate::config::FlowSizes;
use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d_with, linear, rms_norm};
use crate::onnx::{Conv, DType, GraphBuilder, shape};

/// The generation decoder's place in a checkpoint.
pub(crate) fn flow_decoder_of<'c>(model: &Module<'c>) -> Module<'c> {
    model.at("vision_gen_dec_model")
}

/// `flow_decoder.onnx`. `rms_norm_eps` is the language model's.
pub(crate) fn flow_decoder(
    g: &GraphBuilder,
    model: &Module<'_>,
    c: &FlowSizes<'_>,
    hidden_size: usize,
    rms_norm_eps: f32,
) -> Result<()> {
    let m = flow_decoder_of(model);
    let [rows, columns] = c.config.grid;
    let hidden = shape![IMAGES, rows * columns, hidden_size];
    let hidden = g.input(tensors::HIDDEN_STATES, DType::F32, hidden);
    let time_embeds = shape![IMAGES, hidden_size];
    let time_embeds = g.input(tensors::TIME_EMBEDS, DType::F32, time_embeds);
    let skip = shape![IMAGES, c.width, rows, columns];
    let skip = g.input(tensors::SKIP, DType::F32, skip);

    let h = rms_norm(
        &model.at("vision_gen_dec_aligner_norm"),
        hidden,
        rms_norm_eps,
    )?;
    let aligner = model.at("vision_gen_dec_aligner");
    let h = linear(&aligner, h, aligner.extent("weight", 0)?)?;
    let h = rms_norm(&m.at("input_norm"), h, c.norm_eps)?;
    let x = to_picture(h, c.config.grid).followed_by(skip, 1);
    let x = mid_block(&m, x, time_embeds, c)?;

    let out = m.at("out_convs.0");
    let h = rms_norm(&out.at("norm"), to_places(x), c.norm_eps)?;
    let channels = c.config.latent_channels * c.patch_size.pow(2);
    let unpatch = out.at("unpatch_conv");
    let x = conv2d_with(
        &unpatch,
        to_picture(h, c.config.grid),
        channels,
        Conv::same(1),
    )?;
    x.pixel_shuffle(c.patch_size).output(tensors::VELOCITY);
    Ok(())
}
