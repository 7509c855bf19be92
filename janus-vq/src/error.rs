//! Why pictures and image tokens could not be turned into each other.

use ndarray::{Array, ArrayD, Dimension, IntoDimension};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why pictures and image tokens could not be turned into each other.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A graph could not be opened or run.
    #[error(transparent)]
    Runtime(#[from] janus_runtime::Error),
    /// A picture has more or fewer tokens than the grid has places.
    #[error("picture {picture} has {found} image tokens; the grid has {expected}")]
    TokenCount {
        /// Which picture, from 0.
        picture: usize,
        /// Its tokens.
        found: usize,
        /// Places of the grid.
        expected: usize,
    },
    /// A token is outside of the codebook.
    #[error(
        "image token {token} at {position} of picture {picture} is outside of the codebook of {limit}"
    )]
    Token {
        /// Which picture, from 0.
        picture: usize,
        /// Where in raster order, from 0.
        position: usize,
        /// The token.
        token: i64,
        /// Size of the codebook.
        limit: usize,
    },
    /// A picture has no pixels.
    #[error("picture {picture} is {width} × {height} pixels")]
    EmptyPicture {
        /// Which picture, from 0.
        picture: usize,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// A graph gave pixels or tokens of another shape than the tokenizer's.
    #[error("`{tensor}` has shape {found:?}; the tokenizer's is {expected:?}")]
    Shape {
        /// The tensor.
        tensor: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
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
