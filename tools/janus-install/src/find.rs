//! Looking for an ONNX Runtime library on this machine.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cache::Cache;
use crate::error::{Error, Rejected, Result};
use crate::flavour::{Flavour, Platform, Version};
use crate::python;
use crate::record::Record;
use crate::request::Request;

/// An ONNX Runtime library on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Library {
    /// The file to load; absolute.
    pub path: PathBuf,
    /// Its version, where its name or its package tells.
    pub version: Option<Version>,
    /// What it does beyond the CPU, where its package or the files beside it tell.
    pub flavour: Option<Flavour>,
    /// Who put it there.
    pub origin: Origin,
}

/// Who put a library where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The user, who named it.
    Named,
    /// The user, by `ORT_DYLIB_PATH`.
    DylibPath,
    /// Whoever installed the program.
    BesideProgram,
    /// [`install`](crate::install).
    Cache,
    /// Python's package client.
    PythonPackage,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "as named",
            Self::DylibPath => "by ORT_DYLIB_PATH",
            Self::BesideProgram => "beside the program",
            Self::Cache => "in the cache",
            Self::PythonPackage => "in a Python package",
        })
    }
}

impl Library {
    /// The directory that the library and its providers lie in.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn is_new_enough(&self) -> bool {
        self.version
            .is_none_or(|version| version >= Version::MINIMUM)
    }
}

/// Looks for a library that serves: the one that the user named, the one of `ORT_DYLIB_PATH`,
/// beside the program, in the cache, in Python's packages.
///
/// A library that the user named is taken whatever its flavour, or is an error. Elsewhere what
/// cannot serve is passed over.
///
/// # Errors
///
/// [`Error::NoSuchLibrary`] or [`Error::TooOld`] for what the user named, else
/// [`Error::NotFound`], which says where it was looked and what was passed over.
pub fn find(request: &Request) -> Result<Library> {
    for (path, origin) in [
        (&request.library, Origin::Named),
        (&request.dylib_path, Origin::DylibPath),
    ] {
        if let Some(path) = path {
            return named(path, origin);
        }
    }
    let platform = Platform::here()?;
    let mut search = Search {
        wanted: request.flavour.unwrap_or(Flavour::Cpu),
        platform,
        looked: Vec::new(),
        rejected: Vec::new(),
    };
    if let Some(library) = search.everywhere(request) {
        return Ok(library);
    }
    let Search {
        wanted: flavour,
        looked,
        rejected,
        ..
    } = search;
    Err(Error::NotFound {
        flavour,
        looked,
        rejected,
    })
}

/// Checks the contents of an installed library against its record, file by file.
///
/// # Errors
///
/// The library was not put there by [`install`](crate::install), or a file is missing or differs.
pub fn verify(library: &Library) -> Result<()> {
    let directory = library.directory();
    Record::read(directory)?.check_hashes(directory)
}

/// The library that the user named, by its file or its directory.
fn named(path: &Path, origin: Origin) -> Result<Library> {
    let missing = || Error::NoSuchLibrary {
        path: path.to_owned(),
        origin,
    };
    let path = std::path::absolute(path).map_err(|_| missing())?;
    let library = if path.is_dir() {
        Platform::current()
            .and_then(|platform| in_directory(&path, platform, origin))
            .ok_or_else(missing)?
    } else if path.is_file() {
        of_file(path, Platform::current(), origin)
    } else {
        return Err(missing());
    };
    match library.version {
        Some(found) if found < Version::MINIMUM => Err(Error::TooOld {
            path: library.path,
            origin,
            found,
        }),
        _ => Ok(library),
    }
}

/// A search, with what it came across.
struct Search {
    wanted: Flavour,
    platform: Platform,
    looked: Vec<String>,
    rejected: Vec<Rejected>,
}

impl Search {
    fn everywhere(&mut self, request: &Request) -> Option<Library> {
        self.beside(&request.beside)
            .or_else(|| self.in_cache(request.cache.as_deref()))
            .or_else(|| self.in_packages("VIRTUAL_ENV's", &python::virtual_env_folders(request)))
            .or_else(|| self.in_packages("Python's", &python::interpreter_folders(request)))
    }

    fn beside(&mut self, folders: &[PathBuf]) -> Option<Library> {
        folders.iter().find_map(|folder| {
            self.looked.push(format!("`{}`", folder.display()));
            let library = in_directory(folder, self.platform, Origin::BesideProgram)?;
            self.accept(library)
        })
    }

    fn in_cache(&mut self, cache: Option<&Path>) -> Option<Library> {
        let cache = Cache::new(&std::path::absolute(cache?).ok()?);
        self.looked
            .push(format!("`{}`", cache.directory().display()));
        let (libraries, rejected) = cache.libraries(self.platform);
        self.rejected.extend(rejected);
        libraries
            .into_iter()
            .find_map(|library| self.accept(library))
    }

    fn in_packages(&mut self, whose: &str, folders: &[PathBuf]) -> Option<Library> {
        if !folders.is_empty() {
            self.looked.push(format!("{whose} packages"));
        }
        folders.iter().find_map(|folder| {
            let library = python::in_site_packages(folder, self.platform)?;
            self.accept(library)
        })
    }

    /// The library if it serves; a reason in `rejected` if not.
    fn accept(&mut self, library: Library) -> Option<Library> {
        let flavour = library.flavour.unwrap_or(Flavour::Cpu);
        let reason = if !library.is_new_enough() {
            let version = library
                .version
                .map(|version| version.to_string())
                .unwrap_or_default();
            format!("version {version} is older than {}", Version::MINIMUM)
        } else if !flavour.serves(self.wanted, self.platform) {
            format!("flavour `{flavour}` does not serve `{}`", self.wanted)
        } else {
            return Some(library);
        };
        self.rejected.push(Rejected {
            path: library.path,
            reason,
        });
        None
    }
}

/// The library in a directory; of several the one with the longest name, which has the version.
pub(crate) fn in_directory(
    directory: &Path,
    platform: Platform,
    origin: Origin,
) -> Option<Library> {
    let names = file_names(directory);
    let name = names
        .iter()
        .filter(|name| platform.is_main_library(name))
        .max_by_key(|name| name.len())?;
    Some(of_file(directory.join(name), Some(platform), origin))
}

fn of_file(path: PathBuf, platform: Option<Platform>, origin: Origin) -> Library {
    let directory = path.parent().unwrap_or(Path::new(""));
    // A library of the cache can be named too; then its record tells.
    let record = Record::read(directory).ok();
    let version = record.as_ref().map(|record| record.version);
    let flavour = record.map(|record| record.flavour);
    Library {
        version: version.or_else(|| Version::of_file(&path)),
        flavour: flavour.or_else(|| flavour_of(directory, platform?)),
        path,
        origin,
    }
}

/// The flavour that the provider libraries in a directory give away.
fn flavour_of(directory: &Path, platform: Platform) -> Option<Flavour> {
    let names = file_names(directory);
    let has = |part: &str| {
        names
            .iter()
            .any(|name| name.to_ascii_lowercase().contains(part))
    };
    if has("onnxruntime_providers_cuda") {
        Some(Flavour::Cuda)
    } else if has("onnxruntime_providers_openvino") {
        Some(Flavour::OpenVino)
    } else if has("directml.dll") {
        Some(Flavour::DirectMl)
    } else if has("dxcompiler.dll") {
        Some(Flavour::WebGpu)
    } else if platform == Platform::MacArm64 {
        Some(Flavour::CoreMl)
    } else {
        None
    }
}

/// The names of the files in a directory, in order; none if it cannot be read.
pub(crate) fn file_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
