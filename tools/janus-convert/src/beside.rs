//! The files that lie beside the weights: configurations, tokenizer, templates, licences.
//!
//! They are as little trusted as the weights: read up to a limit, never through a link that leads
//! out of the checkpoint, never from a pipe or a device.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::checkpoint::CheckpointError;
use crate::error::{Error, Result};

/// Reads all of `name` in the checkpoint `released`.
pub(crate) fn read(released: &Path, name: &str, limit: u64) -> Result<Vec<u8>> {
    let path = released.join(name);
    let failed = |source| Error::ReadFile {
        path: path.clone(),
        source,
    };
    let target = path.canonicalize().map_err(failed)?;
    if !lies_within(&target, &released.canonicalize().map_err(failed)?) {
        return Err(CheckpointError::LinkOutside {
            file: name.to_owned(),
            target,
        }
        .into());
    }
    if !fs::metadata(&target).map_err(failed)?.is_file() {
        let (file, found) = (name.to_owned(), "a directory, a pipe or a device");
        return Err(CheckpointError::NotAFile { file, found }.into());
    }
    read_bounded(&path, limit)
}

/// Reads a file wherever it is.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::ReadFile {
            path: path.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > limit {
        return Err(Error::FileTooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// `None` if the file that was to be read is not there.
pub(crate) fn optional<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(Error::ReadFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Whether a file lies in the checkpoint, or in the `blobs` folder that a hub's cache keeps two
/// levels above its snapshots.
fn lies_within(target: &Path, released: &Path) -> bool {
    let cache = released.parent().and_then(Path::parent);
    let blobs = cache.map(|cache| cache.join("blobs"));
    target.starts_with(released) || blobs.is_some_and(|blobs| target.starts_with(blobs))
}
