//! Conversions with a progress bar, and those that are kept in the cache.

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::ValueEnum;
use janus_convert::{ConvertOptions, FINGERPRINT, Stage, Target, convert_with_progress};
use janus_demo::Checkpoint;
use janus_runtime::manifest::{Activations, DType, Operators};
use janus_runtime::{ExecutionProvider, Manifest};
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::Progress;

/// Characters of a checkpoint's name that the name of its export begins with.
const NAME_LENGTH: usize = 60;
/// Bytes of the hash that it ends with.
const KEY_LENGTH: usize = 8;

/// Precision of the weights, as the command line spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32-bit floats
    Fp32,
    /// 16-bit floats, half the size
    Fp16,
    /// 16-bit floats with the exponent of 32-bit ones, as the released weights are
    Bf16,
    /// 8-bit integers for the matrices
    Q8,
    /// 4-bit integers for the transformer, 8-bit ones for heads and vision encoder
    Q4,
    /// As q4, with 16-bit floats for everything else
    Q4f16,
}

impl From<Dtype> for DType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Fp32 => Self::Fp32,
            Dtype::Fp16 => Self::Fp16,
            Dtype::Bf16 => Self::Bf16,
            Dtype::Q8 => Self::Q8,
            Dtype::Q4 => Self::Q4,
            Dtype::Q4f16 => Self::Q4f16,
        }
    }
}

/// The folder of a checkpoint that its VAE is looked for in.
const VAE: &str = "vae";

/// Converts with a progress bar. Ctrl-C stops it and leaves nothing.
///
/// Where no VAE is named, it is that in the folder `vae` of the checkpoint, if there is one.
pub(crate) fn convert(
    checkpoint: &Path,
    out: &Path,
    options: &ConvertOptions,
    context: &Context,
) -> Result<Manifest, janus_convert::Error> {
    let _steps = interrupt::steps();
    let mut bar = Progress::bytes("reading", context);
    let own = || Some(checkpoint.join(VAE)).filter(|folder| folder.is_dir());
    let options = ConvertOptions {
        vae: options.vae.clone().or_else(own),
        ..options.clone()
    };
    convert_with_progress(checkpoint, out, &options, &mut |progress| {
        bar.set(progress.done, progress.total);
        match progress.stage {
            Stage::Hashing => bar.describe("reading"),
            Stage::Writing(graph) => bar.describe(&format!("writing {graph}")),
        }
        match interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })
}

/// A checkpoint that is part of the program, converted when it is first used.
pub(crate) fn of_embedded(embedded: Checkpoint, context: &Context) -> anyhow::Result<PathBuf> {
    let options = options(context);
    let key = format!(
        "{FINGERPRINT} {}{}",
        options.recipe.dtype(),
        suffix(&options)
    );
    let exported = embedded.ensure_exported(&folder(context)?, &key, |checkpoint, out| {
        convert(checkpoint, out, &options, context).map(|_| ())
    });
    Ok(exported?)
}

/// A checkpoint, converted when it is first used, and again when it or the converter has changed.
pub(crate) fn of_checkpoint(checkpoint: &Path, context: &Context) -> anyhow::Result<PathBuf> {
    let folder = folder(context)?;
    let options = options(context);
    let name = export_name(checkpoint, options.recipe.dtype())?;
    let out = folder.join(name + suffix(&options));
    if out.is_dir() {
        return Ok(out);
    }
    fs::create_dir_all(&folder).map_err(writing(&folder))?;
    let _lock = lock(&out.with_added_extension("lock"), context)?;
    if !out.is_dir() {
        let path = checkpoint.display();
        context.note(format!("converting `{path}` once, into the cache"));
        convert(checkpoint, &out, &options, context)?;
    }
    Ok(out)
}

/// Where the cache keeps converted models.
pub(crate) fn folder(context: &Context) -> anyhow::Result<PathBuf> {
    Ok(context.cache()?.join("models"))
}

