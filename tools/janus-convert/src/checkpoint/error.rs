//! Why a checkpoint could not be read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::archive::ArchiveError;
use super::index::IndexError;
use super::pickle::PickleError;
use super::safetensors::SafetensorsError;
use super::torch::StateDictError;

/// Why a checkpoint could not be opened, or a tensor could not be read.
///
/// Files are named relative to the checkpoint's directory. Names that come out of a file are escaped and shortened, so
/// a message never carries control characters.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The directory holds none of the known weight files.
    #[error("no weights in `{}`: expected {expected}", dir.display())]
    NoWeights {
        /// The directory.
        dir: PathBuf,
        /// The file names that were looked for.
        expected: String,
    },
    /// A file could not be opened.
    #[error("cannot open `{file}`")]
    Open {
        /// Which file.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read `{file}` at byte {offset}")]
    Read {
        /// Which file.
        file: String,
        /// Where.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory, a pipe or a device stands where a file should be.
    #[error("`{file}` is {found}, not a regular file")]
    NotAFile {
        /// Which file.
        file: String,
        /// What it is.
        found: &'static str,
    },
    /// A link leads out of the checkpoint's directory.
    #[error("`{file}` is a link to `{}`, outside of the checkpoint's directory; put a copy in its place", target.display())]
    LinkOutside {
        /// The link.
        file: String,
        /// Where it leads.
        target: PathBuf,
    },
    /// The file is of another kind than its name says.
    #[error("`{file}` is {found}, not {expected}{}", hint(remedy))]
    OtherFormat {
        /// Which file.
        file: String,
        /// What its first bytes say.
        found: &'static str,
        /// What its name says.
        expected: &'static str,
        /// What helps, if anything is known to.
        remedy: &'static str,
    },
    /// The list of shards is not usable.
    #[error("`{file}` is not a usable list of shards")]
    Index {
        /// Which file.
        file: String,
        /// Its fault.
        #[source]
        source: IndexError,
    },
    /// The safetensors header is not usable.
    #[error("`{file}` is not a usable safetensors file")]
    Safetensors {
        /// Which file.
        file: String,
        /// Its fault.
        #[source]
        source: SafetensorsError,
    },
    /// The zip container of a PyTorch file is not usable.
    #[error("`{file}` is not a usable PyTorch archive")]
    Archive {
        /// Which file.
        file: String,
        /// Its fault.
        #[source]
        source: ArchiveError,
    },
    /// The pickle of a PyTorch file is not usable.
    #[error("the pickle in `{file}` cannot be read")]
    Pickle {
        /// Which file.
        file: String,
        /// Its fault.
        #[source]
        source: PickleError,
    },
    /// The pickle was read, but it does not describe a dictionary of tensors.
    #[error("`{file}` does not hold a usable dictionary of tensors")]
    StateDict {
        /// Which file.
        file: String,
        /// Its fault.
        #[source]
        source: StateDictError,
    },
    /// The list of shards names a file that is not there.
    #[error("shard `{shard}` is in `{list}`, but not in the directory")]
    MissingShard {
        /// Which list.
        list: String,
        /// Which shard.
        shard: String,
    },
    /// A tensor is in two shards.
    #[error("tensor {} is in `{first}` and in `{second}`", Quoted(tensor))]
    InTwoShards {
        /// Which tensor.
        tensor: String,
        /// One shard.
        first: String,
        /// The other.
        second: String,
    },
    /// The list of shards names a tensor that its shard does not hold.
    #[error(
        "tensor {} should be in `{shard}`, which does not hold it",
        Quoted(tensor)
    )]
    NotInShard {
        /// Which tensor.
        tensor: String,
        /// Where the list says it is.
        shard: String,
    },
    /// A weight that the network needs is not in the checkpoint.
    #[error("tensor {} is missing", Quoted(tensor))]
    MissingTensor {
        /// Which tensor.
        tensor: String,
    },
    /// A weight has another shape than the network needs.
    #[error(
        "tensor {} has shape {found:?}; it should be {expected:?}",
        Quoted(tensor)
    )]
    Shape {
        /// Which tensor.
        tensor: String,
        /// The shape that the network needs.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A weight is stored in a type that is no weight's.
    #[error(
        "tensor {} has type {found}; weights are F32, F16 or BF16",
        Quoted(tensor)
    )]
    NotFloat {
        /// Which tensor.
        tensor: String,
        /// The type in the file.
        found: super::Dtype,
    },
    /// Tensors of the checkpoint had no place in the network.
    #[error("{count} tensors of the checkpoint were not used: {}", listed(first, *count))]
    Unused {
        /// How many.
        count: usize,
        /// The first few, in the order of their names.
        first: Vec<String>,
    },
    /// A tensor's values are too far apart in the file to be gathered in memory.
    #[error(
        "tensor {} needs {bytes} bytes of memory at once, which the system refused",
        Quoted(tensor)
    )]
    OutOfMemory {
        /// Which tensor.
        tensor: String,
        /// How much was asked for.
        bytes: usize,
    },
    /// The bytes of a zip entry are not the ones that were written.
    #[error(
        "`{file}` is damaged: entry {} has CRC-32 {found:08x}; it should be {expected:08x}",
        Quoted(entry)
    )]
    Checksum {
        /// Which file.
        file: String,
        /// Which entry of it.
        entry: String,
        /// The checksum in the archive's directory.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
}

/// What kind of fault an error is, for exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The input is malformed, or of a kind that is not read.
    Malformed,
    /// The input asks for something that is never done: running code, leaving the directory, passing a limit.
    Refused,
    /// The system could not do what was asked of it.
    Environment,
    /// The input is well-formed, but not what was written.
    Verification,
}

impl CheckpointError {
    /// What kind of fault this is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Open { .. } | Self::Read { .. } | Self::OutOfMemory { .. } => Fault::Environment,
            Self::NotAFile { .. } | Self::LinkOutside { .. } => Fault::Refused,
            Self::Checksum { .. } => Fault::Verification,
            Self::Index { source, .. } => source.fault(),
            Self::Safetensors { source, .. } => source.fault(),
            Self::Archive { source, .. } => source.fault(),
            Self::Pickle { source, .. } => source.fault(),
            Self::StateDict { source, .. } => source.fault(),
            _ => Fault::Malformed,
        }
    }
}

/// A name out of a file, for a message: in backticks, escaped, and cut when it is long.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 120;
        let end = self
            .0
            .char_indices()
            .nth(SHOWN)
            .map_or(self.0.len(), |(at, _)| at);
        let (shown, cut) = self.0.split_at(end);
        write!(f, "`{}`", shown.escape_debug())?;
        if cut.is_empty() {
            Ok(())
        } else {
            write!(f, " and {} bytes more", cut.len())
        }
    }
}

fn hint(remedy: &str) -> String {
    if remedy.is_empty() {
        String::new()
    } else {
        format!("; {remedy}")
    }
}

fn listed(first: &[String], count: usize) -> String {
    let mut text = first
        .iter()
        .map(|name| Quoted(name).to_string())
        .collect::<Vec<_>>()
        .join(", ");
    if count > first.len() {
        text.push_str(", …");
    }
    text
}
