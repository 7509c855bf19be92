//! The VQ encoder (Janus, section 3.1: pixels → image tokens), that of LlamaGen's "VQ-16".
//!
//! ```text
//! pixels [n, 3, 384, 384] ─ conv_in 3×3
//!   ─► res² ─ ↓2 ─► res² ─ ↓2 ─► res² ─ ↓2 ─► res² ─ ↓2 ─► (res · attn)²
//!   ─► middle: res · attn · res ─ group_norm · swish · conv_out 3×3
//!   ─ quant_conv 1×1 ─► [n, 8, 24, 24] ─ nearest row of the codebook ─► image_tokens [n, tokens]
//! ```

use janus_runtime::manifest::VqConfig;
use janus_runtime::tensors;

use super::IMAGES;
use super::vq_blocks::{codebook, level, middle, num_levels, vq_model_of};
use crate::error::Result;
use crate::module::Module;
use crate::nn::{conv2d, conv2d_with, group_norm};
use crate::onnx::{Conv, DType, GraphBuilder, Value, shape};
use crate::weight::Computed;

/// `vq_encoder.onnx`
pub(crate) fn vq_encoder(g: &GraphBuilder, model: &Module<'_>, c: &VqConfig) -> Result<()> {
    let vq = vq_model_of(model);
    let pixels = shape![IMAGES, 3, c.image_size, c.image_size];
    let pixels = g.input(tensors::PIXELS, DType::F32, pixels);

    let levels = num_levels(&vq);
    let m = vq.at("encoder");
    let mut x = conv2d(&m.at("conv_in"), pixels, 3)?;
    for i in 0..levels {
        let block = m.at(["conv_blocks", "down"]).at(i);
        x = level(&block, x)?;
        if i + 1 < levels {
            x = downsample(&block.at("downsample.conv"), x)?;
        }
    }
    let x = middle(&m.at("mid"), x)?;
    let x = group_norm(&m.at("norm_out"), x)?.silu();
    let x = conv2d(&m.at("conv_out"), x, 3)?;

    nearest_codes(&vq, x, c)?.output(tensors::IMAGE_TOKENS);
    Ok(())
}

/// Halves height and width; the row below and the column to the right of the picture are zeros.
fn downsample<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let conv = Conv {
        kernel: 3,
        stride: 2,
        pads: [0, 0, 1, 1],
    };
    conv2d_with(m, x, x.extent(1), conv)
}

/// The code with the greatest cosine to each latent. The length of a latent scales the cosines of
/// all codes alike, so only the codes are divided by theirs.
fn nearest_codes<'g>(m: &Module<'_>, x: Value<'g>, c: &VqConfig) -> Result<Value<'g>> {
    let (codes, [count, width]) = codebook(m, c.codebook_size)?;
    let latents = conv2d_with(&m.at("quant_conv"), x, width, Conv::same(1))?;

    let _scope = x.graph().enter(m.at("quantize"));
    let columns = (0..width)
        .flat_map(|j| codes.iter().skip(j).step_by(width).copied())
        .collect();
    let name = format!("{m}.quantize.codebook");
    let codebook = x
        .graph()
        .weight(name, DType::F32, &[width, count], Computed(columns));

    let latents = latents
        .reshape(shape![IMAGES, width, c.num_tokens()])
        .transpose(&[0, 2, 1]);
    Ok(latents.matmul(codebook).argmax())
}
