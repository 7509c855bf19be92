//! `janus doctor`

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use janus_install::{Doctor, diagnose};
use janus_runtime::{
    GraphKind, Placement, SessionOptions, library_info, library_providers, load_library,
};
use serde::Serialize;

use crate::context::Context;
use crate::export;
use crate::failure::Failure;
use crate::model::Model;
use crate::output;

/// Tell which library is used, what it can do and what is missing
///
/// Looks for the ONNX Runtime library as every command does, but installs nothing; reads an installed
/// one in full, loads it, and lists what its providers lack. Exits with 6 if there is none that works.
///
/// With MODEL it also opens every graph where --on says, and tells which nodes ONNX Runtime put
/// where; it exits with 6 if any that matters is elsewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An exported directory or a checkpoint whose graphs are opened
    model: Option<PathBuf>,
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
    /// Of the graphs of MODEL.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    placements: Vec<Placed>,
}

/// Where the nodes of a graph are.
#[derive(Serialize)]
struct Placed {
    graph: GraphKind,
    placement: Placement,
    /// Nodes that should be elsewhere.
    strays: usize,
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
    let mut report = Report::new(context);
    if report.library.problem.is_none()
        && let Some(model) = &args.model
    {
        report.placements = placements(model, context)?;
    }
    match args.json {
        true => output::json(&report)?,
        false => report.tell()?,
    }
    match report.library.problem {
        Some(_) => {
            Err(Failure::Check("there is no ONNX Runtime library that works".to_owned()).into())
        }
        None => report.check_placements(context),
    }
}

/// Opens every graph of a model, whatever is left to the CPU.
fn placements(model: &Path, context: &Context) -> anyhow::Result<Vec<Placed>> {
    let model = Model::open(Some(model), context)?;
    let provider = context.global.on;
    let options = SessionOptions {
        allow_fallback: true,
        ..context.session_options()?
    };
    for &graph in model.dir.manifest().graphs.keys() {
        drop(model.dir.graph(graph, &options)?);
    }
    let all = model.dir.placements().into_iter();
    Ok(all
        .map(|(graph, placement)| Placed {
            strays: placement.strays(provider).len(),
            graph,
            placement,
        })
        .collect())
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
            placements: Vec::new(),
        }
    }

    fn check_placements(&self, context: &Context) -> anyhow::Result<()> {
        let provider = context.global.on;
        let strays: usize = self.placements.iter().map(|placed| placed.strays).sum();
        if strays == 0 || context.global.allow_fallback {
            return Ok(());
        }
        Err(Failure::Check(format!("{strays} nodes are not on `{provider}`")).into())
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
        for placed in &self.placements {
            output::line(format!("nodes      {}: {}", placed.graph, placed.placement))?;
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
