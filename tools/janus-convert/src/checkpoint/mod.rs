//! Reads a released checkpoint: safetensors or PyTorch, in one file or in shards.
//!
//! A checkpoint comes from somewhere on the network, so nothing in it is believed. Every size is compared with the file
//! before anything is allocated or read, no name becomes a path, and no pickle is ever executed: `pickle` is a machine that
//! can build tensor descriptions and nothing else.
//!
//! | file | what |
//! |---|---|
//! | `open`, `index` | which files of a directory are its weights; the list of shards |
//! | `source` | opens them, reads them by position |
//! | `detect` | recognises what is no checkpoint: LFS pointers, web pages, other formats |
//! | `safetensors` | the container of Janus-1.3B, JanusFlow and the transformers ports |
//! | `archive`, `pickle`, `torch` | the container of Janus-Pro: a zip archive, the pickle in it, its dictionary of tensors |
//! | `tensor`, `values` | one tensor, its values as `f32` |
//! | `weights` | the view that networks take |
//! | `digest`, `doubtful` | checksums, and values that look like damage |
//! | `limits` | what a file may ask for at most |

mod archive;
mod detect;
mod digest;
mod doubtful;
mod error;
mod index;
mod limits;
mod open;
mod pickle;
mod safetensors;
mod source;
mod tensor;
mod torch;
mod values;
mod weights;

use std::collections::BTreeMap;
use std::path::Path;

pub use self::archive::ArchiveError;
pub(crate) use self::archive::format as zip_format;
pub use self::digest::FileDigest;
pub use self::doubtful::{Doubtful, Oddity};
pub use self::error::{CheckpointError, Fault};
pub use self::index::IndexError;
pub use self::pickle::{PickleError, PickleProblem};
pub use self::safetensors::SafetensorsError;
pub use self::source::SourceFile;
pub use self::tensor::{CHUNK, Dtype, TensorRef};
pub use self::torch::StateDictError;
pub use self::weights::Weights;

use self::archive::Archive;
use self::tensor::Tensor;

/// The two containers that weights are released in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `*.safetensors`
    Safetensors,
    /// `*.bin`, written by `torch.save`
    PyTorch,
}

/// A checkpoint, opened: what tensors there are and where. Their values stay in the files.
#[derive(Debug)]
pub struct Checkpoint {
    container: Container,
    files: Vec<SourceFile>,
    /// The directories of the PyTorch archives, one per file.
    archives: Vec<Archive>,
    tensors: BTreeMap<String, Tensor>,
    notes: Vec<String>,
}

/// Tensors that a network may leave aside.
#[derive(Debug, Clone, Copy)]
pub struct Ignored {
    /// A full name, or the beginning of one followed by `*`.
    pub pattern: &'static str,
    /// Why.
    pub reason: &'static str,
}

impl Checkpoint {
    /// Opens the weights in `dir`, safetensors if there are both.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoWeights`] if there are none, otherwise whatever is wrong with them.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        Self::open_any_of(dir, &[Container::Safetensors, Container::PyTorch])
    }

    /// Opens the weights in `dir` that are in this container, whatever else is there.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_container(dir: &Path, container: Container) -> Result<Self, CheckpointError> {
        Self::open_any_of(dir, &[container])
    }

    /// The path from which all tensors can be reached.
    pub fn root(&self) -> Weights<'_> {
        Weights::root(self)
    }

    /// The container that was opened.
    pub fn container(&self) -> Container {
        self.container
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors. No container without tensors is opened.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The files that hold the tensors, in the order of their names. One file under two names is there once.
    pub fn source_files(&self) -> &[SourceFile] {
        &self.files
    }

    /// What a person should know about the choice of files and about lists that do not quite agree with them.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Fails if a tensor was neither used nor is one that may be left aside.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unused`] with the names of the first few.
    pub fn expect_all_used(&self, ignored: &[Ignored]) -> Result<(), CheckpointError> {
        const SHOWN: usize = 5;
        let unused = |(name, tensor): &(&String, &Tensor)| {
            !tensor.is_used() && !ignored.iter().any(|i| i.covers(name))
        };
        let names = || {
            self.tensors
                .iter()
                .filter(unused)
                .map(|(name, _)| name.clone())
        };
        match names().count() {
            0 => Ok(()),
            count => Err(CheckpointError::Unused {
                count,
                first: names().take(SHOWN).collect(),
            }),
        }
    }

    /// Odd values among those that were read so far, in the order of the tensors' names. Values that were read twice
    /// count twice.
    pub fn doubtful(&self) -> Vec<Doubtful> {
        self.tensors
            .iter()
            .filter_map(|(name, tensor)| Doubtful::find(name, tensor))
            .collect()
    }

    fn file(&self, tensor: &Tensor) -> &SourceFile {
        &self.files[tensor.file]
    }

    fn find(&self, name: &str) -> Option<(&str, &Tensor)> {
        self.tensors
            .get_key_value(name)
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Whether a tensor has this name, or one that goes on from it with a dot.
    fn reaches(&self, path: &str) -> bool {
        let below = format!("{path}.");
        let next = self.tensors.range(below.clone()..).next();
        self.tensors.contains_key(path) || next.is_some_and(|(name, _)| name.starts_with(&below))
    }
}

impl Ignored {
    fn covers(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == self.pattern,
        }
    }
}
