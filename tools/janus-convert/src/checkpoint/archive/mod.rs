//! The zip container of a PyTorch file, of which nothing is believed that is not there twice.
//!
//! `torch.save` stores its entries as they are, each followed by a data descriptor, and ends the file with a zip64 and a
//! classic end record, without a comment. Anything beyond that is refused: compressed or encrypted entries, entries that
//! share bytes, local headers that disagree with the directory. Nothing is ever unpacked, so a name is only a name.

mod checksum;
mod end;
mod error;
pub(crate) mod format;
mod header;

use std::collections::BTreeMap;

pub(super) use self::checksum::Checksums;
pub use self::error::ArchiveError;

use self::end::EndRecord;
use super::error::CheckpointError;
use super::source::SourceFile;

/// The entries of an archive by name.
#[derive(Debug)]
pub(super) struct Archive {
    entries: BTreeMap<String, Entry>,
}

/// Where an entry's bytes are, and their checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) size: u64,
    crc32: u32,
}

impl Archive {
    /// Reads the directory of `file` and checks it against the header of every entry.
    pub(super) fn read(file: &SourceFile) -> Result<Self, CheckpointError> {
        let end = EndRecord::read(file)?;
        let mut directory = vec![0; end.size as usize];
        file.read_exact_at(end.offset, &mut directory)?;
        let headers =
            header::parse_directory(&directory, end.entries).map_err(|e| e.in_file(file))?;

        let mut entries = BTreeMap::new();
        let mut extents = Vec::with_capacity(headers.len());
        for header in headers {
            let (entry, entry_end) = header.locate(file, end.offset)?;
            extents.push((header.local_offset, entry_end, header.name));
            if entries.insert(header.name.to_owned(), entry).is_some() {
                let entry = header.name.to_owned();
                return Err(ArchiveError::DuplicateEntry { entry }.in_file(file));
            }
        }
        check_disjoint(extents, end.offset).map_err(|e| e.in_file(file))?;
        Ok(Self { entries })
    }

    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

/// No entry reaches into the next one, or into the directory.
fn check_disjoint(mut extents: Vec<(u64, u64, &str)>, directory: u64) -> Result<(), ArchiveError> {
    extents.sort_unstable();
    let begins = extents
        .iter()
        .skip(1)
        .map(|(begin, ..)| *begin)
        .chain([directory]);
    for ((_, end, name), next) in extents.iter().zip(begins) {
        if *end > next {
            return Err(ArchiveError::Overlap {
                entry: (*name).to_owned(),
                end: *end,
                next,
            });
        }
    }
    Ok(())
}
