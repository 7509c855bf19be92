//! Why the ONNX Runtime library was not found or not installed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use zip::result::ZipError;

use crate::find::Origin;
use crate::flavour::{Flavour, Platform, Version};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the ONNX Runtime library was not found or not installed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing on this machine serves.
    #[error(
        "no ONNX Runtime library for `{flavour}`{}{}; \
         run `janus runtime install {flavour}`, or set ORT_DYLIB_PATH",
        Places(.looked),
        Rejections(.rejected)
    )]
    NotFound {
        /// What the library should do.
        flavour: Flavour,
        /// Where it was looked for, in order.
        looked: Vec<String>,
        /// The libraries that were found there and cannot serve.
        rejected: Vec<Rejected>,
    },
    /// The library that the user named is not there.
    #[error("the ONNX Runtime library `{}` ({origin}) is not there", path.display())]
    NoSuchLibrary {
        /// The path as given.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
    },
    /// The library that the user named is too old.
    #[error(
        "the ONNX Runtime library `{}` ({origin}) is version {found}; {} or newer is needed",
        path.display(),
        Version::MINIMUM
    )]
    TooOld {
        /// The library.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
        /// Its version.
        found: Version,
    },
    /// No flavour is spelled so.
    #[error("`{}` is not a flavour of ONNX Runtime; there are {expected}", name.escape_debug())]
    UnknownFlavour {
        /// The name.
        name: String,
        /// The names there are.
        expected: String,
    },
    /// A version is not three numbers.
    #[error("`{}` is not a version; it should be three numbers with dots", text.escape_debug())]
    ParseVersion {
        /// What was read.
        text: String,
    },
    /// This machine is none that ONNX Runtime is published for.
    #[error(
        "no ONNX Runtime library is published for this machine ({machine}); there are {}; \
         build one, and set ORT_DYLIB_PATH",
        Platform::ALL.map(Platform::name).join(", ")
    )]
    UnsupportedMachine {
        /// System and processor.
        machine: String,
    },
    /// The flavour is not published for this machine.
    #[error("flavour `{flavour}` is not published for {platform}; it is for {expected}")]
    Unavailable {
        /// The flavour.
        flavour: Flavour,
        /// The machine.
        platform: Platform,
        /// The machines it is published for.
        expected: String,
    },
    /// The user has no home directory, and no cache was named.
    #[error(
        "there is no home directory to keep a cache in; name one with --cache or JANUS_CACHE_DIR"
    )]
    NoCache,
    /// The cache cannot be written to.
    #[error(
        "cannot write to the cache `{}`; name another with --cache or JANUS_CACHE_DIR, \
         or set ORT_DYLIB_PATH to a library",
        directory.display()
    )]
    CacheNotWritable {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The lock that keeps two installs apart could not be taken.
    #[error("cannot lock `{}`", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No package client fetched the flavour's files.
    #[error("cannot fetch ONNX Runtime for `{flavour}`: {}; {by_hand}", Listed(.attempts, "; "))]
    Fetch {
        /// The flavour.
        flavour: Flavour,
        /// What was tried, in order.
        attempts: Vec<Attempt>,
        /// What to do instead.
        by_hand: String,
    },
    /// The package client left something else than the pinned file.
    #[error("`{client}` should have fetched `{expected}`; it fetched {found}")]
    OtherFile {
        /// The client.
        client: String,
        /// The pinned file.
        expected: String,
        /// What there is instead.
        found: String,
    },
    /// The fetched file is not as long as the pinned one.
    #[error("the fetched `{file}` has {found} bytes; it should have {expected}; nothing was kept")]
    FetchedSize {
        /// The file.
        file: String,
        /// Bytes by the pin.
        expected: u64,
        /// Bytes fetched.
        found: u64,
    },
    /// The fetched file is not the pinned one.
    #[error(
        "the fetched `{file}` has SHA-256 {found}; it should have {expected}; nothing was kept"
    )]
    FetchedHash {
        /// The file.
        file: String,
        /// Hash by the pin.
        expected: String,
        /// Hash of what was fetched.
        found: String,
    },
    /// The fetched file is not the archive that it should be.
    #[error("cannot unpack `{file}`")]
    Unpack {
        /// The archive.
        file: String,
        /// What is wrong with it.
        #[source]
        source: ZipError,
    },
    /// The fetched file lacks a library.
    #[error("`{file}` has no `{member}`")]
    MissingMember {
        /// The archive.
        file: String,
        /// The library in it.
        member: String,
    },
    /// A file or directory could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The record of an installed library is not the JSON that it should be.
    #[error("cannot parse `{}`", path.display())]
    ParseRecord {
        /// The record.
        path: PathBuf,
        /// Line, column and field.
        #[source]
        source: serde_json::Error,
    },
    /// The record of an installed library says something that it may not.
    #[error("`{}`: `{field}` is `{}`; it should be {expected}", path.display(), found.escape_debug())]
    RecordField {
        /// The record.
        path: PathBuf,
        /// Which field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// An installed file is not as long as its record says.
    #[error("`{}` has {found} bytes; its record says {expected}", path.display())]
    InstalledSize {
        /// The file.
        path: PathBuf,
        /// Bytes by the record.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },
    /// An installed file has other contents than its record says.
    #[error("`{}` has SHA-256 {found}; its record says {expected}", path.display())]
    InstalledHash {
        /// The file.
        path: PathBuf,
        /// Hash by the record.
        expected: String,
        /// Hash on disk.
        found: String,
    },
    /// Other users of the machine could exchange an installed file.
    #[error("`{}` can be written by others (mode {mode:o}); it should not be", path.display())]
    WritableByOthers {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// A library that was found and cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The library, or the directory that should hold one.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// A package client that did not fetch the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The client's command, such as `python3 -m pip`.
    pub client: String,
    /// Why it did not.
    pub reason: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path.display(), self.reason)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.client, self.reason)
    }
}

/// Items with a separator between them.
struct Listed<'a, T>(&'a [T], &'a str);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { self.1 };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}

/// The places that were looked at, or nothing.
struct Places<'a>(&'a [String]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            looked => write!(f, " in {}", Listed(looked, ", ")),
        }
    }
}

/// The reasons in parentheses, or nothing.
struct Rejections<'a>(&'a [Rejected]);

impl fmt::Display for Rejections<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            rejected => write!(f, " ({})", Listed(rejected, "; ")),
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
