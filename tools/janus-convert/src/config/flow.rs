//! The sizes of JanusFlow's generation encoder and decoder.

use janus_runtime::manifest::FlowConfig;
use serde_json::json;

use super::HARMLESS;
use super::json::Section;
use super::vae::Vae;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::networks::flow_decoder::flow_decoder_of;
use crate::networks::flow_encoder::flow_encoder_of;

/// Sections that only the configuration of a JanusFlow checkpoint has.
pub(super) const SECTIONS: [&str; 3] = [UNDERSTANDING, ENCODER, DECODER];
/// The section about the understanding encoder.
pub(super) const UNDERSTANDING: &str = "vision_und_enc_config";
const ENCODER: &str = "vision_gen_enc_config";
const DECODER: &str = "vision_gen_dec_config";

/// Steps of the paper.
const STEPS: usize = 30;
/// Weight of guidance of the paper.
pub(super) const GUIDANCE: f64 = 2.0;

/// What a rectified flow is built by.
pub(crate) struct FlowSizes<'c> {
    pub(crate) config: FlowConfig,
    /// Channels between the generation encoder and the generation decoder.
    pub(crate) width: usize,
    /// Side of the square of a latent that becomes one position.
    pub(crate) patch_size: usize,
    /// Epsilon of the root mean square norms of encoder and decoder.
    pub(crate) norm_eps: f32,
    /// The latents of the flow are those of the VAE times this.
    pub(crate) scaling_factor: f32,
    /// The VAE.
    pub(crate) vae: Module<'c>,
}

/// Reads the sizes, for pictures of `image_size`.
pub(super) fn flow<'c>(
    root: &Section<'_>,
    model: &Module<'_>,
    vae: &Vae<'c>,
    image_size: usize,
) -> Result<FlowSizes<'c>> {
    let patches = flow_encoder_of(model).at("in_conv");
    let (width, latent_channels) = (patches.extent("weight", 0)?, patches.extent("weight", 1)?);
    let patch_size = patches.extent("weight", 2)?;
    let norm_eps = [
        encoder(root, model, [width, latent_channels, patch_size])?,
        decoder(root, model, [width, latent_channels])?,
    ];
    if norm_eps[0] != norm_eps[1] {
        let section = root.section(DECODER)?.section("params")?;
        let expected = format!("{}, as in the encoder", norm_eps[0]);
        return Err(section.unfit("norm_eps", norm_eps[1], expected));
    }
    if latent_channels != vae.latent_channels {
        return Err(Error::Structure {
            module: patches.to_string(),
            found: format!("{latent_channels} channels"),
            expected: format!("the {} channels of the VAE's latents", vae.latent_channels),
        });
    }
    // A pixel of the latent is a square of the picture, and a position a square of the latent.
    let fits = vae.scale.checked_mul(patch_size);
    if !fits.is_some_and(|side| image_size.is_multiple_of(side)) {
        return Err(Error::Structure {
            module: patches.to_string(),
            found: format!(
                "a kernel of {patch_size}, after a VAE that scales by {}",
                vae.scale
            ),
            expected: format!("a divisor of {image_size} pixels"),
        });
    }
    let latent_size = image_size / vae.scale;
    Ok(FlowSizes {
        config: FlowConfig {
            latent_channels,
            latent_size,
            grid: [latent_size / patch_size; 2],
            image_size,
            steps: STEPS,
        },
        width,
        patch_size,
        norm_eps: norm_eps[0] as f32,
        scaling_factor: vae.scaling_factor,
        vae: vae.module.clone(),
    })
}

/// Checks what is said of the encoder and gives the epsilon of its norms.
fn encoder(
    root: &Section<'_>,
    model: &Module<'_>,
    [width, latent_channels, patch_size]: [usize; 3],
) -> Result<f64> {
    let section = root.section(ENCODER)?.section("params")?;
    let middle = flow_encoder_of(model).at("mid_block");
    let blocks = middle.each("res_blocks").len();
    section.agree("input_channels", latent_channels, "channels of a latent")?;
    section.agree(
        "kernel_size",
        patch_size,
        "columns in the kernel of `in_conv`",
    )?;
    section.agree("stride", patch_size, "columns in the kernel of `in_conv`")?;
    section.expect("padding", &json!(0))?;
    section.expect("block_out_channels", &json!([width]))?;
    section.agree("layers_in_middle", blocks, "blocks in the encoder")?;
    check(&section, model)
}

/// Checks what is said of the decoder and gives the epsilon of its norms.
fn decoder(
    root: &Section<'_>,
    model: &Module<'_>,
    [width, latent_channels]: [usize; 2],
) -> Result<f64> {
    let section = root.section(DECODER)?.section("params")?;
    let m = flow_decoder_of(model);
    let blocks = m.at("mid_block").each("res_blocks").len();
    let aligned = model.at("vision_gen_dec_aligner").extent("weight", 0)?;
    section.agree(
        "in_channels",
        aligned,
        "outputs of `vision_gen_dec_aligner`",
    )?;
    section.agree("out_channels", latent_channels, "channels of a latent")?;
    section.expect("block_out_channels", &json!([width]))?;
    section.expect("upsamples", &json!(1))?;
    section.agree("layers_in_middle", blocks, "blocks in the decoder")?;
    check(&section, model)
}

/// What both have in common.
fn check(section: &Section<'_>, model: &Module<'_>) -> Result<f64> {
    let time = flow_encoder_of(model).at("time_embed.linear_2");
    let hidden_size = time.extent("weight", 0)?;
    section.agree("hidden_size", hidden_size, "columns in the time embedding")?;
    for key in ["use_bias", "elementwise_affine", "use_mid_block"] {
        section.expect(key, &json!(true))?;
    }
    section.refuse_unknown_numbers(&[HARMLESS, KNOWN])?;
    Ok(section.number("norm_eps", 1e-12..=1e-2)?.unwrap_or(1e-6))
}

/// Numbers that are read above; the widths within blocks are read off the weights.
const KNOWN: &[&str] = &[
    "hidden_size",
    "in_channels",
    "input_channels",
    "kernel_size",
    "layers_in_middle",
    "norm_eps",
    "out_channels",
    "padding",
    "res_ffn_factor",
    "stride",
    "upsamples",
];
