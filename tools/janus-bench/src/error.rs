//! What can go wrong when a model is measured.

use std::collections::TryReserveError;
use std::error::Error as StdError;

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
