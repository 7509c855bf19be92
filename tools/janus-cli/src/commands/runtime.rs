//! `janus runtime`

use janus_install::{Flavour, Listing, Options};

use crate::context::{Context, flavour};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  janus runtime list
  janus runtime install                      the CPU
  janus runtime install --flavour cuda       CUDA 13, and TensorRT 10 where it is installed

A library that is there already is used first: --runtime-library, ORT_DYLIB_PATH, beside the program,
in the cache, in an installed Python package. Otherwise the first command that needs one installs it.";

/// Install or list ONNX Runtime libraries
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Fetch a pinned library into the cache
    ///
    /// The package comes through the ordinary clients (pip, uv or npm). Its size and SHA-256 have
    /// to be those that this version of janus names. Prints the library's path.
    Install {
        /// Which library: cpu, cuda, directml, coreml, openvino or webgpu [default: what --on needs]
        #[arg(value_name = "FLAVOUR")]
        named: Option<Flavour>,
        /// The same, as an option
        #[arg(long, value_name = "FLAVOUR", conflicts_with = "named")]
        flavour: Option<Flavour>,
    },
    /// List the libraries that are installed and those that could be
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let cache = context.cache()?;
    match &args.action {
        Action::Install {
            named,
            flavour: option,
        } => {
            let asked = named.or(*option).or(flavour(context.global.on));
            let wanted = asked.unwrap_or(Flavour::Cpu);
            let library = context.fetching(|tell| {
                let options = Options {
                    cache: &cache,
                    progress: tell,
                };
                janus_install::install(wanted, &options)
            })?;
            output::line(library.path.display())?;
        }
        Action::List { json: true } => output::json(&janus_install::list(&cache))?,
        Action::List { json: false } => {
            for listing in janus_install::list(&cache) {
                tell(&listing)?;
            }
        }
    }
    Ok(())
}

fn tell(listing: &Listing) -> anyhow::Result<()> {
    let flavour = listing.flavour;
    for library in &listing.installed {
        let version = library.version.map(|version| version.to_string());
        let version = version.unwrap_or_default();
        let path = library.path.display();
        output::line(format!("{flavour:9} {version:8} installed, {path}"))?;
    }
    match &listing.available {
        Some(available) if listing.installed.is_empty() => {
            let size = output::bytes(available.download_size);
            let version = available.version.to_string();
            output::line(format!("{flavour:9} {version:8} can be installed, {size}"))?;
        }
        None => {
            let platforms: Vec<_> = listing.platforms.iter().map(|p| p.name()).collect();
            let platforms = platforms.join(", ");
            output::line(format!(
                "{flavour:9} {:8} not for this machine, but {platforms}",
                "-"
            ))?;
        }
        _ => {}
    }
    Ok(())
}
