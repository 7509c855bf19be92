//! Why a random checkpoint could not be written.

use std::io;
use std::path::PathBuf;

/// Why a random checkpoint could not be written.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The model has not been ported to transformers.
    #[error("there is no `{model}` in the layout of transformers")]
    NoSuchLayout {
        /// The model.
        model: &'static str,
    },
    /// Something is where the checkpoint should go.
    #[error("`{}` is already there", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The directory could not be made.
    #[error("cannot create `{}`", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk has too little room.
    #[error("the checkpoint takes {needed} bytes; the disk of `{}` has {available} left", path.display())]
    DiskSpace {
        /// Where the checkpoint should go.
        path: PathBuf,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that are left.
        available: u64,
    },
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
