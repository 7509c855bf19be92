//! What a graph gives, once its shape is the one that the model's numbers say.

use janus_runtime::GraphKind;
use ndarray::{Array, ArrayD, Dimension, IntoDimension};

use crate::error::{Error, Result};

pub(crate) fn with_shape<T, S: IntoDimension>(
    output: ArrayD<T>,
    graph: GraphKind,
    tensor: &'static str,
    shape: S,
) -> Result<Array<T, S::Dim>> {
    let found = output.shape().to_vec();
    let expected = shape.into_dimension();
    match output.into_dimensionality::<S::Dim>() {
        Ok(output) if output.raw_dim() == expected => Ok(output),
        _ => Err(Error::OutputShape {
            graph,
            tensor,
            found,
            expected: expected.slice().to_vec(),
        }),
    }
}
