//! The verbs of the field. Each reads its weights from a module and adds its nodes under its name.
//!
//! A weight that is missing or has another shape is an error; everything else fits by construction.

use crate::error::{Error, Result};
use crate::module::Module;
use crate::onnx::{Conv, Value, shape};
use crate::product::product;
use crate::weight::Weight;

/// Groups of every group norm in this family.
const GROUPS: usize = 32;
/// Epsilon of every group norm in this family.
const GROUP_NORM_EPS: f32 = 1e-6;

/// `x · Wᵀ + b`
pub(crate) fn linear<'g>(m: &Module<'_>, x: Value<'g>, out: usize) -> Result<Value<'g>> {
    packed_linear(m.path(), &[(m.clone(), out)], x)
}

/// The outputs of several [`linear`]s side by side, as one product. Each part is a module with
/// the number of its outputs; `path` is where their nodes and weights appear.
pub(crate) fn packed_linear<'g>(
    path: &str,
    parts: &[(Module<'_>, usize)],
    x: Value<'g>,
) -> Result<Value<'g>> {
    let product = packed_projection(path, parts, x)?;
    let _scope = x.graph().enter(path);
    let bias = stacked(parts.iter().map(|(m, out)| m.weight("bias", &[*out])))?;
    let name = format!("{path}.bias");
    Ok(product + bias.store(x.graph(), name, x.dtype(), &[product.extent(-1)]))
}

/// `x · Wᵀ`
pub(crate) fn projection<'g>(m: &Module<'_>, x: Value<'g>, out: usize) -> Result<Value<'g>> {
    packed_projection(m.path(), &[(m.clone(), out)], x)
}

/// The outputs of several [`projection`]s side by side, as one product.
pub(crate) fn packed_projection<'g>(
    path: &str,
    parts: &[(Module<'_>, usize)],
    x: Value<'g>,
) -> Result<Value<'g>> {
    let _scope = x.graph().enter(path);
    let width = x.extent(-1);
    let weight = stacked(
        parts
            .iter()
            .map(|(m, out)| m.weight("weight", &[*out, width])),
    )?;
    product(path, x, weight, parts[0].0.recipe())
}

/// `linear(gelu(linear(x)))`
pub(crate) fn mlp<'g>(
    [m_in, m_out]: [&Module<'_>; 2],
    x: Value<'g>,
    [hidden, out]: [usize; 2],
) -> Result<Value<'g>> {
    let h = linear(m_in, x, hidden)?;
    linear(m_out, h.gelu(), out)
}

/// Rows of the table `weight [rows, width]` by their indices.
pub(crate) fn embedding<'g>(
    m: &Module<'_>,
    indices: Value<'g>,
    [rows, width]: [usize; 2],
) -> Result<Value<'g>> {
    let graph = indices.graph();
    let _scope = graph.enter(m);
    let dtype = m.recipe().float(m.path())?;
    let table = m.weight("weight", &[rows, width])?;
    let table = table.store(graph, format!("{m}.weight"), dtype, &[rows, width]);
    Ok(table.rows(indices).narrow())
}

/// `(x − mean) / √(variance + eps) · weight + bias` over the last axis.
pub(crate) fn layer_norm<'g>(m: &Module<'_>, x: Value<'g>, eps: f32) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let width = x.extent(-1);
    let [weight, bias] = scale_and_shift(m, x, width, &[width])?;
    Ok(x.layer_norm(weight, bias, eps))
}

/// `x / √(mean(x²) + eps) · weight` over the last axis.
pub(crate) fn rms_norm<'g>(m: &Module<'_>, x: Value<'g>, eps: f32) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let width = x.extent(-1);
    let weight = m.weight("weight", &[width])?;
    let weight = weight.store(x.graph(), format!("{m}.weight"), x.dtype(), &[width]);
    Ok(x.rms_norm(weight, eps))
}

/// Group norm of `[n, c, h, w]`: every group of channels as one long channel of an instance norm,
/// which all execution providers have, then weight and bias of the channels.
pub(crate) fn group_norm<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let (channels, area) = (x.extent(1), x.extent(2) * x.extent(3));
    if !channels.is_multiple_of(GROUPS) {
        return Err(Error::Structure {
            module: m.to_string(),
            found: format!("{channels} channels"),
            expected: format!("a multiple of {GROUPS}"),
        });
    }
    let ones = x.graph().floats(&[1.0; GROUPS]);
    let zeros = x.graph().floats(&[0.0; GROUPS]);
    let groups = x.reshape(shape![x.dim(0), GROUPS, channels / GROUPS * area]);
    let normed = groups
        .instance_norm(ones, zeros, GROUP_NORM_EPS)
        .reshape(x.shape());
    let [weight, bias] = scale_and_shift(m, x, channels, &[1, channels, 1, 1])?;
    Ok(normed * weight + bias)
}

