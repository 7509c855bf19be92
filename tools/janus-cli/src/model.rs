//! From what a person names to a model that runs.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use janus_convert::{ConvertOptions, FINGERPRINT, Stage, convert_with_progress};
use janus_pipeline::Janus;
use janus_runtime::manifest::{DType, Family};
use janus_runtime::{Manifest, ModelDir};

use crate::context::Context;
use crate::failure::BadInput;
use crate::interrupt;
use crate::progress::Progress;

/// Precision of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats, half the size.
    Fp16,
}

impl From<Dtype> for DType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Fp32 => Self::Fp32,
            Dtype::Fp16 => Self::Fp16,
        }
    }
}

/// Which model of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyName {
    /// Janus-1.3B.
    Janus,
    /// Janus-Pro-1B and 7B.
    JanusPro,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::Janus => Self::Janus,
            FamilyName::JanusPro => Self::JanusPro,
        }
    }
}

/// Opens both faces of a model.
pub(crate) fn janus(name: Option<&Path>, context: &Context) -> anyhow::Result<Janus> {
    let model = open(name, context)?;
    Ok(Janus::from_dir(&model, &context.session_options()?)?)
}

/// The exported directory that `name` stands for: itself, the export of a checkpoint, or the demo
/// model's.
pub(crate) fn open(name: Option<&Path>, context: &Context) -> anyhow::Result<ModelDir> {
    let path = match name {
        None => demo(context)?,
        Some(path) if path.join(janus_runtime::manifest::MANIFEST).exists() => path.to_owned(),
        Some(path) if path.join("config.json").exists() => exported(path, context)?,
        Some(path) if path.is_dir() => {
            let message = format!(
                "`{}` is neither an exported model (manifest.json) nor a checkpoint (config.json)",
                path.display()
            );
            return Err(BadInput(message).into());
        }
        Some(path) => {
            fs::metadata(path)
                .with_context(|| format!("cannot open model `{}`", path.display()))?;
            let message = format!("`{}` is a file; a model is a directory", path.display());
            return Err(BadInput(message).into());
        }
    };
    Ok(ModelDir::open(path)?)
}

/// Converts with a progress bar; Ctrl-C stops it and leaves nothing.
pub(crate) fn convert(
    checkpoint: &Path,
    out: &Path,
    options: &ConvertOptions,
    context: &Context,
) -> Result<Manifest, janus_convert::Error> {
    let mut bar = Progress::bytes("reading", 0, context.global.quiet);
    convert_with_progress(checkpoint, out, options, &mut |progress| {
        bar.set_total(progress.total);
        match progress.stage {
            Stage::Hashing => bar.describe("reading"),
            Stage::Writing(graph) => bar.describe(graph.name()),
        }
        bar.set(progress.done);
        if interrupt::asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
}

fn demo(context: &Context) -> anyhow::Result<PathBuf> {
    let root = context.cache()?.join("models");
    let path = janus_demo::ensure_exported(&root, FINGERPRINT, |checkpoint, out| {
        convert(checkpoint, out, &ConvertOptions::default(), context).map(|_| ())
    })?;
    Ok(path)
}

/// The export of a checkpoint in the cache, made on first use.
fn exported(checkpoint: &Path, context: &Context) -> anyhow::Result<PathBuf> {
    let root = context.cache()?.join("models");
    fs::create_dir_all(&root).with_context(|| format!("cannot write `{}`", root.display()))?;
    let out = root.join(cache_name(checkpoint)?);
    let lock = out.with_extension("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write `{}`", lock.display()))?;
    lock.lock()
        .with_context(|| format!("cannot lock `{}`", root.display()))?;
    if !out.exists() {
        context.note(&format!(
            "converting `{}` once, into the cache",
            checkpoint.display()
        ));
        convert(checkpoint, &out, &ConvertOptions::default(), context)?;
    }
    Ok(out)
}

/// Another checkpoint, a changed file or another converter has another name.
fn cache_name(checkpoint: &Path) -> anyhow::Result<String> {
    let failed = || format!("cannot read `{}`", checkpoint.display());
    let path = checkpoint.canonicalize().with_context(failed)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&path).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let metadata = entry.metadata().with_context(failed)?;
        files.push((entry.file_name(), metadata.len(), metadata.modified().ok()));
    }
    files.sort();
    let key = format!("{FINGERPRINT} {} {files:?}", path.display());
    let stem = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(format!("{stem}-{}", crate::output::digest(&key)))
}
