//! Why a world, an examination or an export failed.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an examinee, or a converter, may fail with.
pub type AnyError = Box<dyn StdError + Send + Sync>;

/// Why a world, an examination or an export failed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world is not the JSON that it should be.
    #[error("cannot parse the world")]
    ParseWorld {
        /// Line, column and field.
        #[source]
        source: serde_json::Error,
    },
    /// The parts of a world do not fit together.
    #[error("the world's `{field}` should {should}")]
    WorldField {
        /// Which field.
        field: &'static str,
        /// What is asked of it.
        should: &'static str,
    },
    /// The examinee could not draw.
    #[error("cannot draw {prompt:?}")]
    Draw {
        /// The prompt, or the first of a batch.
        prompt: String,
        /// What the examinee said.
        #[source]
        source: AnyError,
    },
    /// The examinee did not draw a picture for every prompt.
    #[error("{found} pictures were drawn for {expected} prompts")]
    DrawCount {
        /// How many prompts there were.
        expected: usize,
        /// How many pictures came.
        found: usize,
    },
    /// The examinee could not answer.
    #[error("cannot answer {question:?}")]
    Answer {
        /// The question.
        question: String,
        /// What the examinee said.
        #[source]
        source: AnyError,
    },
    /// The examinee could not encode and decode a picture.
    #[error("cannot pass a picture through the image tokenizer")]
    RoundTrip {
        /// What the examinee said.
        #[source]
        source: AnyError,
    },
    /// A file or directory of the demo model could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The lock that lets one process at a time export could not be taken.
    #[error("cannot lock `{}`", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The embedded checkpoint could not be converted.
    #[error("cannot export the demo model to `{}`", path.display())]
    Export {
        /// Where the export was being made.
        path: PathBuf,
        /// What the converter said.
        #[source]
        source: AnyError,
    },
}
