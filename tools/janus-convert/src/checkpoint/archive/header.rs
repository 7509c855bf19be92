//! The headers of an entry: one in the directory, one before its bytes, and a descriptor after them.

use super::super::error::CheckpointError;
use super::super::source::SourceFile;
use super::Entry;
use super::error::ArchiveError;
use super::format::*;

/// Bytes of the longer kind of data descriptor.
const DESCRIPTOR_LEN: usize = 24;

/// What the directory says of one entry.
#[derive(Debug)]
pub(super) struct DirectoryHeader<'a> {
    pub(super) name: &'a str,
    pub(super) local_offset: u64,
    flags: u16,
    crc32: u32,
    size: u64,
}

/// Parses all headers of a directory, which must end with the last of them.
pub(super) fn parse_directory(
    directory: &[u8],
    entries: u64,
) -> Result<Vec<DirectoryHeader<'_>>, ArchiveError> {
    let mut fields = Fields(directory);
    let mut headers = Vec::new();
    for index in 0..entries {
        let damaged = ArchiveError::Directory { index, entries };
        headers.push(RawHeader::parse(&mut fields).ok_or(damaged)?.check()?);
    }
    if fields.0.is_empty() {
        return Ok(headers);
    }
    Err(ArchiveError::Directory {
        index: entries,
        entries,
    })
}

impl DirectoryHeader<'_> {
    /// Where the entry's bytes are, and where all that belongs to it ends, once its local header and its descriptor have
    /// confirmed what the directory says.
    pub(super) fn locate(
        &self,
        file: &SourceFile,
        directory: u64,
    ) -> Result<(Entry, u64), CheckpointError> {
        let differ = |place, field| {
            let entry = self.name.to_owned();
            ArchiveError::Disagreement {
                entry,
                place,
                field,
            }
            .in_file(file)
        };
        let local = self
            .read_local(file, directory)?
            .ok_or_else(|| differ("local header", "its length"))?;
        self.check_local(&local)
            .map_err(|field| differ("local header", field))?;

        let offset = self.local_offset + local.len() as u64;
        let Some(after) = (directory - offset).checked_sub(self.size) else {
            return Err(differ("local header", "the room for its bytes"));
        };
        let mut end = offset + self.size;
        if self.flags & FLAG_DATA_DESCRIPTOR != 0 {
            let mut descriptor = [0; DESCRIPTOR_LEN];
            let descriptor = &mut descriptor[..after.min(DESCRIPTOR_LEN as u64) as usize];
            file.read_exact_at(end, descriptor)?;
            let len = self.check_descriptor(descriptor);
            end += len.ok_or_else(|| differ("data descriptor", "checksum or size"))?;
        }
        Ok((
            Entry {
                offset,
                size: self.size,
                crc32: self.crc32,
            },
            end,
        ))
    }

    /// The local header with its name and its extra field, if there is room for it before the directory.
    fn read_local(
        &self,
        file: &SourceFile,
        directory: u64,
    ) -> Result<Option<Vec<u8>>, CheckpointError> {
        let room = directory.saturating_sub(self.local_offset);
        if room < LOCAL_HEADER_LEN {
            return Ok(None);
        }
        let mut header = vec![0; LOCAL_HEADER_LEN as usize];
        file.read_exact_at(self.local_offset, &mut header)?;
        let [.., n0, n1, e0, e1] = header[..] else {
            return Ok(None);
        };
        let rest =
            u64::from(u16::from_le_bytes([n0, n1])) + u64::from(u16::from_le_bytes([e0, e1]));
        if rest > room - LOCAL_HEADER_LEN {
            return Ok(None);
        }
        header.resize((LOCAL_HEADER_LEN + rest) as usize, 0);
        let offset = self.local_offset + LOCAL_HEADER_LEN;
        file.read_exact_at(offset, &mut header[LOCAL_HEADER_LEN as usize..])?;
        Ok(Some(header))
    }

    /// Compares the local header, name and extra field included. The error is the field that differs.
    fn check_local(&self, local: &[u8]) -> Result<(), &'static str> {
        let local = LocalHeader::parse(local).ok_or("its signature")?;
        if local.flags != self.flags {
            return Err("flags");
        }
        if local.method != STORED {
            return Err("the compression method");
        }
        if local.name != self.name.as_bytes() {
            return Err("the name");
        }
        let descriptor_follows = self.flags & FLAG_DATA_DESCRIPTOR != 0;
        if local.crc32 != self.crc32 && !(descriptor_follows && local.crc32 == 0) {
            return Err("the checksum");
        }
        let sizes = [local.compressed, local.size];
        let agree = |size: u64| size == self.size || descriptor_follows && size == 0;
        if sizes.into_iter().all(agree) {
            Ok(())
        } else {
            Err("the size")
        }
    }

    /// The length of the data descriptor, if it says the same as the directory.
    fn check_descriptor(&self, descriptor: &[u8]) -> Option<u64> {
        let mut fields = Fields(descriptor);
        let signed = fields.u32()? == DATA_DESCRIPTOR && fields.u32()? == self.crc32;
        if !signed {
            return None;
        }
        let (mut short, mut long) = (Fields(fields.0), fields);
        let is_size = |size: u64| size == self.size;
        if is_size(short.u32()?.into()) && is_size(short.u32()?.into()) {
            return Some(16);
        }
        (is_size(long.u64()?) && is_size(long.u64()?)).then_some(24)
    }
}

