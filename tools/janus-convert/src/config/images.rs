//! The sizes of what sees and draws: the vision encoder, the adaptors, the VQ tokenizer.

use janus_runtime::manifest::{Layout, VqConfig};
use serde_json::json;

use super::HARMLESS;
use super::flow::UNDERSTANDING;
use super::json::Section;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::networks::aligner::{aligner_of, depth_of, gen_aligner_of};
use crate::networks::siglip::vision_tower_of;
use crate::networks::vq_blocks::{num_levels, vq_model_of};

/// The largest picture.
const MAX_IMAGE: usize = 8192;
/// The most heads of the vision encoder.
const MAX_HEADS: usize = 4096;
/// Width of a head of the vision encoder in released checkpoints.
const SIGLIP_HEAD_DIM: usize = 64;

/// Sizes of the vision encoder.
#[derive(Clone, Debug)]
pub(crate) struct SiglipConfig {
    /// Side of the picture in pixels.
    pub(crate) image_size: usize,
    /// Side of a patch in pixels.
    pub(crate) patch_size: usize,
    /// Width of a patch's embedding.
    pub(crate) width: usize,
    /// Width inside the MLP of a block.
    pub(crate) mlp_width: usize,
    pub(crate) num_heads: usize,
    pub(crate) layer_norm_eps: f32,
}

impl SiglipConfig {
    /// Patches of a picture.
    pub(crate) fn num_tokens(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }
}

/// Sizes of the vision encoder.
pub(super) fn siglip(root: &Section<'_>, model: &Module<'_>) -> Result<SiglipConfig> {
    let section = root.section("vision_config")?;
    let section = match model.layout() {
        Layout::Released => section.section("params")?,
        Layout::Transformers => section,
    };
    siglip_at(&section, &vision_tower_of(model))
}

/// Sizes of the vision encoder of JanusFlow.
pub(super) fn siglip_of_flow(root: &Section<'_>, model: &Module<'_>) -> Result<SiglipConfig> {
    let section = root.section(UNDERSTANDING)?.section("params")?;
    siglip_at(&section, &model.at("vision_und_enc_model.vision_tower"))
}

fn siglip_at(section: &Section<'_>, tower: &Module<'_>) -> Result<SiglipConfig> {
    check_vision(section)?;
    let image_size = match section.size("image_size", 1..=MAX_IMAGE)? {
        Some(size) => size,
        None if tower.layout() == Layout::Transformers => 384,
        None => return Err(section.missing("image_size")),
    };
    let patches = tower.at(["patch_embed.proj", "embeddings.patch_embedding"]);
    let (width, patch_size) = (patches.extent("weight", 0)?, patches.extent("weight", 2)?);
    if !image_size.is_multiple_of(patch_size) {
        let expected = format!("a multiple of the patches, which are {patch_size} wide");
        return Err(section.unfit("image_size", image_size, expected));
    }
    let blocks = tower.each(["blocks", "encoder.layers"]).len();
    section.agree("num_hidden_layers", blocks, "blocks")?;
    section.agree("patch_size", patch_size, "pixels in the patch embedding")?;
    section.agree("hidden_size", width, "outputs of the patch embedding")?;
    section.agree(
        "num_image_tokens",
        (image_size / patch_size).pow(2),
        "patches in a picture",
    )?;
    let first = tower.at(["blocks", "encoder.layers"]).at(0);
    Ok(SiglipConfig {
        image_size,
        patch_size,
        width,
        mlp_width: first.at("mlp.fc1").extent("weight", 0)?,
        num_heads: num_heads(section, tower.layout(), width)?,
        layer_norm_eps: section
            .number("layer_norm_eps", 1e-12..=1e-2)?
            .unwrap_or(1e-6) as f32,
    })
}

/// Heads of the vision encoder, which no released file states.
fn num_heads(section: &Section<'_>, layout: Layout, width: usize) -> Result<usize> {
    let stated = section.size("num_attention_heads", 1..=MAX_HEADS)?;
    let heads = stated.unwrap_or(match layout {
        Layout::Released => (width / SIGLIP_HEAD_DIM).max(1),
        Layout::Transformers => 16,
    });
    if !width.is_multiple_of(heads) {
        let expected = format!("a divisor of the width, {width}");
        return Err(section.unfit("num_attention_heads", heads, expected));
    }
    Ok(heads)
}

