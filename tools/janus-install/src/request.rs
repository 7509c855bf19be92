//! Where to look for a library, and what it should do.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use crate::flavour::Flavour;

/// Where to look for a library, and what it should do.
///
/// [`Request::default`] looks nowhere; [`Request::from_env`] looks everywhere that this machine
/// has.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What the library should do; nothing said means the CPU.
    pub flavour: Option<Flavour>,
    /// The library that the user named: a file, or the directory that it lies in.
    pub library: Option<PathBuf>,
    /// The library that `ORT_DYLIB_PATH` names.
    pub dylib_path: Option<PathBuf>,
    /// The directories that belong to the program.
    pub beside: Vec<PathBuf>,
    /// The cache that [`install`](crate::install) installs into.
    pub cache: Option<PathBuf>,
    /// The active virtual environment of Python.
    pub virtual_env: Option<PathBuf>,
    /// The Python interpreters that are asked where their packages are.
    pub interpreters: Vec<Interpreter>,
    /// The directories in which the system looks for libraries before its own, for
    /// [`diagnose`](crate::diagnose).
    pub loader_path: Vec<PathBuf>,
}

/// A command that runs Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program.
    pub program: OsString,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
}

impl Request {
    /// Looks where the environment says: `ORT_DYLIB_PATH`, beside the executable, in the cache
    /// (`JANUS_CACHE_DIR`, else the user's own), in Python's packages.
    pub fn from_env() -> Self {
        Self {
            flavour: None,
            library: None,
            dylib_path: path_variable("ORT_DYLIB_PATH"),
            beside: env::current_exe()
                .map(|program| program_folders(&program))
                .unwrap_or_default(),
            cache: path_variable("JANUS_CACHE_DIR").or_else(user_cache),
            virtual_env: path_variable("VIRTUAL_ENV"),
            interpreters: Interpreter::usual(),
            loader_path: loader_path(),
        }
    }

    /// Asks for a flavour.
    #[must_use]
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = Some(flavour);
        self
    }

    /// Names the library, or the directory that it lies in.
    #[must_use]
    pub fn library(mut self, path: impl Into<PathBuf>) -> Self {
        self.library = Some(path.into());
        self
    }

    /// Names the cache.
    #[must_use]
    pub fn cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }
}

impl Interpreter {
    /// The commands by which Python is usually run on this system.
    pub fn usual() -> Vec<Self> {
        let command = |program: &str, arguments: &[&str]| Self {
            program: program.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
        };
        let mut interpreters = vec![command("python3", &[]), command("python", &[])];
        if cfg!(windows) {
            interpreters.push(command("py", &["-3"]));
        }
        interpreters
    }
}

/// A variable that holds a path; an empty one counts as not set.
fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn user_cache() -> Option<PathBuf> {
    ProjectDirs::from("", "", "janus").map(|directories| directories.cache_dir().to_owned())
}

/// The program's own directory, and the one that packages put libraries in.
fn program_folders(program: &Path) -> Vec<PathBuf> {
    let Some(own) = program.parent() else {
        return Vec::new();
    };
    let mut folders = vec![own.to_owned()];
    folders.extend(own.parent().map(|parent| parent.join("lib")));
    folders
}

fn loader_path() -> Vec<PathBuf> {
    let name = match () {
        () if cfg!(windows) => "PATH",
        () if cfg!(target_os = "macos") => "DYLD_LIBRARY_PATH",
        () => "LD_LIBRARY_PATH",
    };
    let value = env::var_os(name).unwrap_or_default();
    env::split_paths(&value)
        .filter(|path| path.is_absolute())
        .collect()
}
