//! `janus convert`

use std::path::PathBuf;
use std::time::Instant;

use janus_convert::ConvertOptions;
use janus_runtime::{GraphKind, ModelDir};

use crate::context::Context;
use crate::model::{self, Dtype, FamilyName};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  janus convert ~/Janus-Pro-1B models/janus-pro-1b --dtype fp16
  janus convert ~/Janus-1.3B models/janus-1.3b --family janus

Reads deepseek-ai's layout and that of transformers, from model.safetensors, pytorch_model.bin or
their shards. The directory appears when it is complete; the weights stay under their own licence.";

/// Arguments of `janus convert`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Directory of the released checkpoint
    checkpoint: PathBuf,
    /// Directory to write
    out: PathBuf,
    /// Precision of the weights
    #[arg(long, value_enum, default_value = "fp32")]
    dtype: Dtype,
    /// Which model it is, where the files do not tell: it decides how turns are spelled
    #[arg(long, value_enum)]
    family: Option<FamilyName>,
    /// Replace an export that is there already; it stays until the new one is complete
    #[arg(long, short)]
    force: bool,
    /// Do not open the written graphs with ONNX Runtime
    #[arg(long)]
    no_check: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let begun = Instant::now();
    let options = ConvertOptions {
        dtype: args.dtype.into(),
        family: args.family.map(Into::into),
        replace: args.force,
    };
    let manifest = model::convert(&args.checkpoint, &args.out, &options, context)?;
    let seconds = begun.elapsed().as_secs_f64();
    let peak = peak_memory();
    if !args.no_check {
        check(args, context)?;
    }
    for note in &manifest.source.notes {
        context.note(&format!("note: {note}"));
    }
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    output::line(format!(
        "{}: {} at {}, {:.2} GB in {seconds:.1} s{peak}",
        args.out.display(),
        manifest.family,
        manifest.converter.dtype,
        bytes as f64 / 1e9,
    ))?;
    Ok(())
}

/// Opens every graph once, so that what was written is known to run.
fn check(args: &Args, context: &Context) -> anyhow::Result<()> {
    let options = context.session_options()?;
    let model = ModelDir::open(&args.out)?;
    for kind in GraphKind::ALL {
        context.note(&format!("opening {kind}"));
        model.graph(kind, &options)?;
    }
    Ok(())
}

/// Peak resident memory of this process so far, where the system tells.
pub(crate) fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(String::new(), |kib| {
        format!(", peak memory {:.2} GiB", kib / 1024.0 / 1024.0)
    })
}