/// A header of the directory before anything in it is checked.
struct RawHeader<'a> {
    system: u16,
    flags: u16,
    method: u16,
    crc32: u32,
    compressed: u64,
    size: u64,
    disk: u16,
    attributes: u32,
    local_offset: u64,
    name: &'a [u8],
}

impl<'a> RawHeader<'a> {
    fn parse(fields: &mut Fields<'a>) -> Option<Self> {
        (fields.u32()? == DIRECTORY_HEADER).then_some(())?;
        let (made_by, _needed, flags, method) =
            (fields.u16()?, fields.u16()?, fields.u16()?, fields.u16()?);
        let (_time_and_date, crc32) = (fields.u32()?, fields.u32()?);
        let (compressed, size) = (fields.u32()?, fields.u32()?);
        let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let (disk, _internal, attributes) = (fields.u16()?, fields.u16()?, fields.u32()?);
        let local_offset = fields.u32()?;
        let name = fields.bytes(name.into())?;
        let mut zip64 = Zip64::find(fields.bytes(extra.into())?);
        let _comment = fields.bytes(comment.into())?;
        Some(Self {
            system: made_by >> 8,
            flags,
            method,
            crc32,
            // The order in which they are in the extra field.
            size: zip64.take_if_needed(size)?,
            compressed: zip64.take_if_needed(compressed)?,
            local_offset: zip64.take_if_needed(local_offset)?,
            disk,
            attributes,
            name,
        })
    }

    fn check(self) -> Result<DirectoryHeader<'a>, ArchiveError> {
        /// Of the attributes that a Unix system writes: the kind of file, and the kinds that are files.
        const UNIX: u16 = 3;
        const KIND: u32 = 0o17_0000;
        const FILES: [u32; 2] = [0, 0o10_0000];

        let text = std::str::from_utf8(self.name)
            .ok()
            .filter(|name| is_plain_path(name));
        let entry = || String::from_utf8_lossy(self.name).into_owned();
        let Some(name) = text else {
            return Err(ArchiveError::EntryName { entry: entry() });
        };
        if self.system == UNIX && !FILES.contains(&((self.attributes >> 16) & KIND)) {
            return Err(ArchiveError::EntryKind { entry: entry() });
        }
        if self.flags & FLAGS_ENCRYPTED != 0 {
            return Err(ArchiveError::Encrypted { entry: entry() });
        }
        if self.method != STORED {
            return Err(ArchiveError::Compressed {
                entry: entry(),
                method: self.method,
            });
        }
        let disagreement = |field| ArchiveError::Disagreement {
            entry: entry(),
            place: "directory",
            field,
        };
        if self.compressed != self.size {
            return Err(disagreement("the size of what is stored as it is"));
        }
        if self.disk != 0 {
            return Err(disagreement("the number of parts"));
        }
        let Self {
            flags,
            crc32,
            size,
            local_offset,
            ..
        } = self;
        Ok(DirectoryHeader {
            name,
            local_offset,
            flags,
            crc32,
            size,
        })
    }
}

/// Whether a name stays below the place it is unpacked to, on every system. It is never unpacked; but a writer of other
/// names is not to be trusted with the rest.
fn is_plain_path(name: &str) -> bool {
    let plain = |c: char| !matches!(c, '\\' | ':') && !c.is_control();
    let step = |step: &str| !matches!(step, "" | "." | "..") && step.chars().all(plain);
    name.len() <= 1024 && name.split('/').all(step)
}

/// The header before an entry's bytes.
struct LocalHeader<'a> {
    flags: u16,
    method: u16,
    crc32: u32,
    compressed: u64,
    size: u64,
    name: &'a [u8],
}

impl<'a> LocalHeader<'a> {
    fn parse(header: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(header);
        (fields.u32()? == LOCAL_HEADER).then_some(())?;
        let (_needed, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let (_time_and_date, crc32) = (fields.u32()?, fields.u32()?);
        let (compressed, size) = (fields.u32()?, fields.u32()?);
        let (name, extra) = (fields.u16()?, fields.u16()?);
        let name = fields.bytes(name.into())?;
        let mut zip64 = Zip64::find(fields.bytes(extra.into())?);
        let (size, compressed) = (
            zip64.take_if_needed(size)?,
            zip64.take_if_needed(compressed)?,
        );
        Some(Self {
            flags,
            method,
            crc32,
            compressed,
            size,
            name,
        })
    }
}

/// The numbers that did not fit into their fields.
struct Zip64<'a>(Fields<'a>);

impl<'a> Zip64<'a> {
    /// Finds them among the extra fields; without them there are none to take.
    fn find(extra: &'a [u8]) -> Self {
        let mut fields = Fields(extra);
        while let (Some(id), Some(len)) = (fields.u16(), fields.u16()) {
            let Some(content) = fields.bytes(len.into()) else {
                break;
            };
            if id == ZIP64_EXTRA {
                return Self(Fields(content));
            }
        }
        Self(Fields(&[]))
    }

    /// The number itself, or the next of these if it says that it did not fit.
    fn take_if_needed(&mut self, number: u32) -> Option<u64> {
        if number == IN_ZIP64_32 {
            self.0.u64()
        } else {
            Some(number.into())
        }
    }
}
