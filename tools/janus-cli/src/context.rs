//! What commands share: the settings, the library, the cache.

use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;

use anyhow::Context as _;
use janus_install::{Flavour, Library, Request};
use janus_runtime::{ExecutionProvider, LibraryOptions, SessionOptions, load_library};

use crate::args::Global;
use crate::output;
use crate::progress::Progress;

/// What commands share.
pub(crate) struct Context {
    pub(crate) global: Global,
    library: OnceCell<Library>,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        if global.verbose {
            tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::new("info"))
                .with_writer(std::io::stderr)
                .init();
        }
        Self {
            global,
            library: OnceCell::new(),
        }
    }

    /// How graphs are opened. The library is loaded, and fetched before that where there is none.
    pub(crate) fn session_options(&self) -> anyhow::Result<SessionOptions> {
        self.load()?;
        Ok(SessionOptions::on(self.global.on))
    }

    /// The library, loaded.
    pub(crate) fn load(&self) -> anyhow::Result<&Library> {
        if let Some(library) = self.library.get() {
            return Ok(library);
        }
        let library = fetching(self.global.quiet, |progress| {
            janus_install::ensure(&self.request(), progress)
        })?;
        let threads = self.global.threads.map(usize::from);
        load_library(&library.path, &LibraryOptions { threads })?;
        Ok(self.library.get_or_init(|| library))
    }

    /// What the library is looked for by.
    pub(crate) fn request(&self) -> Request {
        let mut request = Request::from_env();
        if let Some(flavour) = flavour(self.global.on) {
            request = request.flavour(flavour);
        }
        if let Some(library) = &self.global.runtime_library {
            request = request.library(library);
        }
        if let Some(cache) = &self.global.cache {
            request = request.cache(cache);
        }
        request
    }

    /// Where things are kept between runs.
    pub(crate) fn cache(&self) -> anyhow::Result<PathBuf> {
        self.request()
            .cache
            .context("this user has no cache directory; name one with --cache")
    }

    /// A line on standard error, unless nothing is wanted there.
    pub(crate) fn note(&self, text: &str) {
        if !self.global.quiet {
            output::note(text);
        }
    }
}

/// The flavour whose library has a provider; none for the CPU, which every one has.
pub(crate) fn flavour(provider: ExecutionProvider) -> Option<Flavour> {
    match provider {
        ExecutionProvider::Cuda { .. } | ExecutionProvider::TensorRt { .. } => Some(Flavour::Cuda),
        ExecutionProvider::DirectMl { .. } => Some(Flavour::DirectMl),
        ExecutionProvider::CoreMl => Some(Flavour::CoreMl),
        ExecutionProvider::OpenVino => Some(Flavour::OpenVino),
        ExecutionProvider::WebGpu => Some(Flavour::WebGpu),
        _ => None,
    }
}

/// Runs something that may fetch a library, and shows how far it is.
pub(crate) fn fetching<T>(
    quiet: bool,
    work: impl FnOnce(&dyn Fn(janus_install::Progress<'_>)) -> janus_install::Result<T>,
) -> janus_install::Result<T> {
    use janus_install::Progress as Step;
    let bar: RefCell<Option<Progress>> = RefCell::new(None);
    work(&|step| {
        let mut bar = bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| Progress::bytes("ONNX Runtime", 0, quiet));
        match step {
            Step::Waiting { .. } => bar.describe("waiting for another install"),
            Step::Fetching {
                file,
                received,
                total,
            } => {
                bar.describe(&format!("fetching {file}"));
                bar.set_total(total);
                bar.set(received);
            }
            Step::Unpacking { file } => bar.describe(&format!("unpacking {file}")),
            _ => {}
        }
    })
}
