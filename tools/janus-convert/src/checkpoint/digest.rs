//! SHA-256 of the files, for the record of what was converted.

use sha2::{Digest, Sha256};

use super::error::CheckpointError;
use super::source::SourceFile;
use super::{Checkpoint, archive};

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// The SHA-256 of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// The name, relative to the checkpoint's directory.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl Checkpoint {
    /// Reads every file once and returns its SHA-256. The entries of PyTorch archives are compared with their
    /// checksums on the way. `progress` is told how many bytes have been read, out of how many.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`], and [`CheckpointError::Checksum`] if an entry is not what was written.
    pub fn sha256_files(
        &self,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Vec<FileDigest>, CheckpointError> {
        let total = self.files.iter().map(SourceFile::size).sum();
        let mut read = 0;
        let mut digests = Vec::with_capacity(self.files.len());
        for (i, file) in self.files.iter().enumerate() {
            let mut sha256 = Sha256::new();
            let mut checksums = self.archives.get(i).map(archive::Checksums::new);
            let mut offset = 0;
            let mut block = vec![0; BLOCK];
            while offset < file.size() {
                let count = (file.size() - offset).min(BLOCK as u64);
                let block = &mut block[..count as usize];
                file.read_exact_at(offset, block)?;
                sha256.update(&*block);
                if let Some(checksums) = &mut checksums {
                    checksums
                        .add(offset, block)
                        .map_err(|wrong| wrong.in_file(file.name()))?;
                }
                offset += count;
                read += count;
                progress(read, total);
            }
            digests.push(FileDigest {
                name: file.name().to_owned(),
                size: file.size(),
                sha256: sha256
                    .finalize()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
            });
        }
        Ok(digests)
    }
}
