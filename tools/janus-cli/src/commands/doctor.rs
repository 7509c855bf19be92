//! `janus doctor`

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use janus_install::{Doctor, diagnose};
use janus_runtime::{library_info, library_providers, load_library};
use serde::Serialize;

use crate::context::Context;
use crate::export;
use crate::failure::Failure;
use crate::output;

/// Tell which library is used, what it can do and what is missing
///
/// Looks for the ONNX Runtime library as every command does, but installs nothing; reads an installed
/// one in full, loads it, and lists what its providers lack. Exits with 6 if there is none that works.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is told.
#[derive(Serialize)]
struct Report {
    /// Of janus.
    version: &'static str,
    #[serde(flatten)]
    library: Doctor,
    /// What the library says of itself.
    build: Option<String>,
    cache: Option<PathBuf>,
    models: Models,
    clients: Vec<Client>,
}

/// Converted models of the cache.
#[derive(Serialize)]
struct Models {
    count: usize,
    bytes: u64,
}

/// A program that can fetch packages.
#[derive(Serialize)]
struct Client {
    command: &'static str,
    /// What it says of itself; nothing if it does not run.
    version: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let report = Report::new(context);
    match args.json {
        true => output::json(&report)?,
        false => report.tell()?,
    }
    match report.library.problem {
        Some(_) => {
            Err(Failure::Check("there is no ONNX Runtime library that works".to_owned()).into())
        }
        None => Ok(()),
    }
}

impl Report {
    fn new(context: &Context) -> Self {
        let mut library = diagnose(&context.request());
        let mut build = None;
        match load(&library, context) {
            Ok(Some(info)) => {
                library.providers = providers();
                build = Some(info);
            }
            Ok(None) => {}
            Err(error) => library.problem = Some(format!("{:#}", anyhow::Error::from(error))),
        }
        let cache = context.cache().ok();
        let folder = export::folder(context).unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            library,
            build,
            cache,
            models: Models::of(&folder),
            clients: clients(),
        }
    }

    fn tell(&self) -> Result<(), Failure> {
        output::line(format!("janus      {}", self.version))?;
        output::line(&self.library)?;
        if let Some(build) = &self.build {
            output::line(format!("build      {build}"))?;
        }
        if let Some(cache) = &self.cache {
            output::line(format!("cache      {}", cache.display()))?;
        }
        let Models { count, bytes } = self.models;
        output::line(format!(
            "models     {count} in the cache, {}",
            output::bytes(bytes)
        ))?;
        for Client { command, version } in &self.clients {
            let version = version.as_deref().unwrap_or("not found");
            output::line(format!("client     {command}: {version}"))?;
        }
        if self.library.problem.is_some() && self.clients.iter().all(|c| c.version.is_none()) {
            output::line("missing    a package client: install Python 3 with pip, uv, or Node.js")?;
        }
        Ok(())
    }
}

/// Loads the library that was found, and gives what it says of itself.
fn load(found: &Doctor, context: &Context) -> janus_runtime::Result<Option<String>> {
    let Some(library) = &found.library else {
        return Ok(None);
    };
    load_library(&library.path, &context.library_options())?;
    Ok(Some(library_info()?.to_owned()))
}

fn providers() -> Vec<String> {
    let names = library_providers().unwrap_or_default();
    names.into_iter().map(str::to_owned).collect()
}

impl Models {
    fn of(folder: &Path) -> Self {
        let exports: Vec<_> = entries(folder).filter(|path| path.is_dir()).collect();
        let files = exports.iter().flat_map(|export| entries(export));
        let sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
        Self {
            count: exports.len(),
            bytes: sizes.sum(),
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// The package clients that an install would try.
fn clients() -> Vec<Client> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let known: [(&str, &[&str]); 4] = [
        ("python3 -m pip", &["python3", "-m", "pip", "--version"]),
        ("python -m pip", &["python", "-m", "pip", "--version"]),
        ("uv", &["uv", "--version"]),
        ("npm", &[npm, "--version"]),
    ];
    let client = |(command, words): (&'static str, &[&str])| Client {
        command,
        version: first_line(words),
    };
    known.into_iter().map(client).collect()
}

fn first_line(words: &[&str]) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
