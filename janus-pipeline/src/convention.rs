//! Where the official code and its port differ.

/// Whose habits are followed where the official code and its port to `transformers` differ.
///
/// The released models were trained and judged with the official ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// deepseek-ai's code: sizes are truncated, pictures stand on lines of their own.
    #[default]
    Official,
    /// The `transformers` library: sizes are rounded, and its template puts a newline before every
    /// picture but the first and after every part but the last.
    Transformers,
}

impl Convention {
    /// The same for the preprocessing of pictures.
    pub(crate) fn of_preprocessing(self) -> janus_vision::Convention {
        match self {
            Self::Official => janus_vision::Convention::Official,
            Self::Transformers => janus_vision::Convention::Transformers,
        }
    }
}
