//! `janus synth`

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use janus_convert::checkpoint::Container;
use janus_convert::synth::{self, ModelShape, SynthOptions, SynthReport};
use serde_json::json;

use crate::context::Context;
use crate::progress::Progress;
use crate::{memory, output};

const EXAMPLES: &str = "\
Examples:
  janus synth --like janus-pro-1b random-1b
  janus synth --like janus-pro-7b --layout transformers --seed 3 random-7b
  janus synth --like janusflow-1.3b random-flow
  janus convert random-flow models/random-flow --vae random-flow/sdxl-vae
  janus convert random-1b models/random-1b --dtype fp16";

/// Write a random checkpoint of a released model's size and shape
///
/// It has the tensor names, shapes, types and files of the released one, and random values that
/// depend on the seed alone: for sizes, memory and time, not for answers. Needs as much room as the
/// released one, 4 to 15 GB, and little memory. The VAE of a JanusFlow is in `sdxl-vae` within.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whose tensors
    #[arg(long, value_name = "MODEL", value_enum)]
    like: Like,
    /// Whose tensor names and configuration
    #[arg(long, value_enum, default_value = "released")]
    layout: Layout,
    /// Which files [default: those of the released model]
    #[arg(long, value_enum)]
    container: Option<Files>,
    /// Which values
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Directory to write
    dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Like {
    /// Janus-1.3B
    #[value(name = "janus-1.3b")]
    Janus,
    /// Janus-Pro-1B
    #[value(name = "janus-pro-1b")]
    JanusPro1b,
    /// Janus-Pro-7B
    #[value(name = "janus-pro-7b")]
    JanusPro7b,
    /// JanusFlow-1.3B, and the SDXL VAE
    #[value(name = "janusflow-1.3b")]
    JanusFlow,
    /// A JanusFlow of a few megabytes
    TinyFlow,
}

impl Like {
    fn shape(self) -> &'static ModelShape {
        match self {
            Self::Janus => &ModelShape::JANUS_1_3B,
            Self::JanusPro1b => &ModelShape::JANUS_PRO_1B,
            Self::JanusPro7b => &ModelShape::JANUS_PRO_7B,
            Self::JanusFlow => &ModelShape::JANUS_FLOW_1_3B,
            Self::TinyFlow => &ModelShape::TINY_FLOW,
        }
    }
}

/// Whose names and configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// deepseek-ai's own
    Released,
    /// The port to the transformers library
    Transformers,
}

/// Which files hold the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Files {
    /// model.safetensors, or its shards
    Safetensors,
    /// pytorch_model.bin, or its shards
    Bin,
}

impl From<Files> for Container {
    fn from(files: Files) -> Self {
        match files {
            Files::Safetensors => Self::Safetensors,
            Files::Bin => Self::PyTorch,
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let begun = Instant::now();
    let shape = args.like.shape();
    let mut options = match args.layout {
        Layout::Released => SynthOptions::released(shape),
        Layout::Transformers => SynthOptions::transformers(shape),
    };
    if let Some(files) = args.container {
        options = options.contained_in(files.into());
    }
    let mut bar = Progress::bytes("writing", context);
    let report = synth::write(&options.seeded(args.seed), &args.dir, &mut |done, total| {
        bar.set(done, total);
    })?;
    drop(bar);
    tell(args, &report, begun)
}

fn tell(args: &Args, report: &SynthReport, begun: Instant) -> anyhow::Result<()> {
    let seconds = begun.elapsed().as_secs_f64();
    let SynthReport {
        directory,
        tensors,
        parameters,
        files,
    } = report;
    if args.json {
        return output::json(&json!({
            "out": directory.to_string_lossy(),
            "tensors": tensors,
            "parameters": parameters,
            "files": files,
            "seconds": seconds,
            "peak_memory_bytes": memory::peak(),
        }));
    }
    let peak = memory::peak().map(|peak| format!(", peak memory {}", output::bytes(peak)));
    Ok(output::line(format!(
        "{}: {tensors} tensors, {parameters} parameters, {} in {seconds:.1} s{}",
        directory.display(),
        files.join(" "),
        peak.unwrap_or_default(),
    ))?)
}
