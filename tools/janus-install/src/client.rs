//! Package clients: the ordinary programs that fetch a file from a package registry.
//!
//! They know where the registry is, which mirror the user prefers, and how to get through a proxy;
//! this crate knows none of it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::error::Attempt;
use crate::pins::{Package, Registry};

/// Something that fetches a package file.
pub trait Fetch {
    /// The name that messages give it.
    fn name(&self) -> String;

    /// Whether it fetches from `registry`.
    fn serves(&self, registry: Registry) -> bool;

    /// Puts the package's file into `folder`, which is empty and deleted afterwards, and calls
    /// `received` now and then with the bytes that have come so far.
    ///
    /// # Errors
    ///
    /// Says what the client did instead.
    fn fetch(
        &self,
        package: &Package,
        folder: &Path,
        received: &dyn Fn(u64),
    ) -> Result<(), Attempt>;
}

/// A program with a command that downloads a package.
#[derive(Debug, Clone)]
pub struct Client {
    registry: Registry,
    program: OsString,
    arguments: &'static [&'static str],
}

impl Client {
    /// Every client that may be on this machine, in the order in which they are tried.
    pub fn all() -> Vec<Self> {
        const PIP: &[&str] = &["-m", "pip", "download"];
        let client = |registry, program: &str, arguments| Self::new(registry, program, arguments);
        let mut clients = vec![
            client(Registry::Python, "python3", PIP),
            client(Registry::Python, "python", PIP),
        ];
        if cfg!(windows) {
            clients.push(client(
                Registry::Python,
                "py",
                &["-3", "-m", "pip", "download"],
            ));
        }
        // `uv` itself downloads no wheels; it runs a pip of its own that does.
        clients.push(client(
            Registry::Python,
            "uv",
            &["tool", "run", "pip", "download"],
        ));
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        clients.push(client(Registry::Node, npm, &["pack"]));
        clients
    }

    /// A client whose `program` downloads from `registry` when called with `arguments` and the
    /// options of `pip download` or `npm pack`.
    pub fn new(
        registry: Registry,
        program: impl AsRef<OsStr>,
        arguments: &'static [&'static str],
    ) -> Self {
        Self {
            registry,
            program: program.as_ref().to_owned(),
            arguments,
        }
    }
}

impl Fetch for Client {
    fn name(&self) -> String {
        let mut name = self.program.to_string_lossy().into_owned();
        for argument in self.arguments {
            name.push(' ');
            name.push_str(argument);
        }
        name
    }

    fn serves(&self, registry: Registry) -> bool {
        self.registry == registry
    }

    fn fetch(
        &self,
        package: &Package,
        folder: &Path,
        received: &dyn Fn(u64),
    ) -> Result<(), Attempt> {
        let failed = |reason| Attempt {
            client: self.name(),
            reason,
        };
        let log = folder.join("client.log");
        let status = match self.run(package, folder, &log, received) {
            Ok(status) => status,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(failed("is not installed".to_owned()));
            }
            Err(error) => return Err(failed(format!("could not be run: {error}"))),
        };
        if status.success() {
            return Ok(());
        }
        Err(failed(format!("failed ({status}): {}", last_lines(&log))))
    }
}

impl Client {
    /// Runs the program to its end in `folder`, with its temporary files there too, so that
    /// nothing is left elsewhere however it ends.
    fn run(
        &self,
        package: &Package,
        folder: &Path,
        log: &Path,
        received: &dyn Fn(u64),
    ) -> io::Result<ExitStatus> {
        let temporary = folder.join("tmp");
        fs::create_dir(&temporary)?;
        let log = File::create(log)?;
        let mut child = Command::new(&self.program)
            .args(self.arguments)
            .args(manners(package.registry))
            .args(selection(package))
            .current_dir(folder)
            .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, &temporary)))
            // Who insists on virtual environments means installs, and nothing is installed here.
            .env("PIP_REQUIRE_VIRTUALENV", "false")
            .env("npm_config_cache", temporary.join("npm"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            received(bytes_below(folder).min(package.size));
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The command line by which a person would fetch the package.
pub(crate) fn download_command(package: &Package) -> String {
    let command = match package.registry {
        Registry::Python => "python3 -m pip download",
        Registry::Node => "npm pack",
    };
    format!("{command} {}", selection(package).join(" "))
}

/// The options that keep a client quiet, and its files in the current directory.
fn manners(registry: Registry) -> &'static [&'static str] {
    match registry {
        Registry::Python => &[
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
            "--dest=.",
        ],
        Registry::Node => &[
            "--ignore-scripts",
            "--loglevel=error",
            "--pack-destination=.",
        ],
    }
}

/// The arguments that select one file of the registry.
fn selection(package: &Package) -> Vec<String> {
    let Package {
        name, version, tag, ..
    } = package;
    match package.registry {
        Registry::Python => vec![
            "--no-deps".to_owned(),
            "--only-binary=:all:".to_owned(),
            "--implementation=cp".to_owned(),
            "--python-version=3.12".to_owned(),
            format!("--platform={tag}"),
            format!("{name}=={version}"),
        ],
        Registry::Node => vec![format!("{name}@{version}")],
    }
}

/// How many bytes the files below `folder` have; files that come and go count as nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

/// The last three lines that the client wrote, on one line and without passwords.
fn last_lines(log: &Path) -> String {
    const ENOUGH: usize = 2000;
    let bytes = fs::read(log).unwrap_or_default();
    let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(ENOUGH)..]).into_owned();
    let lines: Vec<&str> = tail
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match &lines[lines.len().saturating_sub(3)..] {
        [] => "it said nothing".to_owned(),
        last => without_passwords(&last.join(" | ")),
    }
}

/// The text with `***` for what stands between `://` and `@` in an address.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("://");
        let end = part
            .find(|c: char| c == '/' || c.is_whitespace())
            .unwrap_or(part.len());
        match part[..end].rfind('@') {
            Some(at) => {
                clean.push_str("***");
                clean.push_str(&part[at..]);
            }
            None => clean.push_str(part),
        }
    }
    clean
}
