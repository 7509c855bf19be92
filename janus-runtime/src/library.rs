//! The ONNX Runtime library: loaded once, for the whole process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use ort::environment::{Environment, GlobalThreadPoolOptions};

use crate::error::{Error, Result};

/// The library in use and the environment that every session shares.
struct Loaded {
    path: PathBuf,
    environment: Environment,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();
/// ONNX Runtime allows one environment per process, so only one thread may try to make it.
static LOADING: Mutex<()> = Mutex::new(());

/// How the library is set up.
#[derive(Clone, Debug, Default)]
pub struct LibraryOptions {
    /// Threads that one operator may use; all cores if none is given.
    ///
    /// The graphs of a model take turns within every step, so they share one pool: with a pool
    /// each, the threads of one would spin on the cores that the next one needs.
    pub threads: Option<usize>,
}

/// Loads the ONNX Runtime library at `path`.
///
/// A process has one library. Loading the same one again does nothing, another is
/// [`Error::LibraryInUse`].
pub fn load_library(path: &Path, options: &LibraryOptions) -> Result<()> {
    let _turn = LOADING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(loaded) = LOADED.get() {
        if loaded.path == path {
            return Ok(());
        }
        return Err(Error::LibraryInUse {
            path: loaded.path.clone(),
        });
    }
    let environment = open(path, options).map_err(|source| Error::LoadLibrary {
        path: path.to_owned(),
        source,
    })?;
    // The lock above makes this the only writer.
    let _ = LOADED.set(Loaded {
        path: path.to_owned(),
        environment,
    });
    Ok(())
}

/// What the loaded library says of itself: version, commit, build flags.
pub fn library_info() -> Result<&'static str> {
    environment()?;
    Ok(ort::info())
}

/// The library in use.
pub fn library_path() -> Option<&'static Path> {
    LOADED.get().map(|loaded| loaded.path.as_path())
}

/// Providers that the loaded library was built with, as ONNX Runtime names them.
pub fn library_providers() -> Result<Vec<&'static str>> {
    use ort::ep::{self, ExecutionProvider as _};
    environment()?;
    let available = [
        (ep::CPU::NAME, ep::CPU::is_available()),
        (ep::CUDA::NAME, ep::CUDA::is_available()),
        (ep::TensorRT::NAME, ep::TensorRT::is_available()),
        (ep::DirectML::NAME, ep::DirectML::is_available()),
        (ep::CoreML::NAME, ep::CoreML::is_available()),
        (ep::OpenVINO::NAME, ep::OpenVINO::is_available()),
        (ep::WebGPU::NAME, ep::WebGPU::is_available()),
    ];
    Ok(available
        .into_iter()
        .filter(|(_, is)| matches!(is, Ok(true)))
        .map(|(n, _)| n)
        .collect())
}

pub(crate) fn environment() -> Result<&'static Environment> {
    LOADED
        .get()
        .map(|loaded| &loaded.environment)
        .ok_or(Error::NoLibrary)
}

type LoadError = Box<dyn std::error::Error + Send + Sync>;

fn open(path: &Path, options: &LibraryOptions) -> Result<Environment, LoadError> {
    // A relative path would be looked for beside the executable first. The library has to be
    // loaded before anything else of ONNX Runtime is touched.
    let builder = ort::init_from(std::path::absolute(path)?)?;
    let mut pool = GlobalThreadPoolOptions::default();
    if let Some(threads) = options.threads {
        pool = pool.with_intra_threads(threads)?;
    }
    Ok(builder
        .with_name("janus")
        .with_telemetry(false)
        .with_global_thread_pool(pool)
        .build()?)
}
