//! The only place where sessions are built.

use std::path::Path;

use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};

use crate::contract::GraphKind;
use crate::error::{Error, Result};
use crate::library::environment;
use crate::provider::ExecutionProvider;

/// How graphs are opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionOptions {
    /// Where they run.
    pub provider: ExecutionProvider,
}

impl SessionOptions {
    /// Graphs run on `provider`.
    pub fn on(provider: ExecutionProvider) -> Self {
        Self { provider }
    }
}

/// Opens the graph at `path`.
pub(crate) fn open(path: &Path, graph: GraphKind, options: &SessionOptions) -> Result<Session> {
    let provider = options.provider;
    let environment = environment()?;
    let dispatch = provider.dispatch()?;
    let mut builder =
        configure(Session::builder(environment), options).map_err(|source| Error::SetUp {
            graph,
            provider,
            source,
        })?;
    if let Some(dispatch) = dispatch {
        builder = builder
            .with_execution_providers([dispatch])
            .map_err(|e| Error::SetUp {
                graph,
                provider,
                source: e.into(),
            })?;
    }
    builder
        .commit_from_file(path)
        .map_err(|source| Error::OpenGraph {
            graph,
            provider,
            source,
        })
}

fn configure(
    builder: ort::Result<SessionBuilder>,
    options: &SessionOptions,
) -> ort::Result<SessionBuilder> {
    let mut builder = builder?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // Sequence lengths differ from run to run, which a remembered memory plan does not suit.
        .with_memory_pattern(false)?
        // Weights would otherwise grow the arena, which never gives memory back.
        .with_config_entry("session.use_device_allocator_for_initializers", "1")?;
    if options.provider == ExecutionProvider::Cpu {
        // The default policy may choose another device where one is found.
        builder = builder.with_auto_device(AutoDevicePolicy::PreferCPU)?;
    }
    Ok(builder)
}
