//! The per-user directory that installed libraries lie in.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::archive::{set_mode, sync_directory};
use crate::error::{Error, Rejected, Result, in_full};
use crate::find::{Library, Origin};
use crate::flavour::{Flavour, Platform, Version};
use crate::record::Record;

/// Directories whose names begin so hold installs that have not ended, or never will.
const UNFINISHED: &str = ".unfinished-";

/// `<cache>/onnxruntime`, with one directory `<flavour>-<version>` per installed library.
pub(crate) struct Cache {
    directory: PathBuf,
}

impl Cache {
    pub(crate) fn new(cache: &Path) -> Self {
        Self {
            directory: cache.join("onnxruntime"),
        }
    }

    /// Where installed libraries lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the library of a flavour and version lies once it is installed.
    pub(crate) fn place(&self, flavour: Flavour, version: Version) -> PathBuf {
        self.directory.join(format!("{flavour}-{version}"))
    }

    /// The libraries that are whole and for this platform, newest of the best flavour first, and
    /// what else looks like one.
    pub(crate) fn libraries(&self, platform: Platform) -> (Vec<Library>, Vec<Rejected>) {
        let mut libraries = Vec::new();
        let mut rejected = Vec::new();
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return (libraries, rejected);
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if !looks_installed(&path) {
                continue;
            }
            match open(&path, platform) {
                Ok(library) => libraries.push(library),
                Err(error) => rejected.push(Rejected {
                    path,
                    reason: in_full(&error),
                }),
            }
        }
        libraries.sort_by_key(|library| (library.flavour, std::cmp::Reverse(library.version)));
        rejected.sort_by(|a, b| a.path.cmp(&b.path));
        (libraries, rejected)
    }

    /// Makes the directory, and waits until no other process installs into it.
    ///
    /// `waiting` is called with the lock's path if there is one that does.
    pub(crate) fn lock(&self, waiting: &dyn Fn(&Path)) -> Result<Lock> {
        let not_writable = |source| Error::CacheNotWritable {
            directory: self.directory.clone(),
            source,
        };
        if !self.directory.is_dir() {
            fs::create_dir_all(&self.directory).map_err(not_writable)?;
            // Whatever the user's file mask: who may write here may exchange a library.
            set_mode(&self.directory, 0o755).map_err(not_writable)?;
        }
        let path = self.directory.join(".lock");
        // The file stays: whoever deleted it would let two others lock two different files.
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(not_writable)?;
        let locked = match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                waiting(&path);
                file.lock()
            }
            Err(TryLockError::Error(source)) => Err(source),
        };
        locked.map_err(|source| Error::Lock { path, source })?;
        let lock = Lock {
            directory: self.directory.clone(),
            _file: file,
        };
        lock.delete_unfinished();
        Ok(lock)
    }
}

/// The right to change the cache; it ends with the value, or with the process.
pub(crate) struct Lock {
    directory: PathBuf,
    _file: File,
}

impl Lock {
    /// A new directory in the cache that is deleted with the value unless it is published.
    pub(crate) fn unfinished(&self) -> Result<TempDir> {
        let not_writable = |source| Error::CacheNotWritable {
            directory: self.directory.clone(),
            source,
        };
        tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.directory)
            .map_err(not_writable)
    }

    /// Moves a finished directory to `place` with one rename; what lies there is replaced.
    pub(crate) fn publish(&self, finished: TempDir, place: &Path) -> Result<()> {
        let failed = |source| Error::Write {
            path: place.to_owned(),
            source,
        };
        set_mode(finished.path(), 0o755).map_err(failed)?;
        sync_directory(finished.path())?;
        let replaced = self.unfinished()?;
        match fs::rename(place, replaced.path().join("replaced")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => fs::rename(finished.path(), place).map_err(failed)?,
        }
        // Nothing is left under the temporary name; what took its place stays.
        let _moved = finished.keep();
        sync_directory(&self.directory)
    }

    /// Deletes what interrupted installs left behind: nobody but the holder of the lock installs.
    ///
    /// A client that outlived its install may still write there; what cannot be deleted now is
    /// left to the next one.
    fn delete_unfinished(&self) {
        for entry in fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The library in `directory`, if its record says so, its files are there, and it is for
/// `platform`.
pub(crate) fn open(directory: &Path, platform: Platform) -> Result<Library> {
    let record = Record::read(directory)?;
    if record.platform != platform {
        return Err(Error::RecordField {
            path: directory.join(crate::record::FILE_NAME),
            field: "platform",
            found: record.platform.to_string(),
            expected: format!("`{platform}`"),
        });
    }
    record.check_sizes(directory)?;
    Ok(Library {
        path: directory.join(&record.library),
        version: Some(record.version),
        flavour: Some(record.flavour),
        origin: Origin::Cache,
    })
}

/// Whether the directory's name is `<flavour>-<version>`.
fn looks_installed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.split_once('-'))
        .is_some_and(|(flavour, version)| {
            flavour.parse::<Flavour>().is_ok() && version.parse::<Version>().is_ok()
        })
}