/// Sizes of the VQ tokenizer; it draws pictures as large as those that the model sees.
pub(super) fn vq(root: &Section<'_>, model: &Module<'_>, image_size: usize) -> Result<VqConfig> {
    let (section, codes, width) = match model.layout() {
        Layout::Released => (
            root.section("gen_vision_config")?.section("params")?,
            "image_token_size",
            "n_embed",
        ),
        Layout::Transformers => (root.section("vq_config")?, "num_embeddings", "embed_dim"),
    };
    section.expect("double_latent", &json!(false))?;
    section.expect("hidden_act", &json!("gelu"))?;
    section.refuse_unknown_numbers(&[HARMLESS, KNOWN_VQ])?;

    let m = vq_model_of(model);
    let codebook = m.at("quantize.embedding");
    let codebook_size = codebook.extent("weight", 0)?;
    section.agree(codes, codebook_size, "rows in the codebook")?;
    section.agree(
        width,
        codebook.extent("weight", 1)?,
        "columns in the codebook",
    )?;

    let levels = num_levels(&m);
    // Every level but one halves the picture.
    let halvings = u32::try_from(levels)
        .ok()
        .and_then(|levels| levels.checked_sub(1));
    let scale = halvings.and_then(|halvings| 2usize.checked_pow(halvings));
    let Some(scale) = scale.filter(|scale| image_size.is_multiple_of(*scale)) else {
        return Err(Error::Structure {
            module: m.at("decoder").to_string(),
            found: format!("{levels} levels"),
            expected: format!("1 or more, between which {image_size} pixels can be halved"),
        });
    };
    let grid = image_size / scale;
    section.agree("num_patches", grid, "rows in the grid of image tokens")?;
    Ok(VqConfig {
        codebook_size,
        grid: [grid, grid],
        image_size,
    })
}

/// Checks what is said of the adaptors and of the image head against the weights.
pub(super) fn check_adaptors(root: &Section<'_>, model: &Module<'_>) -> Result<()> {
    let vision = depth_of(&aligner_of(model));
    let generation = depth_of(&gen_aligner_of(model));
    let layers = "linear layers";
    match model.layout() {
        Layout::Released => {
            for (name, depth) in [
                ("aligner_config", vision),
                ("gen_aligner_config", generation),
            ] {
                let section = root.section(name)?.section("params")?;
                section.expect("projector_type", &json!("mlp_gelu"))?;
                section.refuse_unknown_numbers(&[&["depth", "input_dim", "n_embed"]])?;
                section.agree("depth", depth, layers)?;
            }
            root.section("gen_head_config")?
                .section("params")?
                .refuse_unknown_numbers(&[&["image_token_embed", "image_token_size", "n_embed"]])
        }
        Layout::Transformers => {
            root.section("vision_config")?
                .agree("depth", vision, layers)?;
            root.section("vq_config")?
                .agree("num_hidden_layers", generation, layers)
        }
    }
}

/// Refuses settings of the vision encoder that are not supported.
fn check_vision(section: &Section<'_>) -> Result<()> {
    if let Some(name) = section
        .text("model_name")?
        .filter(|name| !name.contains("siglip"))
    {
        return Err(section.unfit("model_name", name, "a SigLIP model".to_owned()));
    }
    section.expect("select_feature", &json!("same"))?;
    section.expect("hidden_act", &json!("gelu"))?;
    section.expect("attention_bias", &json!(true))?;
    section.expect("use_qk_norm", &json!(false))?;
    section.refuse("pixel_mean")?;
    section.refuse("pixel_std")?;
    section.refuse_unknown_numbers(&[HARMLESS, KNOWN_VISION])
}

/// Numbers about the vision encoder. `select_layer` is how many blocks were kept when the
/// checkpoint was made; it has no others.
const KNOWN_VISION: &[&str] = &[
    "depth",
    "hidden_size",
    "image_size",
    "layer_norm_eps",
    "mlp_ratio",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "num_image_tokens",
    "patch_size",
    "projection_dim",
    "select_layer",
];

/// Numbers about the VQ tokenizer. Its channels and blocks are read off the weights.
const KNOWN_VQ: &[&str] = &[
    "base_channels",
    "embed_dim",
    "image_token_embed_dim",
    "image_token_size",
    "in_channels",
    "latent_channels",
    "n_embed",
    "num_embeddings",
    "num_hidden_layers",
    "num_patches",
    "num_res_blocks",
    "out_channels",
    "projection_dim",
];
