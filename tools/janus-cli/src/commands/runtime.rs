//! `janus runtime`

use janus_install::{Flavour, Listing, Options};

use crate::context::{Context, fetching, flavour};
use crate::output;

/// Arguments of `janus runtime`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Fetch a pinned ONNX Runtime library into the cache
    ///
    /// The package comes through the ordinary clients (pip, uv or npm); its hash has to be the one
    /// that this version was made for.
    Install {
        /// Which library: cpu, cuda, directml, coreml, openvino, webgpu [default: what --on needs]
        #[arg(long, value_name = "FLAVOUR", value_parser = parse)]
        flavour: Option<Flavour>,
    },
    /// List the libraries that are installed and those that could be
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn parse(name: &str) -> Result<Flavour, String> {
    let known = || Flavour::ALL.map(Flavour::name).join(", ");
    let found = Flavour::ALL
        .into_iter()
        .find(|flavour| flavour.name() == name);
    found.ok_or_else(|| format!("there are {}", known()))
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let cache = context.cache()?;
    match &args.action {
        Action::Install { flavour: wanted } => {
            let wanted = wanted
                .or(flavour(context.global.on))
                .unwrap_or(Flavour::Cpu);
            let library = fetching(context.global.quiet, |progress| {
                janus_install::install(
                    wanted,
                    &Options {
                        cache: &cache,
                        progress,
                    },
                )
            })?;
            output::line(library.path.display())?;
        }
        Action::List { json: true } => output::json(&janus_install::list(&cache))?,
        Action::List { json: false } => {
            for listing in janus_install::list(&cache) {
                describe(&listing)?;
            }
        }
    }
    Ok(())
}

fn describe(listing: &Listing) -> anyhow::Result<()> {
    let name = listing.flavour.name();
    for library in &listing.installed {
        output::line(format!("{name:10} installed  {}", library.path.display()))?;
    }
    match &listing.available {
        Some(available) if listing.installed.is_empty() => output::line(format!(
            "{name:10} available  {}, {:.0} MB",
            available.packages.join(" "),
            available.download_size as f64 / 1e6
        ))?,
        Some(_) => {}
        None => {
            let platforms: Vec<_> = listing.platforms.iter().map(|p| p.name()).collect();
            output::line(format!("{name:10} elsewhere  {}", platforms.join(", ")))?;
        }
    }
    Ok(())
}
