//! Fetching a flavour into the cache, once.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::archive::unpack;
use crate::cache::{self, Cache, Lock};
use crate::client::{Client, Fetch, download_command};
use crate::digest;
use crate::error::{Error, Result};
use crate::find::{Library, find, verify};
use crate::flavour::{Flavour, Platform};
use crate::pins::{Package, SOURCES, Source};
use crate::record::{PackageRecord, Record};
use crate::request::Request;

/// What an install is doing, for a progress line.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another process installs; this one waits for its lock.
    Waiting {
        /// The lock file.
        lock: &'a Path,
    },
    /// A package client fetches a file.
    Fetching {
        /// The file.
        file: &'a str,
        /// Bytes so far, as far as can be seen from outside.
        received: u64,
        /// Bytes in the end.
        total: u64,
    },
    /// The fetched file is checked, and the libraries are taken out of it.
    Unpacking {
        /// The file.
        file: &'a str,
    },
}

/// Where and how to install.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The cache; the library comes to lie in `<cache>/onnxruntime/<flavour>-<version>/`.
    pub cache: &'a Path,
    /// Told what happens, several times a second.
    pub progress: &'a dyn Fn(Progress<'_>),
}

/// The library that serves `request`: one that [`find`] finds, else one that [`install`] fetches.
///
/// # Errors
///
/// Those of [`find`] but [`Error::NotFound`], and those of [`install`].
pub fn ensure(request: &Request, progress: &dyn Fn(Progress<'_>)) -> Result<Library> {
    match find(request) {
        Err(Error::NotFound { flavour, .. }) => {
            let cache = request.cache.as_deref().ok_or(Error::NoCache)?;
            install(flavour, &Options { cache, progress })
        }
        found => found,
    }
}

/// Fetches the library of `flavour` into the cache, unless it is there and unharmed.
///
/// Two installs at once make one download. An install that is interrupted leaves nothing that
/// could be taken for a library, and what it does leave the next one deletes.
///
/// # Errors
///
/// No package client works, the fetched file is not the pinned one, or the cache cannot be
/// written.
pub fn install(flavour: Flavour, options: &Options<'_>) -> Result<Library> {
    let platform = Platform::here()?;
    let clients = Client::all();
    let clients: Vec<&dyn Fetch> = clients.iter().map(|client| client as &dyn Fetch).collect();
    Installer {
        platform,
        sources: SOURCES,
        clients: &clients,
    }
    .install(flavour, options)
}

/// An install with everything that it depends on named, for tests.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Installer<'a> {
    /// The machine to install for.
    pub platform: Platform,
    /// The pins.
    pub sources: &'a [Source],
    /// The package clients, in the order in which they are tried.
    pub clients: &'a [&'a dyn Fetch],
}

