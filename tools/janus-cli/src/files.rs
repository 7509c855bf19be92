//! Files that appear when they are complete, and the names of several.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::{interrupt, picture};

/// Names of pictures to write: `{i}` is the number of a picture from 0, `{n}` from 1.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    /// Whether files that are there already are replaced.
    force: bool,
}

impl Pattern {
    /// The names of `count` pictures, as somebody spelled them.
    ///
    /// Where `count` pictures would have one name, `-{i}` is put before its ending.
    ///
    /// # Errors
    ///
    /// Where a name does not end in `.png`, a file is there already and `force` does not say that
    /// it may be replaced, or none can be written there: all that before the work.
    pub(crate) fn named(text: &str, count: usize, force: bool) -> Result<Self, Failure> {
        let Some(stem) = text.strip_suffix(".png").or(text.strip_suffix(".PNG")) else {
            let message = format!("`{text}` should end in .png; pictures are written as PNG");
            return Err(Failure::usage(message));
        };
        let numbered = text.contains("{i}") || text.contains("{n}");
        let text = match count > 1 && !numbered {
            true => format!("{stem}-{{i}}.png"),
            false => text.to_owned(),
        };
        let pattern = Self { text, force };
        match pattern.taken(count) {
            Some(path) if !force => Err(Failure::Exists { path }),
            _ => pattern.writable(count),
        }
    }

    /// The names of `count` pictures: `{stem}.png` if no such file is there yet, else
    /// `{stem}-2.png`, `{stem}-3.png` and so on.
    ///
    /// # Errors
    ///
    /// Where none can be written there.
    pub(crate) fn free(stem: &str, count: usize) -> Result<Self, Failure> {
        let mut text = format!("{stem}.png");
        let mut run = 1_u64;
        loop {
            let pattern = Self { text, force: false };
            if pattern.taken(count).is_none() {
                return pattern.writable(count);
            }
            run += 1;
            text = format!("{stem}-{run}.png");
        }
    }

    /// The name of picture `i`.
    pub(crate) fn path(&self, i: usize) -> PathBuf {
        let name = self.text.replace("{i}", &i.to_string());
        PathBuf::from(name.replace("{n}", &(i + 1).to_string()))
    }

    /// Writes picture `i`, which tells how it came about, and gives its name.
    pub(crate) fn write(
        &self,
        i: usize,
        picture: &RgbImage,
        history: &impl Serialize,
    ) -> anyhow::Result<PathBuf> {
        let path = self.path(i);
        picture::write(&path, picture, history, self.force)?;
        Ok(path)
    }

    /// These names, if files can be made beside them.
    fn writable(self, count: usize) -> Result<Self, Failure> {
        for path in (0..count).map(|i| self.path(i)) {
            beside(&path).map_err(|source| Failure::Write { path, source })?;
        }
        Ok(self)
    }

    fn taken(&self, count: usize) -> Option<PathBuf> {
        (0..count).map(|i| self.path(i)).find(|path| path.exists())
    }
}

/// Writes a file beside its target and renames it when it is complete; a file that is there
/// already is replaced if `force` says so.
pub(crate) fn write(
    path: &Path,
    force: bool,
    content: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let _steps = interrupt::steps();
    let failed = |source| Failure::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = beside(path).map_err(failed)?;
    let mut buffered = BufWriter::new(file.as_file_mut());
    content(&mut buffered)
        .and_then(|()| buffered.flush())
        .map_err(failed)?;
    drop(buffered);
    let persisted = match force {
        true => file.persist(path),
        false => file.persist_noclobber(path),
    };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::Exists {
            path: path.to_owned(),
        }),
        Err(error) => Err(failed(error.error)),
    }
}

/// A file in the same directory, which goes when it is dropped.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".janus-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As files usually are: the user's mask takes away what others may not do.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(without_its_name)
}

/// What the system said, without the name that only this program knows.
fn without_its_name(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => error,
        None => error.kind().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered() {
        let dir = tempfile::tempdir().unwrap();
        let name = |pattern: &str, count| {
            let text = dir.path().join(pattern).display().to_string();
            let pattern = Pattern::named(&text, count, false).unwrap();
            let last = pattern.path(count - 1);
            last.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(name("fox.png", 1), "fox.png");
        assert_eq!(name("fox.png", 3), "fox-2.png");
        assert_eq!(name("{n}-fox.png", 3), "3-fox.png");
        let nowhere = dir.path().join("no/fox.png");
        let error = Pattern::named(nowhere.to_str().unwrap(), 1, false).unwrap_err();
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(
            error.contains("fox.png`: ") && !error.contains(".janus-"),
            "{error}"
        );
    }

    #[test]
    fn what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fox.png");
        let text = path.to_str().unwrap();
        write(&path, false, |file| file.write_all(b"old")).unwrap();
        assert!(matches!(
            Pattern::named(text, 1, false),
            Err(Failure::Exists { .. })
        ));
        let again = write(&path, false, |file| file.write_all(b"new"));
        assert!(matches!(again, Err(Failure::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert!(Pattern::named(text, 1, true).is_ok());
        write(&path, true, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        let stem = dir.path().join("fox");
        let free = Pattern::free(stem.to_str().unwrap(), 1).unwrap();
        assert_eq!(free.path(0), dir.path().join("fox-2.png"));
    }

    #[test]
    fn nothing_half_written_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fox.png");
        let full = write(&path, false, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(matches!(full, Err(Failure::Write { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
