//! The understanding encoder (Janus, section 3.1): SigLIP, a vision transformer, and its aligner.
//!
//! ```text
//! pixel_values [n, 3, h, w] ─ patch_embed ─► [n, tokens, W] ─ + pos_embed
//!   │   ┌──────────────── × blocks ────────────────┐
//!   ├──►│ layer_norm ─► attention ─────────► + ──┐ │
//!   │   │                                        ▼ │
//!   │   │ layer_norm ─► fc2( gelu(fc1) ) ──► +     │
//!   │   └──────────────────────────────────────────┘
//!   └► layer_norm ─► aligner ─► image_embeds [n, tokens, H]
//! ```
//!
//! All patches go on; the pooling head of SigLIP is not used. In JanusFlow (section 3.2) the
//! aligner is a single linear layer, and a learnt embedding comes first, in the place of the
//! begin-of-image token.

use janus_runtime::manifest::Layout;
use janus_runtime::tensors;

use super::IMAGES;
use super::aligner::{align, aligner_of};
use crate::config::SiglipConfig;
use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d_with, layer_norm, linear, mlp, packed_linear};
use crate::onnx::{Conv, DType, GraphBuilder, Value, shape};

/// The vision encoder's place in a checkpoint.
pub(crate) fn vision_tower_of<'c>(model: &Module<'c>) -> Module<'c> {
    model.at(["vision_model.vision_tower", "model.vision_model"])
}

/// `vision_encoder.onnx`
pub(crate) fn vision_encoder(
    g: &GraphBuilder,
    model: &Module<'_>,
    c: &SiglipConfig,
    hidden_size: usize,
) -> Result<()> {
    let x = image_features(g, &vision_tower_of(model), c)?;
    align(&aligner_of(model), x, hidden_size)?.output_f32(tensors::IMAGE_EMBEDS);
    Ok(())
}

/// `vision_encoder.onnx` of JanusFlow.
pub(crate) fn vision_encoder_with_begin(
    g: &GraphBuilder,
    model: &Module<'_>,
    c: &SiglipConfig,
    hidden_size: usize,
) -> Result<()> {
    let tower = model.at("vision_und_enc_model.vision_tower");
    let x = image_features(g, &tower, c)?;
    let x = linear(&model.at("vision_und_enc_aligner"), x, hidden_size)?;
    let begin = model.weight("beg_of_und_embed", &[1, hidden_size])?;
    let dims = [1, 1, hidden_size];
    let begin = begin.store(g, "beg_of_und_embed".to_owned(), g.float(), &dims);
    let x = begin.repeat_for(x).followed_by(x, 1);
    x.output_f32(tensors::IMAGE_EMBEDS);
    Ok(())
}

/// What the encoder makes of pictures, before the aligner: `[n, tokens, W]`.
fn image_features<'g>(g: &'g GraphBuilder, m: &Module<'_>, c: &SiglipConfig) -> Result<Value<'g>> {
    let pixels = shape![IMAGES, 3, c.image_size, c.image_size];
    let pixels = g.input(tensors::PIXEL_VALUES, DType::F32, pixels).narrow();

    let mut x = embed_patches(m, pixels, c)?;
    for block in m.each(["blocks", "encoder.layers"]) {
        x = encoder_block(&block, x, c)?;
    }
    layer_norm(&m.at(["norm", "post_layernorm"]), x, c.layer_norm_eps)
}

/// One embedding per patch, row by row, and its position: `[n, tokens, W]`.
fn embed_patches<'g>(m: &Module<'_>, pixels: Value<'g>, c: &SiglipConfig) -> Result<Value<'g>> {
    let _scope = pixels.graph().enter(m);
    let conv = Conv {
        kernel: c.patch_size,
        stride: c.patch_size,
        pads: [0; 4],
    };
    let project = m.at(["patch_embed.proj", "embeddings.patch_embedding"]);
    let patches = conv2d_with(&project, pixels, c.width, conv)?;
    let patches = patches
        .reshape(shape![IMAGES, c.width, c.num_tokens()])
        .transpose(&[0, 2, 1]);

    let dims = [1, c.num_tokens(), c.width];
    let positions = match m.layout() {
        Layout::Released => m.weight("pos_embed", &dims),
        Layout::Transformers => m.weight("embeddings.position_embedding.weight", &dims[1..]),
    }?;
    Ok(patches
        + positions.store(
            pixels.graph(),
            format!("{m}.pos_embed"),
            patches.dtype(),
            &dims,
        ))
}

fn encoder_block<'g>(m: &Module<'_>, x: Value<'g>, c: &SiglipConfig) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);

    let h = layer_norm(&m.at(["norm1", "layer_norm1"]), x, c.layer_norm_eps)?;
    let h = attention(&m.at(["attn", "self_attn"]), h, c)?;
    let x = x + h;

    let h = layer_norm(&m.at(["norm2", "layer_norm2"]), x, c.layer_norm_eps)?;
    let fc = ["mlp.fc1", "mlp.fc2"].map(|name| m.at(name));
    Ok(x + mlp([&fc[0], &fc[1]], h, [c.mlp_width, c.width])?)
}

/// Attention of every patch to every other. The released layout has the three projections in one
/// matrix, queries first.
fn attention<'g>(m: &Module<'_>, x: Value<'g>, c: &SiglipConfig) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let w = c.width;
    let qkv = match m.layout() {
        Layout::Released => linear(&m.at("qkv"), x, 3 * w)?,
        Layout::Transformers => {
            let parts = ["q_proj", "k_proj", "v_proj"].map(|name| (m.at(name), w));
            packed_linear(&format!("{m}.qkv"), &parts, x)?
        }
    };
    let [q, k, v] = qkv.split([w; 3]);
    let output = q.multi_head_attention(k, v, c.num_heads);
    linear(&m.at(["proj", "projection_layer"]), output, w)
}
