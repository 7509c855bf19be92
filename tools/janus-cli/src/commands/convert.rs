//! `janus convert`

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use clap::ValueEnum;
use janus_convert::{CACHE_SIZES, ConvertOptions, Recipe, Target};
use janus_runtime::manifest::{DType, Family};
use janus_runtime::{Manifest, ModelDir};
use serde_json::json;

use crate::context::Context;
use crate::export;
use crate::failure::Failure;
use crate::{memory, output};

const EXAMPLES: &str = "\
Examples:
  janus convert ~/Janus-Pro-1B models/janus-pro-1b --dtype fp16
  janus convert ~/Janus-Pro-1B models/janus-pro-1b-q4 --dtype q4
  janus convert ~/Janus-Pro-1B models/janus-pro-1b-mine --recipe mine.toml
  janus convert ~/Janus-1.3B models/janus-1.3b --family janus
  janus convert ~/Janus-Pro-1B models/janus-pro-1b --target cpu,coreml,openvino
  janus convert ~/JanusFlow-1.3B models/janusflow-1.3b --vae ~/sdxl-vae

Reads Janus-1.3B, Janus-Pro-1B and Janus-Pro-7B in deepseek-ai's layout and in that of transformers,
and JanusFlow-1.3B with the SDXL VAE in diffusers' layout, from model.safetensors,
diffusion_pytorch_model.safetensors, pytorch_model.bin or their shards. Pickles are parsed, never executed. The
directory appears when it is complete; the same files give the same bytes. The converted weights stay
under the model's own licence.";

/// Write the ONNX graphs of a released checkpoint
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Directory of the released checkpoint
    checkpoint: PathBuf,
    /// Directory to write
    out: PathBuf,
    /// A file that says which weights are stored how, or one of fp32, fp16, bf16, q8, q4, q4f16,
    /// q4-small
    #[arg(long, value_name = "FILE", conflicts_with = "dtype")]
    recipe: Option<PathBuf>,
    /// What it is for: cpu, cuda, tensorrt, directml, coreml, openvino or webgpu; several make several
    /// exports in OUT, one directory each, which share what is equal [default: cpu]
    #[arg(long, value_name = "TARGETS", value_delimiter = ',', value_parser = Target::from_str)]
    target: Vec<Target>,
    /// For how many positions there are caches of the transformer, where its sizes are fixed; the largest
    /// is how long a sequence may be [default: 256,640,1024]
    #[arg(long, value_name = "POSITIONS", value_delimiter = ',')]
    cache_sizes: Vec<NonZeroUsize>,
    /// Directory of the SDXL VAE, which a JanusFlow checkpoint needs [default: CHECKPOINT/vae, where
    /// that is there]
    #[arg(long, value_name = "DIR")]
    vae: Option<PathBuf>,
    /// Which model it is, where the files do not tell: it decides how turns are spelled
    #[arg(long, value_enum)]
    family: Option<FamilyName>,
    /// Replace an export that is there already; it stays until the new one is complete
    #[arg(long, short)]
    force: bool,
    /// Note numbers of config.json that are not known, rather than refuse them
    #[arg(long)]
    allow_unknown: bool,
    /// Open every written graph with ONNX Runtime, which takes as much memory as the largest
    #[arg(long)]
    check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which model of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FamilyName {
    /// Janus-1.3B
    Janus,
    /// Janus-Pro-1B and Janus-Pro-7B
    JanusPro,
    /// JanusFlow-1.3B
    JanusFlow,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::Janus => Self::Janus,
            FamilyName::JanusPro => Self::JanusPro,
            FamilyName::JanusFlow => Self::JanusFlow,
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let recipe = recipe(args, context)?;
    let mut share_with: Option<PathBuf> = None;
    for (out, target) in outputs(args)? {
        let begun = Instant::now();
        let options = ConvertOptions {
            operators: target.operators(recipe.dtype()),
            activations: target.activations(recipe.dtype()),
            recipe: recipe.clone(),
            cache_sizes: cache_sizes(args),
            share_with: share_with.clone(),
            vae: args.vae.clone(),
            family: args.family.map(Family::from),
            replace: args.force,
            allow_unknown: args.allow_unknown,
        };
        let manifest = export::convert(&args.checkpoint, &out, &options, context)?;
        let seconds = begun.elapsed().as_secs_f64();
        let memory = memory::peak();
        // Notes are of the checkpoint, and so of the first export as of any other.
        if share_with.is_none() {
            for note in &manifest.source.notes {
                context.note(format!("note: {note}"));
            }
        }
        if args.check {
            check(&out, &manifest, context)?;
        }
        let made = Made {
            out: &out,
            manifest: &manifest,
            seconds,
            memory,
        };
        made.tell(args.json)?;
        share_with.get_or_insert(out);
    }
    Ok(())
}

