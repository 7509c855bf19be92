//! Why the language model could not do what it was asked for.

use janus_runtime::GraphKind;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the language model could not do what it was asked for.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A graph could not be opened or run.
    #[error(transparent)]
    Runtime(#[from] janus_runtime::Error),
    /// A graph gave a tensor of another shape than the model's numbers say.
    #[error("graph `{graph}` gave `{tensor}` of shape {found:?}; expected {expected}")]
    OutputShape {
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: String,
    },
    /// A graph gave no keys or values of the size of the cache.
    #[error("the transformer gave no `{tensor}` that fits the cache")]
    NoKeysOrValues {
        /// The tensor.
        tensor: String,
    },
    /// A sequence would not fit into the cache.
    #[error("row {row} would have {needed} positions; the cache holds {capacity}")]
    CacheFull {
        /// Which row.
        row: usize,
        /// Positions after the step.
        needed: usize,
        /// Positions there are.
        capacity: usize,
    },
    /// A cache was asked for with no rows, or for longer sequences than the model's.
    #[error(
        "a cache of {rows} rows and {capacity} positions is not possible; the model holds 1 to {context_length} positions"
    )]
    CacheSize {
        /// Rows asked for.
        rows: usize,
        /// Positions asked for.
        capacity: usize,
        /// Positions the model was exported for.
        context_length: usize,
    },
    /// The number of rows differs from the cache's.
    #[error("{found} rows for a cache of {expected}")]
    Rows {
        /// Rows of the input.
        found: usize,
        /// Rows of the cache.
        expected: usize,
    },
    /// Several new positions for several rows that have a past.
    #[error("{positions} positions at once for {rows} rows with a past: extend one row at a time")]
    RaggedChunk {
        /// New positions.
        positions: usize,
        /// Rows.
        rows: usize,
    },
    /// New positions are numbered as others are, or beyond the model's context.
    #[error(
        "{new} new positions from {position} on, after {past} in the cache; the model holds {limit}"
    )]
    Position {
        /// Number of the first new position.
        position: usize,
        /// New positions.
        new: usize,
        /// Positions in the cache.
        past: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// The model does not draw by image tokens.
    #[error("the model has no image tokens: it draws by rectified flow")]
    NoImageTokens,
    /// A token is outside of its vocabulary.
    #[error("{what} {token} is outside of the vocabulary of {limit}")]
    Token {
        /// Which vocabulary.
        what: &'static str,
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        limit: usize,
    },
    /// A setting of the sampler is out of range.
    #[error("{setting} is {value}; it should be {expected}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: f32,
        /// What it may be.
        expected: &'static str,
    },
}
