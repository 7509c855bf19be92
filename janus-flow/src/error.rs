//! Why a latent could not be moved or shown.

use ndarray::{Array, ArrayD, Dimension, IntoDimension};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a latent could not be moved or shown.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A graph could not be opened or run.
    #[error(transparent)]
    Runtime(#[from] janus_runtime::Error),
    /// A graph gave a tensor of another shape than the model's numbers say.
    #[error("`{tensor}` has shape {found:?}; expected {expected:?}")]
    Shape {
        /// The tensor.
        tensor: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// Guidance that is not a number, or between times that are none.
    #[error("{setting} is {value}; it should be {expected}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
}

/// What a graph gave, once it has the shape that the model's numbers say.
pub(crate) fn with_shape<T, S: IntoDimension>(
    tensor: &'static str,
    output: ArrayD<T>,
    shape: S,
) -> Result<Array<T, S::Dim>> {
    let found = output.shape().to_vec();
    let expected = shape.into_dimension();
    match output.into_dimensionality::<S::Dim>() {
        Ok(output) if output.raw_dim() == expected => Ok(output),
        _ => Err(Error::Shape {
            tensor,
            found,
            expected: expected.slice().to_vec(),
        }),
    }
}
