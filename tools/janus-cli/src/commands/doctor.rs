//! `janus doctor`

use janus_install::diagnose;
use janus_runtime::{LibraryOptions, library_info, library_providers, load_library};

use crate::context::Context;
use crate::failure::CheckFailed;
use crate::output;

/// Arguments of `janus doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut report = diagnose(&context.request());
    let mut build = None;
    if let Some(library) = &report.library {
        match load_library(&library.path, &LibraryOptions::default()) {
            Ok(()) => {
                report.providers = library_providers()?
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
                build = Some(library_info()?);
            }
            Err(error) => report.problem = Some(format!("{:#}", anyhow::Error::from(error))),
        }
    }
    if args.json {
        output::json(&report)?;
    } else {
        output::line(&report)?;
        if let Some(build) = build {
            output::line(build)?;
        }
        output::line(format!("cache: {}", context.cache()?.display()))?;
    }
    match report.problem {
        Some(problem) => Err(CheckFailed(problem).into()),
        None => Ok(()),
    }
}
