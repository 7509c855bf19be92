//! `janus` as a person or a script runs it: in a folder of its own, with a cache of its own.

use std::ffi::OsStr;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which commands run.
pub(crate) struct Folder {
    dir: TempDir,
    cache: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
}

/// A command that ran.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    /// An empty folder. Converted models are shared by all tests, in the build directory.
    pub(crate) fn new() -> Self {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("janus-cache");
        Self::with_cache(cache)
    }

    /// An empty folder whose commands use another cache.
    pub(crate) fn with_cache(cache: impl Into<PathBuf>) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            cache: cache.into(),
            variables: Vec::new(),
        }
    }

    /// Its commands have a variable of the environment.
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<PathBuf>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The names of the files in it.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }

    /// `janus`, not yet run.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_janus"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("JANUS_CACHE_DIR", &self.cache)
            .env("ORT_DYLIB_PATH", library())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs with text on standard input.
    pub(crate) fn pipe<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Ran {
        let mut child = self.spawn(self.command(arguments).stdin(Stdio::piped()));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap().into()
    }

    /// Runs, its output in pipes.
    pub(crate) fn spawn(&self, command: &mut Command) -> Child {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().unwrap()
    }

    /// Runs what must go well, and gives what it prints.
    pub(crate) fn said<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    }

    /// Runs what must go well, and gives the JSON that it prints.
    pub(crate) fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        serde_json::from_str(&self.said(arguments)).unwrap()
    }

    /// Runs what must fail with an exit code and a message.
    pub(crate) fn refused<const N: usize>(&self, arguments: [&str; N], code: i32, message: &str) {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        let told = &ran.stderr;
        assert!(told.contains(message), "{arguments:?}: {told}");
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Names of files in a folder, in order.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Keywords and contents of a PNG's texts.
pub(crate) fn texts(path: &Path) -> Vec<(String, String)> {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    let texts = reader.info().utf8_text.iter();
    texts
        .map(|text| (text.keyword.clone(), text.get_text().unwrap()))
        .collect()
}

/// What the table of kernels tells of an export's nodes, and the library's record of them: all of them
/// are on the provider.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn on_record(folder: &Folder, model: &str, provider: &str, on: &[&str]) {
    let report = folder.json(["validate", model].iter().chain(on));
    for graph in report["placement"]["graphs"].as_array().unwrap() {
        assert_eq!(graph["placed"], graph["nodes"], "{graph}");
    }
    let report = folder.json(["doctor", model].iter().chain(on));
    let placements = report["placements"].as_array().unwrap();
    assert!(placements.len() > 5, "{report}");
    for placed in placements {
        let names: Vec<_> = placed["placement"].as_object().unwrap().keys().collect();
        assert_eq!(names, [provider], "{placed}");
    }
}

/// The library of the user's own cache, fetched if need be.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let request = janus_install::Request::from_env();
        janus_install::ensure(&request, &|_| {}).unwrap().path
    })
}
