//! Why a zip container is not usable.

use super::super::error::{CheckpointError, Fault, Quoted};
use super::super::limits;
use super::super::source::SourceFile;

/// Why a zip container is not usable.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The end record is not where it should be.
    #[error(
        "it does not end with a zip directory: it is truncated, or something was appended to it"
    )]
    NoEnd,
    /// The two end records disagree, or lie about where they are.
    #[error("its end records do not agree about {field}")]
    EndRecords {
        /// About what.
        field: &'static str,
    },
    /// The directory is not where the end record says.
    #[error("its directory of {size} bytes at {offset} should end at byte {end}")]
    DirectoryPlace {
        /// First byte of the directory.
        offset: u64,
        /// Bytes of the directory.
        size: u64,
        /// Where the end records begin.
        end: u64,
    },
    /// The directory is larger than any model's.
    #[error(
        "its directory has {entries} entries and {size} bytes; the limits are {} and {}",
        limits::ENTRIES,
        limits::DIRECTORY
    )]
    DirectoryLimit {
        /// Entries.
        entries: u64,
        /// Bytes.
        size: u64,
    },
    /// The directory does not hold the entries that it should.
    #[error("its directory is damaged at entry {index} of {entries}")]
    Directory {
        /// Which entry.
        index: u64,
        /// Out of how many.
        entries: u64,
    },
    /// A name that is no plain relative path.
    #[error("entry {} is not named by a plain relative path", Quoted(entry))]
    EntryName {
        /// The name.
        entry: String,
    },
    /// A name is there twice.
    #[error("entry {} is there twice", Quoted(entry))]
    DuplicateEntry {
        /// The name.
        entry: String,
    },
    /// An entry is a link or a directory.
    #[error("entry {} is not a regular file", Quoted(entry))]
    EntryKind {
        /// The name.
        entry: String,
    },
    /// An entry is encrypted.
    #[error("entry {} is encrypted", Quoted(entry))]
    Encrypted {
        /// The name.
        entry: String,
    },
    /// An entry is compressed.
    #[error(
        "entry {} is compressed by method {method}; `torch.save` stores entries as they are",
        Quoted(entry)
    )]
    Compressed {
        /// The name.
        entry: String,
        /// The method, as in the zip specification.
        method: u16,
    },
    /// What stands before or after the entry's bytes is not what the directory says.
    #[error(
        "entry {}: its {place} and the directory do not agree about {field}",
        Quoted(entry)
    )]
    Disagreement {
        /// The name.
        entry: String,
        /// Where the other account is.
        place: &'static str,
        /// About what.
        field: &'static str,
    },
    /// An entry reaches into the next one, or into the directory.
    #[error(
        "entry {} reaches to byte {end}, into what begins at {next}",
        Quoted(entry)
    )]
    Overlap {
        /// The name.
        entry: String,
        /// Where it ends.
        end: u64,
        /// Where the next one begins.
        next: u64,
    },
}

impl ArchiveError {
    pub(super) fn in_file(self, file: &SourceFile) -> CheckpointError {
        CheckpointError::Archive {
            file: file.name().to_owned(),
            source: self,
        }
    }

    pub(in crate::checkpoint) fn fault(&self) -> Fault {
        match self {
            Self::DirectoryLimit { .. }
            | Self::EntryName { .. }
            | Self::EntryKind { .. }
            | Self::Compressed { .. } => Fault::Refused,
            _ => Fault::Malformed,
        }
    }
}
