//! Builds zip archives, right or wrong in any field.

use std::ops::Not;

/// An entry; the fields of its two headers are what they should be unless they are set.
#[derive(Clone, Default)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) made_by: u16,
    pub(super) attributes: u32,
    pub(super) crc32: Option<u32>,
    pub(super) size: Option<u32>,
    pub(super) offset: Option<u32>,
    pub(super) local_name: Option<Vec<u8>>,
    pub(super) local_size: Option<u32>,
    pub(super) local_method: Option<u16>,
    pub(super) local_crc32: Option<u32>,
    pub(super) descriptor: Option<Vec<u8>>,
}

impl Entry {
    pub(super) fn new(name: impl AsRef<[u8]>, data: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            data: data.into(),
            ..Self::default()
        }
    }

    /// Signature, checksum and two sizes of four bytes, as after the bytes of an entry of which they were not known.
    pub(super) fn with_descriptor(self) -> Self {
        let size = (self.data.len() as u32).to_le_bytes();
        let crc32 = crc32fast::hash(&self.data).to_le_bytes();
        let descriptor = [*b"PK\x07\x08", crc32, size, size].concat();
        Self {
            flags: 8,
            local_size: Some(0),
            local_crc32: Some(0),
            descriptor: Some(descriptor),
            ..self
        }
    }
}

/// An archive without zip64 records.
pub(super) fn archive(entries: &[Entry]) -> Vec<u8> {
    archive_with_comment(entries, b"")
}

pub(super) fn archive_with_comment(entries: &[Entry], comment: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        directory.extend_from_slice(&directory_header(entry, file.len()));
        file.extend_from_slice(&local_header(entry));
        file.extend_from_slice(&entry.data);
        file.extend_from_slice(entry.descriptor.as_deref().unwrap_or_default());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (offset, size) = (file.len() as u32, directory.len() as u32);
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&[count, count].concat());
    file.extend_from_slice(&[size.to_le_bytes(), offset.to_le_bytes()].concat());
    file.extend_from_slice(&(comment.len() as u16).to_le_bytes());
    file.extend_from_slice(comment);
    file
}

fn local_header(entry: &Entry) -> Vec<u8> {
    let name = entry.local_name.as_ref().unwrap_or(&entry.name);
    let size = entry
        .local_size
        .unwrap_or(entry.data.len() as u32)
        .to_le_bytes();
    let crc32 = entry.local_crc32.unwrap_or(crc32fast::hash(&entry.data));
    let method = entry.local_method.unwrap_or(entry.method);
    [
        b"PK\x03\x04\0\0",
        &entry.flags.to_le_bytes()[..],
        &method.to_le_bytes(),
        &[0; 4],
        &crc32.to_le_bytes(),
        &size,
        &size,
        &(name.len() as u16).to_le_bytes(),
        &[0; 2],
        name,
    ]
    .concat()
}

fn directory_header(entry: &Entry, offset: usize) -> Vec<u8> {
    let size = entry.size.unwrap_or(entry.data.len() as u32).to_le_bytes();
    let crc32 = entry.crc32.unwrap_or(crc32fast::hash(&entry.data));
    [
        b"PK\x01\x02",
        &entry.made_by.to_le_bytes()[..],
        &[0; 2],
        &entry.flags.to_le_bytes(),
        &entry.method.to_le_bytes(),
        &[0; 4],
        &crc32.to_le_bytes(),
        &size,
        &size,
        &(entry.name.len() as u16).to_le_bytes(),
        &[0; 8],
        &entry.attributes.to_le_bytes(),
        &entry.offset.unwrap_or(offset as u32).to_le_bytes(),
        &entry.name,
    ]
    .concat()
}

/// Replaces the only occurrence of some bytes by as many others.
pub(super) fn patch(file: &mut [u8], from: &[u8], to: &[u8]) {
    let places = file
        .windows(from.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == from);
    let places = places.map(|(at, _)| at).collect::<Vec<_>>();
    assert!(
        places.len() == 1 && from.len() == to.len() && from.is_empty().not(),
        "{places:?}"
    );
    file[places[0]..][..to.len()].copy_from_slice(to);
}
