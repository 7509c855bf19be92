//! What commands share: the settings, the library, the cache.

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use janus_install::{Flavour, Library, Progress as Step, Request};
use janus_runtime::{ExecutionProvider, LibraryOptions, SessionOptions, load_library};
use tracing_subscriber::EnvFilter;

use crate::args::Global;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;

/// What commands share.
pub(crate) struct Context {
    pub(crate) global: Global,
    library: OnceCell<Library>,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self {
            global,
            library: OnceCell::new(),
        }
    }

    /// How graphs are opened. The library is loaded, and fetched before that where there is none.
    pub(crate) fn session_options(&self) -> anyhow::Result<SessionOptions> {
        self.load_library()?;
        Ok(SessionOptions {
            provider: self.global.on,
            allow_fallback: self.global.allow_fallback,
            settings: self.global.provider_option.iter().cloned().collect(),
            cache: self.compiled()?,
        })
    }

    /// Where providers keep what they compile, made if the provider in use compiles; without a cache
    /// they compile at every start.
    fn compiled(&self) -> anyhow::Result<Option<PathBuf>> {
        use ExecutionProvider::{CoreMl, OpenVino, TensorRt};
        if !matches!(self.global.on, TensorRt { .. } | CoreMl | OpenVino) {
            return Ok(None);
        }
        let folder = self
            .cache()?
            .join("compiled")
            .join(self.global.on.to_string().replace(':', "-"));
        fs::create_dir_all(&folder).map_err(|source| Failure::Write {
            path: folder.clone(),
            source,
        })?;
        Ok(Some(folder))
    }

    /// The ONNX Runtime library, loaded.
    pub(crate) fn load_library(&self) -> anyhow::Result<&Library> {
        if let Some(library) = self.library.get() {
            return Ok(library);
        }
        let library = self.find_library()?;
        load_library(&library.path, &self.library_options())?;
        self.remark(format!("ONNX Runtime: {}", library.path.display()));
        Ok(self.library.get_or_init(|| library))
    }

    /// The ONNX Runtime library, found or fetched, but not loaded.
    pub(crate) fn find_library(&self) -> janus_install::Result<Library> {
        self.fetching(|tell| janus_install::ensure(&self.request(), tell))
    }

    /// How the library is set up.
    pub(crate) fn library_options(&self) -> LibraryOptions {
        LibraryOptions {
            threads: self.global.threads.map(usize::from),
        }
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

    /// Where the library and converted models are kept.
    pub(crate) fn cache(&self) -> Result<PathBuf, janus_install::Error> {
        self.request().cache.ok_or(janus_install::Error::NoCache)
    }

    /// Runs something that may fetch a library, and shows how far it is.
    pub(crate) fn fetching<T>(
        &self,
        work: impl FnOnce(&dyn Fn(Step<'_>)) -> janus_install::Result<T>,
    ) -> janus_install::Result<T> {
        let bar: RefCell<Option<Progress>> = RefCell::new(None);
        work(&|step| {
            let mut bar = bar.borrow_mut();
            let bar = bar.get_or_insert_with(|| {
                self.note("fetching the ONNX Runtime library, once");
                Progress::bytes("fetching", self)
            });
            show(bar, step);
        })
    }

    /// A line on standard error, unless nothing is wanted there.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if !self.global.quiet {
            output::note(text);
        }
    }

    /// A line on standard error for those who want to know more.
    pub(crate) fn remark(&self, text: impl std::fmt::Display) {
        if self.global.verbose {
            output::note(text);
        }
    }
}

/// Sends what is logged to standard error: everything to those who want to know more, otherwise
/// what the user should know of where graphs run. A process calls this once.
pub(crate) fn listen(global: &Global) {
    let log = tracing_subscriber::fmt()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    if global.verbose {
        log.with_env_filter(EnvFilter::new("info")).init();
    } else if !global.quiet {
        let warnings = EnvFilter::new("janus_runtime=warn");
        let log = log.without_time().with_target(false);
        log.with_env_filter(warnings).init();
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

fn show(bar: &mut Progress, step: Step<'_>) {
    match step {
        Step::Waiting { lock } => bar.describe(&format!(
            "waiting for another install (`{}`)",
            lock.display()
        )),
        Step::Fetching {
            file,
            received,
            total,
        } => {
            bar.set(received, total);
            bar.describe(&format!("fetching {file}"));
        }
        Step::Unpacking { file } => bar.describe(&format!("unpacking {file}")),
        _ => {}
    }
}
