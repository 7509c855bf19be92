//! Why a prompt could not be answered.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a prompt could not be answered.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model could not be opened or a graph could not be run.
    #[error(transparent)]
    Runtime(#[from] janus_runtime::Error),
    /// The language model could not do a step.
    #[error(transparent)]
    LanguageModel(#[from] janus_llm::Error),
    /// Image tokens could not be decoded.
    #[error(transparent)]
    Vq(#[from] janus_vq::Error),
    /// A latent could not be moved or shown.
    #[error(transparent)]
    Flow(#[from] janus_flow::Error),
    /// The tokenizer's file is unreadable.
    #[error("cannot read the tokenizer `{}`", path.display())]
    ReadTokenizer {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The tokenizer's file is not one.
    #[error("cannot load the tokenizer `{}`", path.display())]
    LoadTokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: tokenizers::Error,
    },
    /// Text could not be turned into ids, or back.
    #[error("the tokenizer failed")]
    Tokenize {
        /// What it said.
        #[source]
        source: tokenizers::Error,
    },
    /// A setting is out of range.
    #[error("{setting} is {value}; it should be {expected}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {found} positions; the model holds {limit}, the answer included")]
    PromptTooLong {
        /// Positions of the prompt.
        found: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// A request needs more than there is, even when nobody else asks for anything.
    #[error(
        "the request needs {rows} rows of {positions} positions; \
         there is room for {most_rows} rows and {most_positions} positions in all"
    )]
    TooLarge {
        /// Rows that it needs.
        rows: usize,
        /// Positions of each.
        positions: usize,
        /// Rows that there are.
        most_rows: usize,
        /// Positions that there are, over all rows.
        most_positions: usize,
    },
    /// So many requests wait already.
    #[error("{limit} requests wait already")]
    QueueFull {
        /// How many may wait.
        limit: usize,
    },
    /// A model's turn carries a picture.
    #[error(
        "message {message} is the model's and has a picture; only a person's message may have one"
    )]
    PictureInAnswer {
        /// Which message, from 0.
        message: usize,
    },
}
