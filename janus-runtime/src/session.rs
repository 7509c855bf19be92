//! The only place where sessions are built.

use std::path::Path;

use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};

use crate::contract::GraphKind;
use crate::error::{Error, Result};
use crate::library::environment;
use crate::placement::{Placement, RECORD};
use crate::provider::ExecutionProvider;

/// How graphs are opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionOptions {
    /// Where they run.
    pub provider: ExecutionProvider,
    /// Whether nodes that the provider has no kernels for may run on the CPU. Otherwise a graph
    /// with such nodes is not opened.
    pub allow_fallback: bool,
}

impl SessionOptions {
    /// Graphs run on `provider`, and nowhere else.
    pub fn on(provider: ExecutionProvider) -> Self {
        Self {
            provider,
            allow_fallback: false,
        }
    }
}

/// Opens the graph at `path`, and tells where its nodes are.
pub(crate) fn open(
    path: &Path,
    graph: GraphKind,
    options: &SessionOptions,
) -> Result<(Session, Placement)> {
    let session = build(path, graph, options)?;
    let placement = Placement::of(&session).map_err(|source| Error::Placement { graph, source })?;
    tracing::info!("graph `{graph}`: nodes on {placement}");
    match placement.check(graph, options.provider) {
        Err(error) if options.allow_fallback => tracing::warn!("{error}"),
        checked => checked?,
    }
    Ok((session, placement))
}

fn build(path: &Path, graph: GraphKind, options: &SessionOptions) -> Result<Session> {
    let provider = options.provider;
    let environment = environment()?;
    let dispatches = provider.dispatches()?;
    let mut builder =
        configure(Session::builder(environment), options).map_err(|source| Error::SetUp {
            graph,
            provider,
            source,
        })?;
    if !dispatches.is_empty() {
        builder = builder
            .with_execution_providers(dispatches)
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
        .with_config_entry("session.use_device_allocator_for_initializers", "1")?
        .with_config_entry(RECORD, "1")?;
    if options.provider == ExecutionProvider::Cpu {
        // The default policy may choose another device where one is found.
        builder = builder.with_auto_device(AutoDevicePolicy::PreferCPU)?;
    }
    Ok(builder)
}