impl Installer<'_> {
    /// See [`install`].
    pub fn install(&self, flavour: Flavour, options: &Options<'_>) -> Result<Library> {
        let sources = self.sources(flavour)?;
        let directory = std::path::absolute(options.cache).map_err(|source| Error::Read {
            path: options.cache.to_owned(),
            source,
        })?;
        let cache = Cache::new(&directory);
        if let Some(library) = self.installed(&cache, sources[0]) {
            return Ok(library);
        }
        let lock = cache.lock(&|lock| (options.progress)(Progress::Waiting { lock }))?;
        let mut tried = Vec::new();
        let mut instead = None;
        for source in sources {
            if let Some(library) = self.installed(&cache, source) {
                return Ok(library);
            }
            match self.install_from(source, &cache, &lock, options.progress) {
                Err(Error::Fetch {
                    attempts, by_hand, ..
                }) => {
                    tried.extend(attempts);
                    instead.get_or_insert(by_hand);
                }
                result => return result,
            }
        }
        Err(Error::Fetch {
            flavour,
            attempts: tried,
            by_hand: instead.unwrap_or_default(),
        })
    }

    /// The sources of a flavour for this platform; at least one.
    fn sources(&self, flavour: Flavour) -> Result<Vec<&Source>> {
        let of_flavour = || {
            self.sources
                .iter()
                .filter(|source| source.flavour == flavour)
        };
        let sources: Vec<_> = of_flavour()
            .filter(|source| source.platform == self.platform)
            .collect();
        if !sources.is_empty() {
            return Ok(sources);
        }
        let platforms: BTreeSet<Platform> = of_flavour().map(|source| source.platform).collect();
        let names: Vec<&str> = platforms.into_iter().map(Platform::name).collect();
        Err(Error::Unavailable {
            flavour,
            platform: self.platform,
            expected: names.join(", "),
        })
    }

    /// The library of `source`, if it is installed and its contents are unharmed.
    fn installed(&self, cache: &Cache, source: &Source) -> Option<Library> {
        let directory = cache.place(source.flavour, source.version);
        let library = cache::open(&directory, self.platform).ok()?;
        verify(&library).ok()?;
        Some(library)
    }

    /// Builds the library's directory beside its place, and moves it there with one rename.
    fn install_from(
        &self,
        source: &Source,
        cache: &Cache,
        lock: &Lock,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<Library> {
        let finished = lock.unfinished()?;
        let mut packages = Vec::new();
        let mut files = Vec::new();
        for package in source.packages {
            let folder = self.fetch(source, package, lock, progress)?;
            progress(Progress::Unpacking { file: package.file });
            files.extend(unpack(
                package,
                &folder.path().join(package.file),
                finished.path(),
            )?);
            packages.push(PackageRecord::from(package));
        }
        let what = (source.flavour, source.version, source.platform);
        Record::new(what, source.library().to_owned(), packages, files).write(finished.path())?;
        let place = cache.place(source.flavour, source.version);
        lock.publish(finished, &place)?;
        cache::open(&place, self.platform)
    }

    /// Lets the clients try one after the other; the folder with the checked file.
    fn fetch(
        &self,
        source: &Source,
        package: &Package,
        lock: &Lock,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<TempDir> {
        let Package {
            file, size: total, ..
        } = *package;
        let received = |received| {
            progress(Progress::Fetching {
                file,
                received,
                total,
            })
        };
        let mut attempts = Vec::new();
        for client in self
            .clients
            .iter()
            .filter(|client| client.serves(package.registry))
        {
            let folder = lock.unfinished()?;
            received(0);
            match client.fetch(package, folder.path(), &received) {
                Ok(()) => {
                    check_fetched(package, folder.path(), &client.name())?;
                    return Ok(folder);
                }
                Err(attempt) => attempts.push(attempt),
            }
        }
        Err(Error::Fetch {
            flavour: source.flavour,
            attempts,
            by_hand: by_hand(source, package),
        })
    }
}

/// Checks that the client left the pinned file, byte for byte.
fn check_fetched(package: &Package, folder: &Path, client: &str) -> Result<()> {
    let path = folder.join(package.file);
    let file = package.file.to_owned();
    let found = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (client, found) = (client.to_owned(), files_in(folder));
            return Err(Error::OtherFile {
                client,
                expected: file,
                found,
            });
        }
        Err(source) => return Err(Error::Read { path, source }),
    };
    if found != package.size {
        return Err(Error::FetchedSize {
            file,
            expected: package.size,
            found,
        });
    }
    let found = digest::of_file(&path).map_err(|source| Error::Read { path, source })?;
    if found != package.sha256 {
        return Err(Error::FetchedHash {
            file,
            expected: package.sha256.to_owned(),
            found,
        });
    }
    Ok(())
}

/// The names of the packages in a folder, for a message.
fn files_in(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".whl") || name.ends_with(".tgz"))
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    names.sort();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// What a person does where no client works.
fn by_hand(source: &Source, package: &Package) -> String {
    let others = match source.packages.len() {
        0 | 1 => String::new(),
        count => format!(
            " (and so on for all {count} packages of `{}`)",
            source.flavour
        ),
    };
    format!(
        "by hand: run `{}` on a machine with a network{others}, take the files of `{}` out of it, \
         and set ORT_DYLIB_PATH to `{}` among them",
        download_command(package),
        package.folder,
        source.library()
    )
}
