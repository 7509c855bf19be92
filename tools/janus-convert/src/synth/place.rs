//! The directory that is written, under another name until it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::SynthError;

/// A directory beside its final place. Dropped before it is done, it leaves nothing.
#[derive(Debug)]
pub(super) struct Place {
    target: PathBuf,
    partial: PathBuf,
    done: bool,
}

impl Place {
    /// Makes room beside `target`, where nothing may be.
    pub(super) fn beside(target: &Path) -> Result<Self, SynthError> {
        let failed = |source| SynthError::Create {
            path: target.to_owned(),
            source,
        };
        if target.symlink_metadata().is_ok() {
            return Err(SynthError::Exists {
                path: target.to_owned(),
            });
        }
        let target = std::path::absolute(target).map_err(failed)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(SynthError::Exists { path: target });
        };
        let partial = format!(".{}.{}.partial", name.to_string_lossy(), std::process::id());
        let partial = parent.join(partial);
        fs::create_dir_all(parent).map_err(failed)?;
        fs::create_dir(&partial).map_err(failed)?;
        Ok(Self {
            target,
            partial,
            done: false,
        })
    }

    /// The directory as long as it is incomplete.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the directory its name, once the disk has it.
    pub(super) fn take(mut self) -> Result<PathBuf, SynthError> {
        let taken = sync(&self.partial)
            .and_then(|()| fs::rename(&self.partial, &self.target))
            .and_then(|()| sync(self.target.parent().unwrap_or(&self.target)));
        taken.map_err(|source| SynthError::Create {
            path: self.target.clone(),
            source,
        })?;
        self.done = true;
        Ok(self.target.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.done {
            // Whatever failed has been reported; what cannot be removed either has no one to hear of it.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Waits until the disk has the names in a directory, where the system can be asked to.
fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}
