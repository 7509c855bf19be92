//! Writes a zip archive as `torch.save` does: stored entries, aligned, each followed by a data descriptor.

use std::io::{self, Write};

use crate::checkpoint::zip_format::*;

/// Entries begin at multiples of this, so that a reader can map them.
const ALIGNMENT: u64 = 64;
/// The extra field that moves an entry to its place.
const PADDING: [u8; 2] = *b"FB";
/// The version of the specification that brought zip64.
const ZIP64_VERSION: u16 = 45;

/// An archive that is being written.
pub(super) struct ZipWriter<W> {
    out: W,
    offset: u64,
    directory: Vec<u8>,
    entries: u64,
}

/// An entry that is being written.
pub(super) struct EntryWriter<'a, W> {
    zip: &'a mut ZipWriter<W>,
    name: String,
    header: u64,
    size: u64,
    crc32: crc32fast::Hasher,
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            offset: 0,
            directory: Vec::new(),
            entries: 0,
        }
    }

    /// Adds an entry whose bytes are at hand.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut entry = self.begin(name)?;
        entry.write(bytes)?;
        entry.finish()
    }

    /// Begins an entry whose bytes are to come.
    pub(super) fn begin(&mut self, name: &str) -> io::Result<EntryWriter<'_, W>> {
        let header = self.offset;
        let unpadded = header + LOCAL_HEADER_LEN + name.len() as u64 + 4;
        let padding = (unpadded.next_multiple_of(ALIGNMENT) - unpadded) as u16;
        let mut record = Vec::new();
        put32(&mut record, LOCAL_HEADER);
        put_entry_start(&mut record, 0, [0, 0]);
        put16(&mut record, name.len() as u16);
        put16(&mut record, padding + 4);
        record.extend_from_slice(name.as_bytes());
        record.extend_from_slice(&PADDING);
        put16(&mut record, padding);
        record.resize(record.len() + usize::from(padding), b'Z');
        self.put(&record)?;
        let crc32 = crc32fast::Hasher::new();
        Ok(EntryWriter {
            zip: self,
            name: name.to_owned(),
            header,
            size: 0,
            crc32,
        })
    }

    /// Writes the directory and the end records.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let (start, size, entries) = (self.offset, self.directory.len() as u64, self.entries);
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;

        let end64 = self.offset;
        let mut record = Vec::new();
        put32(&mut record, END64);
        put64(&mut record, END64_LEN - 12);
        put16(&mut record, ZIP64_VERSION);
        put16(&mut record, ZIP64_VERSION);
        put64(&mut record, 0);
        put64(&mut record, entries);
        put64(&mut record, entries);
        put64(&mut record, size);
        put64(&mut record, start);

        put32(&mut record, END64_LOCATOR);
        put32(&mut record, 0);
        put64(&mut record, end64);
        put32(&mut record, 1);

        put32(&mut record, END);
        put32(&mut record, 0);
        let short = u16::try_from(entries).unwrap_or(IN_ZIP64_16);
        put16(&mut record, short);
        put16(&mut record, short);
        put32(&mut record, or_in_zip64(size));
        put32(&mut record, or_in_zip64(start));
        put16(&mut record, 0);
        self.put(&record)?;
        self.out.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.offset += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl<W: Write> EntryWriter<'_, W> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.crc32.update(bytes);
        self.zip.put(bytes)
    }

    /// Writes the data descriptor and keeps the header for the directory.
    pub(super) fn finish(self) -> io::Result<()> {
        let Self {
            zip,
            name,
            header,
            size,
            crc32,
        } = self;
        let crc32 = crc32.finalize();
        let mut descriptor = Vec::new();
        put32(&mut descriptor, DATA_DESCRIPTOR);
        put32(&mut descriptor, crc32);
        match u32::try_from(size) {
            Ok(size) if size != IN_ZIP64_32 => [size, size].map(|s| put32(&mut descriptor, s)),
            _ => [size, size].map(|s| put64(&mut descriptor, s)),
        };
        zip.put(&descriptor)?;

        let mut zip64 = Vec::new();
        for number in [size, size, header] {
            if or_in_zip64(number) == IN_ZIP64_32 {
                put64(&mut zip64, number);
            }
        }
        let directory = &mut zip.directory;
        put32(directory, DIRECTORY_HEADER);
        put16(directory, 0);
        put_entry_start(directory, crc32, [size, size]);
        put16(directory, name.len() as u16);
        put16(
            directory,
            if zip64.is_empty() {
                0
            } else {
                zip64.len() as u16 + 4
            },
        );
        put16(directory, 0);
        put64(directory, 0);
        put32(directory, or_in_zip64(header));
        directory.extend_from_slice(name.as_bytes());
        if !zip64.is_empty() {
            put16(directory, ZIP64_EXTRA);
            put16(directory, zip64.len() as u16);
            directory.extend_from_slice(&zip64);
        }
        zip.entries += 1;
        Ok(())
    }
}

/// The fields that both headers of an entry have in common: version, flags, method, no date, checksum, sizes.
fn put_entry_start(record: &mut Vec<u8>, crc32: u32, sizes: [u64; 2]) {
    put16(record, 0);
    put16(record, FLAG_DATA_DESCRIPTOR | FLAG_UTF8);
    put16(record, STORED);
    put32(record, 0);
    put32(record, crc32);
    for size in sizes {
        put32(record, or_in_zip64(size));
    }
}

fn or_in_zip64(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_ZIP64_32)
}

fn put16(record: &mut Vec<u8>, number: u16) {
    record.extend_from_slice(&number.to_le_bytes());
}

fn put32(record: &mut Vec<u8>, number: u32) {
    record.extend_from_slice(&number.to_le_bytes());
}

fn put64(record: &mut Vec<u8>, number: u64) {
    record.extend_from_slice(&number.to_le_bytes());
}
