//! `janus inspect`

use std::path::PathBuf;

use janus_runtime::manifest::{DrawingConfig, GraphEntry, TensorSpec};
use janus_runtime::{Manifest, ModelDir};
use serde_json::json;

use crate::context::Context;
use crate::model::Model;
use crate::progress::Progress;
use crate::{interrupt, output};

const EXAMPLES: &str = "\
Examples:
  janus inspect models/janus-pro-1b
  janus inspect models/janus-pro-1b --verify
  janus inspect models/janus-pro-1b --json | jq .manifest.graphs.gen_head";

/// Tell what a model consists of
///
/// Sizes, tokens, graphs with their inputs and outputs, and where the weights came from. Needs no
/// ONNX Runtime. Exits with 6 if a file is not what the manifest says.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An exported directory or a checkpoint [default: the embedded demo model]
    model: Option<PathBuf>,
    /// Read every file and compare its SHA-256
    #[arg(long)]
    verify: bool,
    /// Print the manifest and the path as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let model = Model::open(args.model.as_deref(), context)?;
    if args.verify {
        verify(&model.dir, context)?;
    }
    let manifest = model.dir.manifest();
    if args.json {
        return output::json(&json!({
            "name": model.name,
            "path": model.dir.path().to_string_lossy(),
            "bytes": total(manifest),
            "verified": args.verify,
            "manifest": manifest,
        }));
    }
    let path = model.dir.path().display();
    output::line(format!("{:11} {path}", model.name))?;
    tell_sizes(manifest)?;
    tell_provenance(manifest)?;
    if args.verify {
        output::line("verified    every file has the SHA-256 that the manifest says")?;
    }
    tell_graphs(manifest)
}

fn total(manifest: &Manifest) -> u64 {
    manifest.files.values().map(|file| file.bytes).sum()
}

fn verify(model: &ModelDir, context: &Context) -> anyhow::Result<()> {
    let total = total(model.manifest());
    let mut bar = Progress::bytes("reading", context);
    let mut done = 0;
    model.verify(|bytes| {
        done += bytes;
        bar.set(done, total);
    })?;
    interrupt::check()?;
    Ok(())
}

fn tell_sizes(manifest: &Manifest) -> anyhow::Result<()> {
    let Manifest {
        language: l,
        vision: v,
        tokens: t,
        chat,
        ..
    } = manifest;
    let size = output::bytes(total(manifest));
    let dtype = manifest.converter.dtype;
    output::line(format!(
        "family      {} in {dtype}, {size}",
        manifest.family
    ))?;
    output::line(format!(
        "language    {} layers of {}, {} heads of {} ({} for keys), MLP {}, vocabulary {}, context {}",
        l.num_layers,
        l.hidden_size,
        l.num_heads,
        l.head_dim,
        l.num_kv_heads,
        l.intermediate_size,
        l.vocab_size,
        l.context_length
    ))?;
    output::line(format!(
        "sees        {0} × {0} pixels, patches of {1}, {2} embeddings",
        v.image_size, v.patch_size, v.num_tokens
    ))?;
    output::line(format!("draws       {}", drawing(manifest)))?;
    output::line(format!(
        "tokens      {} of text; bos {}, eos {}, pad {}; picture {} {} {}",
        t.tokenizer_size,
        t.bos,
        t.eos,
        t.pad,
        t.begin_of_image,
        t.image_placeholder,
        t.end_of_image
    ))?;
    output::line(format!(
        "roles       {:?} and {:?}",
        chat.user, chat.assistant
    ))?;
    if !chat.system_prompt.is_empty() {
        output::line(format!("system      {}", chat.system_prompt))?;
    }
    Ok(())
}

/// How the model draws, and with which settings.
fn drawing(manifest: &Manifest) -> String {
    let generation = &manifest.generation;
    match &manifest.drawing {
        DrawingConfig::Tokens(q) => format!(
            "{0} × {0} pixels, {1} × {2} image tokens of {3}, guidance {4}, temperature {5}",
            q.image_size,
            q.grid[0],
            q.grid[1],
            q.codebook_size,
            generation.guidance_scale,
            generation.temperature
        ),
        DrawingConfig::Flow(f) => format!(
            "{0} × {0} pixels, by rectified flow of {1} × {2} × {2} latents in {3} × {4} positions, \
             {5} steps, guidance {6}",
            f.image_size,
            f.latent_channels,
            f.latent_size,
            f.grid[0],
            f.grid[1],
            f.steps,
            generation.guidance_scale
        ),
    }
}

fn tell_provenance(manifest: &Manifest) -> anyhow::Result<()> {
    let converter = &manifest.converter;
    let opset = converter.opset;
    output::line(format!("converter   {}, opset {opset}", converter.version))?;
    for (name, file) in &manifest.source.files {
        let size = output::bytes(file.bytes);
        output::line(format!(
            "made from   {name}, {size}, SHA-256 {}",
            file.sha256
        ))?;
    }
    for note in &manifest.source.notes {
        output::line(format!("note        {note}"))?;
    }
    Ok(())
}

fn tell_graphs(manifest: &Manifest) -> anyhow::Result<()> {
    for (kind, entry) in &manifest.graphs {
        let size = output::bytes(size(entry, manifest));
        output::line(format!("\n{kind}, {size}"))?;
        tell_tensors("in", &entry.inputs)?;
        tell_tensors("out", &entry.outputs)?;
    }
    Ok(())
}

fn size(graph: &GraphEntry, manifest: &Manifest) -> u64 {
    let names = std::iter::once(&graph.file).chain(&graph.data);
    let files = names.filter_map(|name| manifest.files.get(name));
    files.map(|file| file.bytes).sum()
}

/// A line for each tensor; those of the cache, two for every layer, share one.
fn tell_tensors(direction: &str, tensors: &[TensorSpec]) -> anyhow::Result<()> {
    let is_cache = |tensor: &&TensorSpec| {
        tensor.name.starts_with("past_key_values.") || tensor.name.starts_with("present.")
    };
    for tensor in tensors.iter().filter(|tensor| !is_cache(tensor)) {
        output::line(format!("  {direction:3} {:22} {tensor}", tensor.name))?;
    }
    let cache: Vec<_> = tensors.iter().filter(is_cache).collect();
    if let [first, .., last] = cache[..] {
        let count = cache.len();
        let names = format!("{} … {}", first.name, last.name);
        output::line(format!("  {direction:3} {names}  {count} × {first}"))?;
    }
    Ok(())
}
