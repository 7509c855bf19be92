//! Why tokens could not be decoded or pictures not be encoded.

use janus_runtime::GraphKind;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why tokens could not be decoded or pictures not be encoded.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model could not be opened or a graph could not be run.
    #[error(transparent)]
    Runtime(#[from] janus_runtime::Error),
    /// A graph gave a tensor of another shape than the model's numbers say.
    #[error("graph `{graph}` gave `{tensor}` of shape {found:?}; expected {expected:?}")]
    OutputShape {
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A picture has too few tokens, or too many.
    #[error("picture {picture} has {found} image tokens; the model's pictures have {expected}")]
    TokenCount {
        /// Which picture, from 0.
        picture: usize,
        /// Its tokens.
        found: usize,
        /// Tokens of a picture of this model.
        expected: usize,
    },
    /// A token is not in the codebook.
    #[error(
        "image token {position} of picture {picture} is {found}; \
         the codebook has {codebook_size} entries"
    )]
    TokenRange {
        /// Which picture, from 0.
        picture: usize,
        /// Which of its tokens, from 0, in raster order.
        position: usize,
        /// Its value.
        found: i64,
        /// Number of codes.
        codebook_size: usize,
    },
    /// A picture without width or height cannot be encoded.
    #[error("picture {picture} is {width} × {height} pixels large")]
    NoPixels {
        /// Which picture, from 0.
        picture: usize,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
}
