//! Models that the converter makes from checkpoints of the repository, once per build.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use janus_convert::{CACHE_SIZES, ConvertOptions, Target};
use janus_install::Request;
use janus_runtime::LibraryOptions;
use janus_runtime::manifest::{DType, Operators};

use crate::golden::Golden;

/// Finds the ONNX Runtime library, or fetches it, and loads it for this process.
pub fn load_library() {
    static LOADED: OnceLock<()> = OnceLock::new();
    LOADED.get_or_init(|| {
        let library = janus_install::ensure(&Request::from_env(), &|_| {})
            .unwrap_or_else(|e| panic!("{}", chain(&e)));
        janus_runtime::load_library(&library.path, &LibraryOptions::default())
            .unwrap_or_else(|e| panic!("{}", chain(&e)));
    });
}

/// A file or folder of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

/// An export of one of the three forms of `tests/data/janus-tiny`.
pub fn tiny_model(form: &str, dtype: DType) -> PathBuf {
    exported(
        &data("janus-tiny").join(form),
        &format!("tiny-{form}"),
        dtype,
    )
}

/// What the official code computed from those weights.
pub fn tiny_golden() -> Golden {
    Golden::read(&data("janus-tiny/golden.safetensors"))
}

/// An export of `tests/data/janusflow-tiny`.
pub fn tiny_flow(dtype: DType) -> PathBuf {
    let folder = data("janusflow-tiny");
    let options = ConvertOptions {
        vae: Some(folder.join("sdxl-vae")),
        ..ConvertOptions::in_precision(dtype)
    };
    exported_by(&options, &folder.join("released"), "tiny-flow", dtype)
}

/// What the official code computed from those weights.
pub fn flow_golden() -> Golden {
    Golden::read(&data("janusflow-tiny/golden.safetensors"))
}

/// An export of a checkpoint in 32 bits, in the standard's operators and fixed sizes.
pub fn standard_model(checkpoint: &Path, vae: Option<PathBuf>, name: &str) -> PathBuf {
    standard_model_with(&CACHE_SIZES, checkpoint, vae, &format!("{name}-standard"))
}

/// As [`standard_model`] with caches of other sizes.
pub fn standard_model_with(
    cache_sizes: &[usize],
    checkpoint: &Path,
    vae: Option<PathBuf>,
    name: &str,
) -> PathBuf {
    let options = ConvertOptions {
        operators: Operators::Standard,
        cache_sizes: cache_sizes.to_vec(),
        vae,
        ..ConvertOptions::default()
    };
    let sizes: Vec<_> = cache_sizes.iter().map(usize::to_string).collect();
    let name = format!("{name}-standard-{}", sizes.join("-"));
    exported_by(&options, checkpoint, &name, DType::Fp32)
}

/// An export of a checkpoint for CUDA, in a precision of 16 bits.
pub fn cuda_model(checkpoint: &Path, vae: Option<PathBuf>, name: &str, dtype: DType) -> PathBuf {
    let options = ConvertOptions {
        operators: Target::Cuda.operators(dtype),
        activations: Target::Cuda.activations(dtype),
        vae,
        ..ConvertOptions::in_precision(dtype)
    };
    exported_by(&options, checkpoint, &format!("{name}-cuda"), dtype)
}

/// The checkpoint of the demo model.
pub fn demo_checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/demo-model/checkpoint")
}

/// An export of the demo model.
pub fn demo_model() -> PathBuf {
    demo_model_in(DType::Fp32)
}

/// An export of the demo model in a precision.
pub fn demo_model_in(dtype: DType) -> PathBuf {
    exported(&demo_checkpoint(), "demo", dtype)
}

/// An export of the small JanusFlow that is trained on the demo model's world.
pub fn demo_flow() -> PathBuf {
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/demo-flow/checkpoint");
    let options = ConvertOptions {
        vae: Some(checkpoint.join("vae")),
        ..ConvertOptions::default()
    };
    exported_by(&options, &checkpoint, "demo-flow", DType::Fp32)
}

fn exported(checkpoint: &Path, name: &str, dtype: DType) -> PathBuf {
    exported_by(
        &ConvertOptions::in_precision(dtype),
        checkpoint,
        name,
        dtype,
    )
}

/// Converts `checkpoint` unless this converter has done so before.
///
/// Documentation tests are a process each, so the export is kept in the build directory, under
/// the fingerprint of the converter that made it.
fn exported_by(options: &ConvertOptions, checkpoint: &Path, name: &str, dtype: DType) -> PathBuf {
    let root = build_dir()
        .join("janus-tests")
        .join(janus_convert::FINGERPRINT);
    std::fs::create_dir_all(&root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    let out = root.join(format!("{name}-{dtype}-{}", newest(checkpoint)));
    let lock = std::fs::File::create(root.join(format!("{name}-{dtype}.lock"))).expect("a lock");
    lock.lock().expect("the lock");
    if !out.exists() {
        janus_convert::convert(checkpoint, &out, options)
            .unwrap_or_else(|e| panic!("{}: {}", checkpoint.display(), chain(&e)));
    }
    out
}

fn build_dir() -> PathBuf {
    // Tests and documentation tests run from below the build directory.
    let exe = std::env::current_exe().expect("a program");
    let target = exe
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists());
    target.map_or_else(std::env::temp_dir, Path::to_owned)
}

/// When the checkpoint's files were last changed, in seconds: a new one is converted anew.
fn newest(checkpoint: &Path) -> u64 {
    let files =
        std::fs::read_dir(checkpoint).unwrap_or_else(|e| panic!("{}: {e}", checkpoint.display()));
    files
        .filter_map(|file| file.ok()?.metadata().ok()?.modified().ok())
        .filter_map(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|age| age.as_secs())
        .max()
        .unwrap_or(0)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