fn options(context: &Context) -> ConvertOptions {
    let dtype = context.global.dtype.unwrap_or(Dtype::Fp32).into();
    let target = target(context.global.on);
    ConvertOptions {
        operators: target.operators(dtype),
        activations: target.activations(dtype),
        ..ConvertOptions::in_precision(dtype)
    }
}

/// What exports for a provider are called.
fn target(provider: ExecutionProvider) -> Target {
    let name = provider.to_string();
    let name = name.split(':').next().unwrap_or("");
    name.parse().unwrap_or_default()
}

/// What tells exports of the same checkpoint and precision apart.
fn suffix(options: &ConvertOptions) -> &'static str {
    match (options.operators, options.activations) {
        (Operators::Fused, Activations::Fp32) => "",
        (Operators::Fused, _) => "-16-bit",
        (Operators::Standard, _) => "-standard",
    }
}

/// Waits until no other process converts the same; the lock goes with the file, or the process.
fn lock(path: &Path, context: &Context) -> Result<File, Failure> {
    let mut options = File::options();
    let file = options.create(true).append(true).open(path);
    let file = file.map_err(writing(path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            let path = path.display();
            context.note(format!("waiting for another conversion (`{path}`)"));
        }
        Err(TryLockError::Error(error)) => return Err(writing(path)(error)),
    }
    file.lock().map_err(writing(path))?;
    Ok(file)
}

/// Another place, other files, another precision or another converter make another name.
fn export_name(checkpoint: &Path, dtype: DType) -> Result<String, Failure> {
    let reading = |source| Failure::Read {
        path: checkpoint.to_owned(),
        source,
    };
    let path = checkpoint.canonicalize().map_err(reading)?;
    let files = files(&path).map_err(reading)?;
    let hash = Sha256::digest(format!("{FINGERPRINT} {dtype} {path:?} {files:?}"));
    let key: String = hash[..KEY_LENGTH]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(NAME_LENGTH).collect();
    Ok(format!("{name}-{dtype}-{key}"))
}

/// Path, length and time of change of every file of a checkpoint and of its VAE's folder, in order.
fn files(checkpoint: &Path) -> io::Result<Vec<(PathBuf, u64, SystemTime)>> {
    let mut entries: Vec<_> = fs::read_dir(checkpoint)?.collect();
    let vae = checkpoint.join(VAE);
    if vae.is_dir() {
        entries.extend(fs::read_dir(vae)?);
    }
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Links are followed: a hub's cache is made of them.
        let metadata = fs::metadata(entry.path())?;
        if metadata.is_file() {
            files.push((entry.path(), metadata.len(), metadata.modified()?));
        }
    }
    files.sort();
    Ok(files)
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    |source| Failure::Write {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_its_target() {
        for target in Target::ALL {
            let provider: ExecutionProvider = target.name().parse().unwrap();
            assert_eq!(super::target(provider), target);
        }
    }

    #[test]
    fn a_changed_checkpoint_has_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = dir.path().join("Janus-Pro-1B");
        fs::create_dir(&checkpoint).unwrap();
        fs::write(checkpoint.join("config.json"), "{}").unwrap();
        let name = |dtype| export_name(&checkpoint, dtype).unwrap();
        let first = name(DType::Fp32);
        assert!(first.starts_with("Janus-Pro-1B-fp32-"), "{first}");
        assert_eq!(first, name(DType::Fp32));
        assert_ne!(first, name(DType::Fp16));
        fs::write(checkpoint.join("config.json"), "{ }").unwrap();
        let second = name(DType::Fp32);
        assert_ne!(first, second);
        fs::create_dir(checkpoint.join(VAE)).unwrap();
        fs::write(checkpoint.join(VAE).join("config.json"), "{}").unwrap();
        assert_ne!(second, name(DType::Fp32));
    }

    #[test]
    fn names_stay_short_enough_for_a_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = dir.path().join("ü".repeat(120));
        fs::create_dir(&checkpoint).unwrap();
        assert!(export_name(&checkpoint, DType::Fp16).unwrap().len() < 200);
    }
}
