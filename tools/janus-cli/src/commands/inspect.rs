//! `janus inspect`

use std::path::PathBuf;

use janus_runtime::manifest::TensorSpec;
use janus_runtime::{Manifest, ModelDir};
use serde_json::json;

use crate::context::Context;
use crate::progress::Progress;
use crate::{model, output};

/// Arguments of `janus inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model [default: the embedded demo model]
    model: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Read every file and compare its hash
    #[arg(long)]
    verify: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let model = model::open(args.model.as_deref(), context)?;
    if args.verify {
        verify(&model, context)?;
    }
    if args.json {
        return output::json(&json!({ "path": model.path(), "manifest": model.manifest() }));
    }
    describe(&model)?;
    if args.verify {
        output::line("every file has the hash that the manifest says")?;
    }
    Ok(())
}

fn verify(model: &ModelDir, context: &Context) -> anyhow::Result<()> {
    let total = model.manifest().files.values().map(|file| file.bytes).sum();
    let mut bar = Progress::bytes("reading", total, context.global.quiet);
    let mut done = 0;
    model.verify(|bytes| {
        done += bytes;
        bar.set(done);
    })?;
    Ok(())
}

fn describe(model: &ModelDir) -> anyhow::Result<()> {
    let m = model.manifest();
    let (l, v, q, t) = (&m.language, &m.vision, &m.vq, &m.tokens);
    output::line(format!(
        "{} at {}, {}",
        m.family,
        m.converter.dtype,
        model.path().display()
    ))?;
    output::line(format!(
        "language    {} layers of {}, {} heads of {}, MLP {}, vocabulary {}, context {}",
        l.num_layers,
        l.hidden_size,
        l.num_heads,
        l.head_dim,
        l.intermediate_size,
        l.vocab_size,
        l.context_length
    ))?;
    output::line(format!(
        "vision      {0} × {0} pixels, patches of {1}, {2} tokens",
        v.image_size, v.patch_size, v.num_tokens
    ))?;
    output::line(format!(
        "drawing     {0} × {0} pixels, {1} × {2} image tokens, codebook of {3}",
        q.image_size, q.grid[0], q.grid[1], q.codebook_size
    ))?;
    output::line(format!(
        "tokens      bos {}, eos {}, pad {}, image {} … {} … {}, {} in the tokenizer",
        t.bos,
        t.eos,
        t.pad,
        t.begin_of_image,
        t.image_placeholder,
        t.end_of_image,
        t.tokenizer_size
    ))?;
    output::line(format!(
        "roles       {}: …  {}: …",
        m.chat.user, m.chat.assistant
    ))?;
    output::line(format!(
        "draws with  guidance {}, temperature {}",
        m.generation.guidance_scale, m.generation.temperature
    ))?;
    for (file, entry) in &m.source.files {
        output::line(format!(
            "made from   {file} {} bytes, sha256 {}",
            entry.bytes, entry.sha256
        ))?;
    }
    for note in &m.source.notes {
        output::line(format!("note        {note}"))?;
    }
    graphs(m)
}

fn graphs(manifest: &Manifest) -> anyhow::Result<()> {
    output::line("")?;
    for (kind, entry) in &manifest.graphs {
        let files = std::iter::once(&entry.file).chain(&entry.data);
        let bytes: u64 = files
            .filter_map(|file| manifest.files.get(file))
            .map(|f| f.bytes)
            .sum();
        output::line(format!("{kind:15} {:>9.3} MB", bytes as f64 / 1e6))?;
        tensors("in ", &entry.inputs)?;
        tensors("out", &entry.outputs)?;
    }
    Ok(())
}

/// One line for each tensor; those of the cache, two for every layer, in one.
fn tensors(direction: &str, specs: &[TensorSpec]) -> anyhow::Result<()> {
    let is_cache = |spec: &&TensorSpec| {
        spec.name.starts_with("past_key_values.") || spec.name.starts_with("present.")
    };
    for spec in specs.iter().filter(|spec| !is_cache(spec)) {
        output::line(format!("  {direction} {:22} {spec}", spec.name))?;
    }
    let cache: Vec<_> = specs.iter().filter(is_cache).collect();
    if let (Some(first), Some(last)) = (cache.first(), cache.last()) {
        let names = format!("{} … {}", first.name, last.name);
        output::line(format!("  {direction} {names} {first}"))?;
    }
    Ok(())
}
