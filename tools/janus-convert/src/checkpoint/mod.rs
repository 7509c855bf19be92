//! Reads a released checkpoint: safetensors or PyTorch, in one file or in shards.
//!
//! A checkpoint comes from somewhere on the network, so nothing in it is believed. Every size is compared with the file
//! before anything is allocated or read, no name becomes a path, and no pickle is ever executed: [`pickle`] is a machine
//! that can build tensor descriptions and nothing else.
//!
//! | file | what |
//! |---|---|
//! | `source` | opens the files, reads them by position |
//! | `detect` | recognises what is no checkpoint: LFS pointers, web pages, other formats |
//! | `index` | the list of shards |
//! | `safetensors` | container of Janus-1.3B, JanusFlow and the transformers ports |
//! | `archive`, `pickle`, `torch` | container of Janus-Pro: a zip archive, the pickle in it, the dictionary that makes |
//! | `tensor`, `values` | one tensor, its values as `f32` |
//! | `weights` | the view that networks take |
//! | `limits` | what a file may ask for at most |

mod archive;
mod detect;
mod digest;
mod error;
mod index;
mod limits;
pub mod pickle;
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
pub use self::error::{CheckpointError, Fault};
pub use self::index::IndexError;
pub use self::pickle::PickleError;
pub use self::safetensors::SafetensorsError;
pub use self::source::SourceFile;
pub use self::tensor::{CHUNK, Dtype, TensorRef};
pub use self::torch::StateDictError;
pub use self::weights::Weights;

use self::archive::Archive;
use self::index::Index;
use self::tensor::{Layout, Tensor};

/// The two containers that weights are released in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `*.safetensors`
    Safetensors,
    /// `*.bin`, written by `torch.save`
    PyTorch,
}

/// File names that weights are released under, in the order of preference.
const RELEASED: [(&str, Container, Parts); 6] = [
    ("model.safetensors", Container::Safetensors, Parts::One),
    (
        "model.safetensors.index.json",
        Container::Safetensors,
        Parts::Shards,
    ),
    (
        "diffusion_pytorch_model.safetensors",
        Container::Safetensors,
        Parts::One,
    ),
    ("pytorch_model.bin", Container::PyTorch, Parts::One),
    (
        "pytorch_model.bin.index.json",
        Container::PyTorch,
        Parts::Shards,
    ),
    (
        "diffusion_pytorch_model.bin",
        Container::PyTorch,
        Parts::One,
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    One,
    Shards,
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

/// Values that look like damage rather than like weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubtful {
    /// Which tensor.
    pub tensor: String,
    /// What is odd about its values.
    pub oddity: Oddity,
}

/// What is odd about a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Oddity {
    /// So many of them are NaN or infinite.
    NonFinite(u64),
    /// All of them are this one, in a tensor whose name ends in `weight`.
    Constant(f32),
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

    fn open_any_of(dir: &Path, containers: &[Container]) -> Result<Self, CheckpointError> {
        let wanted = || {
            RELEASED
                .iter()
                .filter(|(_, container, _)| containers.contains(container))
        };
        let mut found = wanted().filter(|(name, ..)| dir.join(name).symlink_metadata().is_ok());
        let Some((name, container, parts)) = found.next() else {
            let expected = wanted()
                .map(|(name, ..)| *name)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(CheckpointError::NoWeights {
                dir: dir.to_owned(),
                expected,
            });
        };
        let mut notes = Vec::new();
        for (other, ..) in found {
            notes.push(format!(
                "`{name}` is read; `{other}` in the same directory is not"
            ));
        }

        let mut checkpoint = Self {
            container: *container,
            files: Vec::new(),
            archives: Vec::new(),
            tensors: BTreeMap::new(),
            notes,
        };
        match parts {
            Parts::One => checkpoint.add_file(SourceFile::open(dir, name)?)?,
            Parts::Shards => checkpoint.add_shards(dir, name)?,
        }
        Ok(checkpoint)
    }

    fn add_shards(&mut self, dir: &Path, list: &str) -> Result<(), CheckpointError> {
        let index = Index::read(&SourceFile::open(dir, list)?)?;
        let mut names_of: BTreeMap<&str, usize> = BTreeMap::new();
        for shard in index.shards() {
            let file = SourceFile::open(dir, shard)?;
            let twin = self.files.iter().position(|known| known.is_same_as(&file));
            names_of.insert(shard, twin.unwrap_or(self.files.len()));
            if twin.is_none() {
                self.add_file(file)?;
            }
        }
        for (tensor, shard) in &index.weight_map {
            let found = self.tensors.get(tensor).map(|t| t.file);
            if found.is_none() || found != names_of.get(shard.as_str()).copied() {
                let (tensor, shard) = (tensor.clone(), shard.clone());
                return Err(CheckpointError::NotInShard { tensor, shard });
            }
        }
        self.note_disagreements(list, &index);
        Ok(())
    }

    fn note_disagreements(&mut self, list: &str, index: &Index) {
        let unlisted = self.tensors.len() - index.weight_map.len();
        if unlisted > 0 {
            self.notes.push(format!(
                "the shards hold {unlisted} tensors that `{list}` does not name"
            ));
        }
        let total = self
            .tensors
            .values()
            .map(|t| t.layout.byte_len())
            .sum::<u64>();
        if let Some(stated) = index.total_size.filter(|stated| *stated != total) {
            self.notes.push(format!(
                "`{list}` says that all tensors take {stated} bytes; they take {total}"
            ));
        }
    }

    fn add_file(&mut self, file: SourceFile) -> Result<(), CheckpointError> {
        let layouts = match self.container {
            Container::Safetensors => {
                detect::expect_safetensors(&file)?;
                safetensors::read(&file)?
            }
            Container::PyTorch => {
                detect::expect_pytorch(&file)?;
                let archive = Archive::read(&file)?;
                let layouts = torch::read(&file, &archive)?;
                self.archives.push(archive);
                layouts
            }
        };
        self.files.push(file);
        layouts
            .into_iter()
            .try_for_each(|(name, layout)| self.add_tensor(name, layout))
    }

    /// Adds a tensor of the file that came last.
    fn add_tensor(&mut self, name: String, layout: Layout) -> Result<(), CheckpointError> {
        let tensor = Tensor::new(layout, self.files.len() - 1);
        if let Some(twin) = self.tensors.get(&name) {
            return Err(CheckpointError::InTwoShards {
                tensor: name,
                first: self.file(twin).name().to_owned(),
                second: self.file(&tensor).name().to_owned(),
            });
        }
        self.tensors.insert(name, tensor);
        Ok(())
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

impl Doubtful {
    fn find(name: &str, tensor: &Tensor) -> Option<Self> {
        let summary = *tensor.summary.lock().unwrap_or_else(|e| e.into_inner());
        let oddity = match (summary.non_finite, summary.constant()) {
            (1.., _) => Oddity::NonFinite(summary.non_finite),
            (0, Some(value)) if name.ends_with("weight") => Oddity::Constant(value),
            _ => return None,
        };
        Some(Self {
            tensor: name.to_owned(),
            oddity,
        })
    }
}

impl std::fmt::Display for Doubtful {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tensor = error::Quoted(&self.tensor);
        match self.oddity {
            Oddity::NonFinite(count) => {
                write!(f, "tensor {tensor} has {count} values that are not finite")
            }
            Oddity::Constant(value) => write!(f, "every value of tensor {tensor} is {value}"),
        }
    }
}
