//! What can go wrong when a model is measured.

use std::collections::TryReserveError;
use std::error::Error as StdError;

use crate::plan::Head;
use crate::stage::Stage;

/// What a [`Subject`](crate::Subject) says went wrong.
pub type AnyError = Box<dyn StdError + Send + Sync>;

/// What can go wrong when a model is measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stage's graphs could not be opened or run.
    #[error("cannot measure stage `{stage}`")]
    Measure {
        /// The stage.
        stage: Stage,
        /// What its graphs said.
        #[source]
        source: AnyError,
    },
    /// There is no stage of this name.
    #[error("`{name}` is not a stage; there are {}", Stage::names())]
    UnknownStage {
        /// The name.
        name: String,
    },
    /// A stage was asked for that no model concerned has.
    #[error("no stage `{stage}` here: {}", match stage {
        Stage::Vae => "a model draws with image tokens",
        _ => "a model draws by rectified flow",
    })]
    StageMissing {
        /// The stage.
        stage: Stage,
    },
    /// A head was asked for that a model concerned does not have.
    #[error("no {head} head here: a model draws by rectified flow")]
    HeadMissing {
        /// The head.
        head: Head,
    },
    /// Wide steps were asked for, and a model concerned has no form of the transformer for them.
    #[error(
        "no wide steps here: a model has no form of the transformer for many rows; exports in q8 and q4 have"
    )]
    WideFormMissing,
    /// There is no room for the buffer over which the read bandwidth is measured.
    #[error("no memory for the {bytes} bytes over which the read bandwidth is measured")]
    BandwidthBuffer {
        /// Length of the buffer.
        bytes: usize,
        /// What the allocator said.
        #[source]
        source: TryReserveError,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