/// What `--cache-sizes` says, or the usual sizes.
fn cache_sizes(args: &Args) -> Vec<usize> {
    match args.cache_sizes.is_empty() {
        true => CACHE_SIZES.to_vec(),
        false => args.cache_sizes.iter().map(|size| size.get()).collect(),
    }
}

/// Where the export for each target goes.
fn outputs(args: &Args) -> anyhow::Result<Vec<(PathBuf, Target)>> {
    match args.target[..] {
        [] => Ok(vec![(args.out.clone(), Target::default())]),
        [target] => Ok(vec![(args.out.clone(), target)]),
        _ => {
            fs::create_dir_all(&args.out).map_err(|source| Failure::Write {
                path: args.out.clone(),
                source,
            })?;
            let targets = args.target.iter();
            Ok(targets
                .map(|target| (args.out.join(target.name()), *target))
                .collect())
        }
    }
}

/// What `--recipe` names, or the recipe of `--dtype`.
fn recipe(args: &Args, context: &Context) -> anyhow::Result<Recipe> {
    let dtype = context.global.dtype;
    match &args.recipe {
        Some(name) => match name.to_str().and_then(Recipe::named) {
            Some(shipped) => Ok(shipped),
            None => Ok(Recipe::read(name)?),
        },
        None => Ok(Recipe::shipped(dtype.map_or(DType::Fp32, DType::from))),
    }
}

/// Opens every graph once, so that what was written is known to run.
fn check(out: &Path, manifest: &Manifest, context: &Context) -> anyhow::Result<()> {
    let options = context.session_options()?;
    let model = ModelDir::open(out)?;
    for kind in manifest.graphs.keys() {
        context.note(format!("opening {kind}"));
        let graph = model.graph(*kind, &options)?;
        context.remark(format!("{kind}: {}", graph.placement()));
    }
    Ok(())
}

/// What was written.
struct Made<'a> {
    out: &'a Path,
    manifest: &'a Manifest,
    seconds: f64,
    memory: Option<u64>,
}

impl Made<'_> {
    fn tell(&self, as_json: bool) -> anyhow::Result<()> {
        let Self {
            out,
            manifest,
            seconds,
            memory,
        } = self;
        let size: u64 = manifest.files.values().map(|file| file.bytes).sum();
        let (family, dtype) = (manifest.family, manifest.converter.dtype);
        if as_json {
            return output::json(&json!({
                "out": out.to_string_lossy(),
                "family": family,
                "dtype": dtype,
                "operators": manifest.converter.operators,
                "bytes": size,
                "seconds": seconds,
                "peak_memory_bytes": memory,
                "notes": manifest.source.notes,
            }));
        }
        let memory = memory.map(|peak| format!(", peak memory {}", output::bytes(peak)));
        Ok(output::line(format!(
            "{}: {family} in {dtype}, {} in {seconds:.1} s{}",
            out.display(),
            output::bytes(size),
            memory.unwrap_or_default(),
        ))?)
    }
}
