//! The checksums of an archive's entries, checked while the file is read from its first to its last byte.

use super::super::error::CheckpointError;
use super::{Archive, Entry};

/// Follows a reader through the file.
pub(in crate::checkpoint) struct Checksums<'a> {
    /// In the order of the file, those to come last.
    entries: std::vec::IntoIter<(&'a str, Entry)>,
    current: Option<(&'a str, Entry)>,
    crc32: crc32fast::Hasher,
}

/// An entry's bytes are not those that were written.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct WrongChecksum {
    entry: String,
    expected: u32,
    found: u32,
}

impl<'a> Checksums<'a> {
    pub(in crate::checkpoint) fn new(archive: &'a Archive) -> Self {
        let mut entries = archive
            .entries
            .iter()
            .map(|(n, e)| (n.as_str(), *e))
            .collect::<Vec<_>>();
        entries.sort_by_key(|(_, entry)| (entry.offset, entry.size));
        let mut entries = entries.into_iter();
        let current = entries.next();
        Self {
            entries,
            current,
            crc32: crc32fast::Hasher::new(),
        }
    }

    /// Takes the next `bytes` of the file, which begin at `offset`.
    pub(in crate::checkpoint) fn add(
        &mut self,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), WrongChecksum> {
        let end = offset + bytes.len() as u64;
        while let Some((name, entry)) = self.current {
            let entry_end = entry.offset + entry.size;
            let (from, to) = (
                entry.offset.clamp(offset, end),
                entry_end.clamp(offset, end),
            );
            self.crc32
                .update(&bytes[(from - offset) as usize..(to - offset) as usize]);
            if entry_end > end {
                break;
            }
            entry.check(name, std::mem::take(&mut self.crc32).finalize())?;
            self.current = self.entries.next();
        }
        Ok(())
    }
}

impl Entry {
    /// Compares the checksum of the entry `name`.
    pub(in crate::checkpoint) fn check(self, name: &str, found: u32) -> Result<(), WrongChecksum> {
        let expected = self.crc32;
        if found == expected {
            return Ok(());
        }
        Err(WrongChecksum {
            entry: name.to_owned(),
            expected,
            found,
        })
    }
}

impl WrongChecksum {
    pub(in crate::checkpoint) fn in_file(self, file: &str) -> CheckpointError {
        let Self {
            entry,
            expected,
            found,
        } = self;
        CheckpointError::Checksum {
            file: file.to_owned(),
            entry,
            expected,
            found,
        }
    }
}
