//! The VAE of a JanusFlow model: a checkpoint of its own, in the layout of the `diffusers` library.

use std::path::Path;
use std::sync::Arc;

use janus_runtime::manifest::Layout;
use serde_json::json;

use super::HARMLESS;
use super::json::{Document, Section};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::{Error, Result};
use crate::module::Module;
use crate::recipe::Recipe;

/// What its modules are called in graphs and recipes.
const NAME: &str = "vae";
/// Side of the square of pixels that one pixel of a latent stands for, at most.
const MAX_SCALE: usize = 256;

/// A VAE of which the decoder is wanted.
pub(crate) struct Vae<'c> {
    pub(crate) module: Module<'c>,
    /// Channels of a latent.
    pub(crate) latent_channels: usize,
    /// Side of the square of pixels that one pixel of a latent stands for.
    pub(crate) scale: usize,
    /// The latents of the flow are those of the VAE times this.
    pub(crate) scaling_factor: f32,
}

/// Opens the weights of a VAE. Those under other names than the ones of `diffusers` are refused.
pub(crate) fn open(dir: &Path) -> Result<Arc<Checkpoint>> {
    const LATENT_DIFFUSION: [&str; 2] = ["sdxl_vae.safetensors", "sdxl.vae.safetensors"];
    let checkpoint = match Checkpoint::open(dir) {
        Err(missing @ CheckpointError::NoWeights { .. }) => {
            let there = |name: &&str| dir.join(name).symlink_metadata().is_ok();
            return Err(match LATENT_DIFFUSION.into_iter().find(there) {
                Some(file) => naming(
                    dir,
                    &format!("`{file}`, the original latent diffusion code"),
                ),
                None => missing.into(),
            });
        }
        opened => opened?,
    };
    for (tensor, whose) in [
        (
            "decoder.mid.block_1.norm1.weight",
            "the original latent diffusion code",
        ),
        (
            "first_stage_model.decoder.conv_in.weight",
            "the original latent diffusion code",
        ),
        (
            "decoder.mid_block.attentions.0.query.weight",
            "an early version of diffusers",
        ),
    ] {
        if checkpoint.root().has(tensor) {
            return Err(naming(dir, whose));
        }
    }
    Ok(Arc::new(checkpoint))
}

fn naming(dir: &Path, whose: &str) -> Error {
    Error::VaeNames {
        path: dir.to_owned(),
        whose: whose.to_owned(),
    }
}

/// Reads the configuration beside the weights and compares the two.
pub(crate) fn read<'c>(
    dir: &Path,
    checkpoint: &'c Arc<Checkpoint>,
    recipe: &'c Recipe,
    allow_unknown: bool,
) -> Result<Vae<'c>> {
    let document = Document::read(dir, super::CONFIG)?;
    let document = match allow_unknown {
        true => document.tolerant(),
        false => document,
    };
    let module = Module::root(checkpoint, Layout::Released, recipe).named(NAME);
    let root = document.root();
    let blocks: Vec<_> = module.at("decoder").each("up_blocks").collect();
    let latent_channels = module.at("post_quant_conv").extent("weight", 1)?;
    check(&root, latent_channels, blocks.len())?;

    let doubled = blocks.iter().filter(|m| m.has("upsamplers.0.conv.weight"));
    let doublings = u32::try_from(doubled.count()).ok();
    let scale = doublings.and_then(|doublings| 2usize.checked_pow(doublings));
    let Some(scale) = scale.filter(|scale| *scale <= MAX_SCALE) else {
        return Err(Error::Structure {
            module: module.at("decoder").to_string(),
            found: format!("{} levels", blocks.len()),
            expected: format!("few enough to scale by {MAX_SCALE} at most"),
        });
    };
    Ok(Vae {
        module,
        latent_channels,
        scale,
        scaling_factor: root
            .number("scaling_factor", 1e-6..=1e6)?
            .ok_or_else(|| root.missing("scaling_factor"))? as f32,
    })
}

fn check(root: &Section<'_>, latent_channels: usize, blocks: usize) -> Result<()> {
    for (key, expected) in [
        ("_class_name", json!("AutoencoderKL")),
        ("act_fn", json!("silu")),
        ("mid_block_add_attention", json!(true)),
        ("norm_num_groups", json!(32)),
        ("out_channels", json!(3)),
        ("up_block_types", json!(vec!["UpDecoderBlock2D"; blocks])),
        ("use_post_quant_conv", json!(true)),
    ] {
        root.expect(key, &expected)?;
    }
    for key in [
        "latents_mean",
        "latents_std",
        "quantization_config",
        "shift_factor",
    ] {
        root.refuse(key)?;
    }
    root.agree("latent_channels", latent_channels, "channels of a latent")?;
    root.refuse_unknown_numbers(&[HARMLESS, KNOWN])
}

/// Numbers that are read above, or do not matter to the decoder; its channels and blocks are read
/// off the weights.
const KNOWN: &[&str] = &[
    "in_channels",
    "latent_channels",
    "layers_per_block",
    "norm_num_groups",
    "out_channels",
    "sample_size",
    "scaling_factor",
];
