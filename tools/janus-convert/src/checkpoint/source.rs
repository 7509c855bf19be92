//! The files of a checkpoint: opened once, read by position.
//!
//! Positioned reads rather than a memory map: a file that shrinks while it is read is an error here and a signal there,
//! and the pages of a multi-gigabyte checkpoint do not count as this process's memory.

use std::fs::{self, File, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;

/// One file of a checkpoint's weights.
#[derive(Debug)]
pub struct SourceFile {
    name: String,
    file: File,
    size: u64,
    identity: Identity,
}

impl SourceFile {
    /// Opens `name`, a plain file name, in `dir`.
    ///
    /// Anything but a regular file is refused before it is opened, since opening a pipe blocks. A link may lead
    /// elsewhere within `dir`, or to the `blobs` folder that a hub cache keeps two levels above its snapshots.
    pub(super) fn open(dir: &Path, name: &str) -> Result<Self, CheckpointError> {
        let open_error = |source| CheckpointError::Open {
            file: name.to_owned(),
            source,
        };
        let path = dir.join(name);
        let kind = fs::metadata(&path).map_err(open_error)?.file_type();
        refuse_special(name, kind)?;
        let target = fs::canonicalize(&path).map_err(open_error)?;
        let home = fs::canonicalize(dir).map_err(open_error)?;
        refuse_outside(&home, name, &target)?;

        let file = File::open(&target).map_err(open_error)?;
        let metadata = file.metadata().map_err(open_error)?;
        refuse_special(name, metadata.file_type())?;
        let identity = Identity::of(&metadata, target);
        Ok(Self {
            name: name.to_owned(),
            file,
            size: metadata.len(),
            identity,
        })
    }

    /// The name, relative to the checkpoint's directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether both are one file under two names.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Fills `bytes` from `offset` on.
    pub(super) fn read_exact_at(
        &self,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), CheckpointError> {
        read_exact_at(&self.file, offset, bytes).map_err(|source| CheckpointError::Read {
            file: self.name.clone(),
            offset,
            source,
        })
    }

    /// The first bytes, at most `count`.
    pub(super) fn start(&self, count: usize) -> Result<Vec<u8>, CheckpointError> {
        let count = usize::try_from(self.size).map_or(count, |size| size.min(count));
        let mut bytes = vec![0; count];
        self.read_exact_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

fn refuse_special(name: &str, kind: FileType) -> Result<(), CheckpointError> {
    if kind.is_file() {
        return Ok(());
    }
    let found = if kind.is_dir() {
        "a directory"
    } else {
        "a pipe or a device"
    };
    Err(CheckpointError::NotAFile {
        file: name.to_owned(),
        found,
    })
}

fn refuse_outside(home: &Path, name: &str, target: &Path) -> Result<(), CheckpointError> {
    let cache = home
        .parent()
        .and_then(Path::parent)
        .map(|cache| cache.join("blobs"));
    if target.starts_with(home) || cache.is_some_and(|blobs| target.starts_with(blobs)) {
        return Ok(());
    }
    Err(CheckpointError::LinkOutside {
        file: name.to_owned(),
        target: target.to_owned(),
    })
}

/// What tells two files apart: the inode where the system has one, otherwise the path behind all links.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    #[cfg(unix)]
    Inode { device: u64, inode: u64 },
    #[cfg(not(unix))]
    Path(PathBuf),
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata, _target: PathBuf) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self::Inode {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    fn of(_metadata: &fs::Metadata, target: PathBuf) -> Self {
        Self::Path(target)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
