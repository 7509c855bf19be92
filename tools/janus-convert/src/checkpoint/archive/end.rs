//! The end records of a zip file: they say where its directory is.

use super::super::error::CheckpointError;
use super::super::limits;
use super::super::source::SourceFile;
use super::error::ArchiveError;
use super::format::*;

/// Where the directory is, on the word of all end records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndRecord {
    pub(super) entries: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
}

impl EndRecord {
    pub(super) fn read(file: &SourceFile) -> Result<Self, CheckpointError> {
        let len = (END64_LEN + END64_LOCATOR_LEN + END_LEN).min(file.size());
        let mut tail = vec![0; len as usize];
        file.read_exact_at(file.size() - len, &mut tail)?;
        Self::parse(&tail, file.size()).map_err(|e| e.in_file(file))
    }

    /// Takes the end records off the last bytes of a file of `size` bytes.
    fn parse(tail: &[u8], size: u64) -> Result<Self, ArchiveError> {
        let (tail, classic) = split_last(tail, END_LEN).ok_or(ArchiveError::NoEnd)?;
        let classic = parse_classic(classic).ok_or(ArchiveError::NoEnd)?;
        let mut end = size - END_LEN;
        let mut record = classic;
        let zip64 = split_last(tail, END64_LOCATOR_LEN)
            .and_then(|(tail, locator)| Some((tail, parse_locator(locator)?)));
        if let Some((tail, place)) = zip64 {
            let (_, end64) = split_last(tail, END64_LEN).ok_or(ArchiveError::NoEnd)?;
            end -= END64_LOCATOR_LEN + END64_LEN;
            if place != end {
                return Err(ArchiveError::EndRecords {
                    field: "where the zip64 record is",
                });
            }
            record = parse_zip64(end64).ok_or(ArchiveError::EndRecords {
                field: "what the zip64 record is",
            })?;
            classic.check_against(record)?;
        }

        let Self {
            entries,
            size,
            offset,
        } = record;
        if entries > limits::ENTRIES || size > limits::DIRECTORY {
            return Err(ArchiveError::DirectoryLimit { entries, size });
        }
        if offset.checked_add(size) != Some(end) {
            return Err(ArchiveError::DirectoryPlace { offset, size, end });
        }
        Ok(record)
    }

    /// Compares what a classic record says with the zip64 record, where it says anything at all.
    fn check_against(self, zip64: Self) -> Result<(), ArchiveError> {
        let compared = [
            (
                "the number of entries",
                self.entries,
                u64::from(IN_ZIP64_16),
                zip64.entries,
            ),
            (
                "the size of the directory",
                self.size,
                u64::from(IN_ZIP64_32),
                zip64.size,
            ),
            (
                "where the directory is",
                self.offset,
                u64::from(IN_ZIP64_32),
                zip64.offset,
            ),
        ];
        for (field, classic, in_zip64, zip64) in compared {
            if classic != in_zip64 && classic != zip64 {
                return Err(ArchiveError::EndRecords { field });
            }
        }
        Ok(())
    }
}

fn split_last(bytes: &[u8], count: u64) -> Option<(&[u8], &[u8])> {
    bytes
        .len()
        .checked_sub(count as usize)
        .map(|at| bytes.split_at(at))
}

/// The end record that every archive has, here without a comment and in one part.
fn parse_classic(record: &[u8]) -> Option<EndRecord> {
    let mut fields = Fields(record);
    let signature = fields.u32()?;
    let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
    let (entries_here, entries) = (fields.u16()?, fields.u16()?);
    let (size, offset, comment) = (fields.u32()?, fields.u32()?, fields.u16()?);
    let whole = disk == 0 && directory_disk == 0 && entries_here == entries;
    (signature == END && whole && comment == 0).then(|| EndRecord {
        entries: entries.into(),
        size: size.into(),
        offset: offset.into(),
    })
}

/// Where the zip64 record is.
fn parse_locator(record: &[u8]) -> Option<u64> {
    let mut fields = Fields(record);
    let (signature, disk, place, disks) =
        (fields.u32()?, fields.u32()?, fields.u64()?, fields.u32()?);
    (signature == END64_LOCATOR && disk == 0 && disks <= 1).then_some(place)
}

fn parse_zip64(record: &[u8]) -> Option<EndRecord> {
    let mut fields = Fields(record);
    let (signature, rest) = (fields.u32()?, fields.u64()?);
    let _versions = (fields.u16()?, fields.u16()?);
    let (disk, directory_disk) = (fields.u32()?, fields.u32()?);
    let (entries_here, entries) = (fields.u64()?, fields.u64()?);
    let (size, offset) = (fields.u64()?, fields.u64()?);
    let whole = disk == 0 && directory_disk == 0 && entries_here == entries;
    (signature == END64 && rest == END64_LEN - 12 && whole).then_some(EndRecord {
        entries,
        size,
        offset,
    })
}