/// A convolution that keeps height and width, to as many channels as its weight has.
pub(crate) fn conv2d<'g>(m: &Module<'_>, x: Value<'g>, kernel: usize) -> Result<Value<'g>> {
    let out = m.extent("weight", 0)?;
    conv2d_with(m, x, out, Conv::same(kernel))
}

/// A convolution to `out` channels.
pub(crate) fn conv2d_with<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    out: usize,
    conv: Conv,
) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let dims = [out, x.extent(1), conv.kernel, conv.kernel];
    let weight = m.weight("weight", &dims)?;
    let weight = weight.store(
        x.graph(),
        format!("{m}.weight"),
        m.recipe().float(m.path())?,
        &dims,
    );
    let bias = m.weight("bias", &[out])?;
    let bias = bias.store(x.graph(), format!("{m}.bias"), x.dtype(), &[out]);
    Ok(x.conv2d(weight.cast(x.dtype()), bias, conv))
}

/// A convolution of 3 × 3 that keeps height and width, of `x` with every pixel repeated in a block of
/// 2 × 2.
///
/// A kernel sees two different pixels a side there, in one of four ways: four convolutions of 2 × 2 over
/// `x` itself, whose pixels are interleaved, do the same with 4/9 of the products.
pub(crate) fn upsampled_conv2d<'g>(m: &Module<'_>, x: Value<'g>) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let (out, channels) = (m.extent("weight", 0)?, x.extent(1));
    let dtype = m.recipe().float(m.path())?;
    let bias = m.weight("bias", &[out])?;
    let bias = bias.store(x.graph(), format!("{m}.bias"), x.dtype(), &[out]);
    let mut phases = Vec::new();
    for [row, column] in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let weight = m.weight("weight", &[out, channels, 3, 3])?;
        let name = format!("{m}.weight.{row}{column}");
        let weight = weight.store_phase(x.graph(), name, dtype, [row, column]);
        let conv = Conv {
            kernel: 2,
            stride: 1,
            pads: [1 - row, 1 - column, row, column],
        };
        phases.push(x.conv2d(weight.cast(x.dtype()), bias, conv));
    }
    Ok(phases[0].followed_by_all(&phases[1..], 1).interleave(2))
}

/// A convolution of each channel by itself that keeps height and width.
pub(crate) fn depthwise_conv2d<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    kernel: usize,
) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let channels = x.extent(1);
    let dims = [channels, 1, kernel, kernel];
    let dtype = m.recipe().float(m.path())?;
    let weight = m.weight("weight", &dims)?;
    let weight = weight.store(x.graph(), format!("{m}.weight"), dtype, &dims);
    let bias = m.weight("bias", &[channels])?;
    let bias = bias.store(x.graph(), format!("{m}.bias"), x.dtype(), &[channels]);
    Ok(x.depthwise_conv2d(weight.cast(x.dtype()), bias, Conv::same(kernel)))
}

/// Global response norm of `[n, places, c]` (ConvNeXt V2, section 3.2): `(γ · g / mean(g) + 1) · x
/// + β` with the length g of each channel over all places.
pub(crate) fn global_response_norm<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    eps: f32,
) -> Result<Value<'g>> {
    let graph = x.graph();
    let _scope = graph.enter(m);
    let channels = x.extent(-1);
    let dims = [1, 1, 1, channels];
    let store = |name: &str| -> Result<_> {
        let weight = m.weight(name, &dims)?;
        Ok(weight.store(graph, format!("{m}.{name}"), x.dtype(), &[channels]))
    };
    let (gamma, beta) = (store("weight")?, store("bias")?);
    let length = x.reduce_l2(1);
    let response = length / (length.reduce_mean(2) + graph.scalar(eps));
    Ok(x * (gamma * response + graph.scalar(1.0)) + beta)
}

/// `weight` and `bias` of a norm over `width` channels, stored with the given dimensions.
fn scale_and_shift<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    width: usize,
    dims: &[usize],
) -> Result<[Value<'g>; 2]> {
    let store = |name: &str| -> Result<_> {
        let weight = m.weight(name, &[width])?;
        Ok(weight.store(x.graph(), format!("{m}.{name}"), x.dtype(), dims))
    };
    Ok([store("weight")?, store("bias")?])
}

/// Several weights, one below the other.
fn stacked(mut weights: impl Iterator<Item = Result<Weight>>) -> Result<Weight> {
    let first = weights.next().expect("a module has at least one part")?;
    weights.try_fold(first, |above, below| Ok(above.stack(below?)))
}
