//! Libraries taken out of a wheel (a zip file) or a node package (a compressed tar file).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::digest::Digesting;
use crate::error::{Error, Result};
use crate::pins::Package;
use crate::record::FileRecord;

/// Writes the package's libraries from `archive` into `directory`, and nothing else.
pub(crate) fn unpack(
    package: &Package,
    archive: &Path,
    directory: &Path,
) -> Result<Vec<FileRecord>> {
    let file = File::open(archive).map_err(|source| Error::Read {
        path: archive.to_owned(),
        source,
    })?;
    if package.file.ends_with(".tgz") {
        unpack_tar(package, file, directory)
    } else {
        unpack_zip(package, file, directory)
    }
}

fn unpack_zip(package: &Package, file: File, directory: &Path) -> Result<Vec<FileRecord>> {
    let broken = |source| Error::Unpack {
        file: package.file.to_owned(),
        source,
    };
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    let mut records = Vec::new();
    for name in package.libraries {
        let member = format!("{}/{name}", package.folder);
        let mut entry = match archive.by_name(&member) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Err(missing(package, member)),
            Err(source) => return Err(broken(source)),
        };
        records.push(write_through(&directory.join(name), &mut entry)?);
    }
    Ok(records)
}

fn unpack_tar(package: &Package, file: File, directory: &Path) -> Result<Vec<FileRecord>> {
    let broken = |source: io::Error| Error::Unpack {
        file: package.file.to_owned(),
        source: ZipError::Io(source),
    };
    let mut wanted: BTreeSet<&str> = package.libraries.iter().copied().collect();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut records = Vec::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let Ok(name) = path.strip_prefix(package.folder) else {
            continue;
        };
        let Some(name) = name.to_str().and_then(|name| wanted.take(name)) else {
            continue;
        };
        records.push(write_through(&directory.join(name), &mut entry)?);
    }
    match wanted.first() {
        None => Ok(records),
        Some(name) => Err(missing(package, format!("{}/{name}", package.folder))),
    }
}

fn missing(package: &Package, member: String) -> Error {
    Error::MissingMember {
        file: package.file.to_owned(),
        member,
    }
}

/// Copies `reader` into a new file, through to the disk, whatever the user's file mask.
pub(crate) fn write_through(path: &Path, reader: &mut impl Read) -> Result<FileRecord> {
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let file = File::create_new(path).map_err(failed)?;
    let mut digesting = Digesting::new(file);
    io::copy(reader, &mut digesting).map_err(failed)?;
    let (file, size, sha256) = digesting.finish();
    set_mode(path, 0o644).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(FileRecord { name, size, sha256 })
}

/// Makes the renames and new names in a directory survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    // Windows has no such call; there the rename itself is written through by the journal.
    if cfg!(unix) {
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| Error::Write {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(())
}

/// Sets Unix permissions; elsewhere the directory's access list is inherited.
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;

        set_permissions(path, Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (path, mode);
        Ok(())
    }
}
