//! A file of an export: hashed while it is written, on the disk when it is finished.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use janus_runtime::manifest::FileEntry;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Bytes that go to the system at a time.
const BUFFER: usize = 1 << 20;

/// A file that is being written.
pub(crate) struct HashedFile {
    path: PathBuf,
    name: String,
    writer: BufWriter<File>,
    hash: Sha256,
    len: u64,
}

/// A file that is complete.
pub(crate) struct WrittenFile {
    /// Its name in the export.
    pub(crate) name: String,
    /// Its size and hash.
    pub(crate) entry: FileEntry,
}

impl HashedFile {
    /// Creates `name` in `dir`; it must not exist.
    pub(crate) fn create(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name);
        let file = File::create_new(&path).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            path,
            name: name.to_owned(),
            writer: BufWriter::with_capacity(BUFFER, file),
            hash: Sha256::new(),
            len: 0,
        })
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        self.writer
            .write_all(bytes)
            .map_err(|source| self.error(source))
    }

    /// Appends zeros until the file has `len` bytes.
    pub(crate) fn pad_to(&mut self, len: u64) -> Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while self.len < len {
            let count = (len - self.len).min(ZEROS.len() as u64) as usize;
            self.write(&ZEROS[..count])?;
        }
        Ok(())
    }

    /// Waits until the disk has all of it.
    pub(crate) fn finish(mut self) -> Result<WrittenFile> {
        let synced = self
            .writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_all());
        synced.map_err(|source| self.error(source))?;
        let sha256 = self
            .hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(WrittenFile {
            name: self.name,
            entry: FileEntry {
                bytes: self.len,
                sha256,
            },
        })
    }

    fn error(&self, source: std::io::Error) -> Error {
        Error::Write {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_what_is_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = HashedFile::create(dir.path(), "file").unwrap();
        file.write(b"abc").unwrap();
        file.pad_to(5000).unwrap();
        let written = file.finish().unwrap();
        let bytes = std::fs::read(dir.path().join("file")).unwrap();
        assert_eq!((bytes.len(), &bytes[..4]), (5000, &b"abc\0"[..]));
        let sha256: String = Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            written.entry,
            FileEntry {
                bytes: 5000,
                sha256
            }
        );
        assert!(
            HashedFile::create(dir.path(), "file").is_err(),
            "nothing is overwritten"
        );
    }
}
