//! The blocks of JanusFlow's generation encoder and decoder (section 3.2): ConvNeXt V2, told the
//! time.
//!
//! ```text
//! x [n, C, h, w] ─ depthwise 7×7 ─ rms_norm ─ linear ─ gelu ─ global_response_norm ─ linear ─► + x
//!                                 time_embeds [n, H] ─ silu ─ linear ─► scale, shift │
//!                                                                                    ▼
//!                                                               (1 + scale) · x + shift
//! ```

use crate::config::FlowSizes;
use crate::error::Result;
use crate::module::Module;
use crate::nn::{depthwise_conv2d, global_response_norm, linear, rms_norm};
use crate::onnx::{Value, shape};

/// Side of the depthwise kernel.
const KERNEL: usize = 7;
/// What keeps the global response norm from dividing by zero.
const RESPONSE_EPS: f32 = 1e-6;

/// The blocks of a `mid_block`, as many as the checkpoint has.
pub(crate) fn mid_block<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    time_embeds: Value<'g>,
    c: &FlowSizes<'_>,
) -> Result<Value<'g>> {
    let middle = m.at("mid_block");
    let mut blocks = middle.each("res_blocks");
    blocks.try_fold(x, |x, block| convnext_block(&block, x, time_embeds, c))
}

fn convnext_block<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    time_embeds: Value<'g>,
    c: &FlowSizes<'_>,
) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let channels = x.extent(1);
    let wide = m.at("channelwise_linear_1");
    let width = wide.extent("weight", 0)?;

    let h = depthwise_conv2d(&m.at("depthwise"), x, KERNEL)?;
    let h = rms_norm(&m.at("norm"), to_places(h), c.norm_eps)?;
    let h = linear(&wide, h, width)?.gelu();
    let h = global_response_norm(&m.at("channelwise_norm"), h, RESPONSE_EPS)?;
    let h = linear(&m.at("channelwise_linear_2"), h, channels)?;
    let x = x + to_picture(h, [x.extent(2), x.extent(3)]);

    let modulation = linear(
        &m.at("cond_embeds_mapper"),
        time_embeds.silu(),
        2 * channels,
    )?;
    let [scale, shift] = modulation
        .split([channels; 2])
        .map(|value| value.reshape(shape![value.dim(0), channels, 1, 1]));
    Ok(x * (scale + x.graph().scalar(1.0)) + shift)
}

/// `[n, c, h, w]` as `[n, h · w, c]`, row by row.
pub(crate) fn to_places(x: Value<'_>) -> Value<'_> {
    let flat = shape![x.dim(0), x.extent(1), x.extent(2) * x.extent(3)];
    x.reshape(flat).transpose(&[0, 2, 1])
}

/// `[n, h · w, c]` as `[n, c, h, w]`.
pub(crate) fn to_picture(x: Value<'_>, [rows, columns]: [usize; 2]) -> Value<'_> {
    let shape = shape![x.dim(0), x.extent(2), rows, columns];
    x.transpose(&[0, 2, 1]).reshape(shape)
}
