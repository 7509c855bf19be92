//! The place where an export goes: claimed by one conversion at a time, taken with one rename.
//!
//! ```text
//! <parent>/.<name>.lock              locked while a conversion lives; removed at its end
//! <parent>/.<name>.partial-<pid>     what is being written
//! <parent>/.<name>.replaced-<pid>    the export that was there before, between the two renames
//! <parent>/<name>                    the export
//! ```
//!
//! Whoever holds the lock knows that the other directories of this kind belong to conversions
//! that were killed.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use janus_runtime::manifest::MANIFEST;

use crate::error::{Error, Result};

/// A claimed place. Dropped before it is taken, it leaves nothing.
#[derive(Debug)]
pub(super) struct Place {
    out: PathBuf,
    partial: PathBuf,
    _lock: Lock,
    _around: Around,
}

impl Place {
    /// Claims `out` for an export of the checkpoint in `released`.
    pub(super) fn claim(out: &Path, released: &Path, replace: bool) -> Result<Self> {
        let absolute = std::path::absolute(out).map_err(failed(out))?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(Error::OutputExists {
                path: out.to_owned(),
            });
        };
        let released = released.canonicalize().map_err(failed(released))?;
        if let Some(there) = nearest_existing(parent)
            && there
                .canonicalize()
                .map_err(failed(there))?
                .starts_with(&released)
        {
            return Err(Error::OutputInCheckpoint {
                out: out.into(),
                checkpoint: released,
            });
        }
        let around = Around::create(parent)?;
        let parent = parent.canonicalize().map_err(failed(parent))?;
        let out = parent.join(name);
        if released.starts_with(&out) {
            return Err(Error::OutputInCheckpoint {
                out,
                checkpoint: released,
            });
        }

        let lock = Lock::acquire(parent.join(hidden(name, ".lock")), &out)?;
        restore_or_remove_leftovers(&parent, name, &out)?;
        check_vacant(&out, replace)?;
        let partial = parent.join(hidden(name, &format!(".partial-{}", std::process::id())));
        fs::create_dir(&partial).map_err(failed(&partial))?;
        Ok(Self {
            out,
            partial,
            _lock: lock,
            _around: around,
        })
    }

    /// The directory around the export.
    pub(super) fn around(&self) -> &Path {
        self.out.parent().unwrap_or(&self.out)
    }

    /// The directory that is written.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the written directory its final name, once the disk has it.
    pub(super) fn take(self) -> Result<()> {
        sync_directory(&self.partial)?;
        let name = self.out.file_name().unwrap_or_default();
        let replaced = format!(".replaced-{}", std::process::id());
        let replaced = self.around().join(hidden(name, &replaced));
        match fs::rename(&self.out, &replaced) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&self.out)(error));
            }
            _ => {}
        }
        if let Err(error) = fs::rename(&self.partial, &self.out) {
            // What was there comes back; that this fails too is less than what is reported.
            let _ = fs::rename(&replaced, &self.out);
            return Err(failed(&self.out)(error));
        }
        sync_directory(self.around())?;
        // One that another process holds open is removed by the next conversion.
        let _ = remove(&replaced);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A leftover is removed by the next conversion to the same place.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// Held by one conversion to a place.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn acquire(path: PathBuf, out: &Path) -> Result<Self> {
        loop {
            let file = File::options().create(true).append(true).open(&path);
            let file = file.map_err(failed(&path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::OutputLocked {
                        path: out.to_owned(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
            }
            // The one before may have removed the file between opening and locking it here.
            if is_at(&file, &path) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (locked, there) = (file.metadata().map(inode), fs::metadata(path).map(inode));
    matches!((locked, there), (Ok(locked), Ok(there)) if locked == there)
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// The directories around an export that did not exist; those still empty go again.
#[derive(Debug)]
struct Around(Vec<PathBuf>);

impl Around {
    fn create(parent: &Path) -> Result<Self> {
        let missing = parent
            .ancestors()
            .take_while(|dir| !dir.exists())
            .map(Path::to_owned);
        let around = Self(missing.collect());
        fs::create_dir_all(parent).map_err(failed(parent))?;
        Ok(around)
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        for dir in &self.0 {
            // Fails, as it should, on one that holds something.
            let _ = fs::remove_dir(dir);
        }
    }
}

fn nearest_existing(path: &Path) -> Option<&Path> {
    path.ancestors().find(|dir| dir.exists())
}

/// Undoes what killed conversions have left: an export that was to be replaced comes back, the
/// rest is removed.
fn restore_or_remove_leftovers(parent: &Path, name: &std::ffi::OsStr, out: &Path) -> Result<()> {
    let [partial, replaced] = [".partial-", ".replaced-"].map(|kind| hidden(name, kind));
    for entry in fs::read_dir(parent).map_err(failed(parent))? {
        let entry = entry.map_err(failed(parent))?;
        let found = entry.file_name();
        let begins = |prefix: &OsString| {
            found
                .as_encoded_bytes()
                .starts_with(prefix.as_encoded_bytes())
        };
        if begins(&replaced) && out.symlink_metadata().is_err() {
            fs::rename(entry.path(), out).map_err(failed(out))?;
        } else if begins(&partial) || begins(&replaced) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Fails if something is at `out` that must stay.
fn check_vacant(out: &Path, replace: bool) -> Result<()> {
    if out.symlink_metadata().is_err() {
        return Ok(());
    }
    match (replace, out.join(MANIFEST).is_file()) {
        (false, _) => Err(Error::OutputExists {
            path: out.to_owned(),
        }),
        (true, false) => Err(Error::NotAnExport {
            path: out.to_owned(),
        }),
        (true, true) => Ok(()),
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// `.<name><suffix>`
fn hidden(name: &std::ffi::OsStr, suffix: &str) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(suffix);
    hidden
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(failed(path))
}

/// Other systems write a directory's entries through.
#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> Result<()> {
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    |source| Error::Write { path, source }
}
