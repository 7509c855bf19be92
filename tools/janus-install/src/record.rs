//! `install.json`: what was installed, from where, with the size and SHA-256 of every file.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::archive::write_through;
use crate::digest;
use crate::error::{Error, Result};
use crate::flavour::{Flavour, Platform, Version};
use crate::pins::Package;

/// The record's name in the directory of an installed library.
pub(crate) const FILE_NAME: &str = "install.json";

/// The version of the record's own format.
const FORMAT: u32 = 1;

/// What lies in the directory of an installed library; written last, so that its presence says
/// that the rest is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// [`FORMAT`].
    format: u32,
    /// What the library does.
    pub(crate) flavour: Flavour,
    /// Its version.
    pub(crate) version: Version,
    /// The machine it is for.
    pub(crate) platform: Platform,
    /// The file that a program loads.
    pub(crate) library: String,
    /// The package files that the libraries were taken from.
    pub(crate) packages: Vec<PackageRecord>,
    /// Every file beside the record.
    pub(crate) files: Vec<FileRecord>,
}

/// A package file that libraries were taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageRecord {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) file: String,
    pub(crate) sha256: String,
}

/// An installed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl From<&Package> for PackageRecord {
    fn from(package: &Package) -> Self {
        Self {
            name: package.name.to_owned(),
            version: package.version.to_owned(),
            file: package.file.to_owned(),
            sha256: package.sha256.to_owned(),
        }
    }
}

impl Record {
    /// A record in the current format.
    pub(crate) fn new(
        (flavour, version, platform): (Flavour, Version, Platform),
        library: String,
        packages: Vec<PackageRecord>,
        files: Vec<FileRecord>,
    ) -> Self {
        Self {
            format: FORMAT,
            flavour,
            version,
            platform,
            library,
            packages,
            files,
        }
    }

    /// Reads the record of the library in `directory`, and checks what it says of itself.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        let text = fs::read(&path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let record: Self = serde_json::from_slice(&text).map_err(|source| Error::ParseRecord {
            path: path.clone(),
            source,
        })?;
        record.check(&path)?;
        Ok(record)
    }

    /// Writes the record into `directory`, through to the disk.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE_NAME);
        let mut text = serde_json::to_vec_pretty(self).map_err(|source| Error::ParseRecord {
            path: path.clone(),
            source,
        })?;
        text.push(b'\n');
        write_through(&path, &mut text.as_slice())?;
        Ok(())
    }

    /// Checks that every file is there, as long as recorded, and safe from other users.
    pub(crate) fn check_sizes(&self, directory: &Path) -> Result<()> {
        refuse_writable_by_others(directory)?;
        for file in &self.files {
            let path = directory.join(&file.name);
            let found = match fs::metadata(&path) {
                Ok(metadata) => metadata.len(),
                Err(source) => return Err(Error::Read { path, source }),
            };
            if found != file.size {
                return Err(Error::InstalledSize {
                    path,
                    expected: file.size,
                    found,
                });
            }
            refuse_writable_by_others(&path)?;
        }
        Ok(())
    }

    /// Checks the contents of every file.
    pub(crate) fn check_hashes(&self, directory: &Path) -> Result<()> {
        self.check_sizes(directory)?;
        for file in &self.files {
            let path = directory.join(&file.name);
            let found = match digest::of_file(&path) {
                Ok(found) => found,
                Err(source) => return Err(Error::Read { path, source }),
            };
            if found != file.sha256 {
                return Err(Error::InstalledHash {
                    path,
                    expected: file.sha256.clone(),
                    found,
                });
            }
        }
        Ok(())
    }

    /// Checks the format, that no name leaves the directory, and that the library is listed.
    fn check(&self, path: &Path) -> Result<()> {
        let field = |field, found: &dyn ToString, expected: &str| Error::RecordField {
            path: path.to_owned(),
            field,
            found: found.to_string(),
            expected: expected.to_owned(),
        };
        if self.format != FORMAT {
            return Err(field("format", &self.format, &FORMAT.to_string()));
        }
        for file in &self.files {
            if Path::new(&file.name).file_name() != Some(file.name.as_ref()) {
                return Err(field("name", &file.name, "a file name"));
            }
        }
        if !self.files.iter().any(|file| file.name == self.library) {
            return Err(field("library", &self.library, "one of `files`"));
        }
        Ok(())
    }
}

#[cfg(unix)]
fn refuse_writable_by_others(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = fs::metadata(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(Error::WritableByOthers {
        path: path.to_owned(),
        mode,
    })
}

/// Elsewhere the profile directory's access list keeps other users out.
#[cfg(not(unix))]
fn refuse_writable_by_others(_: &Path) -> Result<()> {
    Ok(())
}
