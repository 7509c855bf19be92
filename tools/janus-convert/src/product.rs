//! `x · Wᵀ`, in the format that the recipe gives the weights.

use janus_runtime::manifest::Operators;

use crate::error::{Error, Result};
use crate::onnx::Value;
use crate::recipe::{Format, Recipe};
use crate::weight::{Quantised, Weight};

/// Largest magnitude of an activation, as an integer.
const LEVELS: f32 = 127.0;
/// What stands for zero among unsigned bytes.
const MIDDLE: u8 = 128;

/// The product of `x [.., in]` with the matrices `weight [out, in]`, `[.., out]`. `path` is where
/// the weights appear.
pub(crate) fn product<'g>(
    path: &str,
    x: Value<'g>,
    weight: Weight,
    recipe: &Recipe,
) -> Result<Value<'g>> {
    let graph = x.graph();
    let format = recipe.format(path)?;
    if graph.operators() == Operators::Standard && !matches!(format, Format::Float(_)) {
        return Err(Error::RecipeOperators {
            module: path.to_owned(),
            format: format.to_string(),
        });
    }
    Ok(match format {
        Format::Float(dtype) => {
            let weight = weight.store_transposed(graph, format!("{path}.weight"), dtype);
            x.matmul(weight.cast(x.dtype()))
        }
        Format::Blocks(blocks) => {
            let Quantised { codes, scales } =
                weight.store_blocks(graph, path, blocks, recipe.scales());
            x.matmul_blocks(
                codes,
                scales.cast(x.dtype()),
                blocks.bits.count(),
                blocks.size,
            )
        }
        Format::Dynamic => {
            let rows = Rows::of(x);
            let product = dynamic_product(rows.join(x), weight.store_channels(graph, path));
            rows.part(product)
        }
    })
}

/// As 8-bit integers: each row of `x [rows, in]` is rounded with a scale of its own, which keeps
/// one position's outliers from coarsening the others.
fn dynamic_product<'g>(x: Value<'g>, weight: Quantised<'g>) -> Value<'g> {
    let graph = x.graph();
    let largest = x.abs().reduce_max();
    let scale = largest * graph.scalar(1.0 / LEVELS);
    let middle = graph.byte(MIDDLE);
    let product =
        x.quantise_rows(scale, middle)
            .matmul_integers(middle, weight.codes, weight.scales);
    product * scale
}

/// How the rows of a tensor lie: the kernels want them along a single axis.
enum Rows<'g> {
    /// `[rows, width]`
    Plain,
    /// `[n, rows, width]`, as this tensor.
    Nested(Value<'g>),
}

impl<'g> Rows<'g> {
    fn of(x: Value<'g>) -> Self {
        match x.shape().len() {
            3 => Self::Nested(x),
            _ => Self::Plain,
        }
    }

    fn join(&self, x: Value<'g>) -> Value<'g> {
        match self {
            Self::Plain => x,
            Self::Nested(..) => x.join_rows(),
        }
    }

    fn part(&self, x: Value<'g>) -> Value<'g> {
        match *self {
            Self::Plain => x,
            Self::Nested(like) => x.part_rows(like),
        }
    }
}
