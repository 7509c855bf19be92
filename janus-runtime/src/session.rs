//! The only place where sessions are built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};

use sha2::{Digest, Sha256};

use crate::contract::{GraphKind, tensors};
use crate::error::{Error, Result};
use crate::library::environment;
use crate::manifest::GraphEntry;
use crate::model_dir::hexadecimal;
use crate::placement::{Placement, RECORD};
use crate::provider::ExecutionProvider;
use crate::registration::dispatches;

/// How graphs are opened.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// Where they run.
    pub provider: ExecutionProvider,
    /// Whether nodes that the provider has no kernels for may run on the CPU. Otherwise a graph
    /// with such nodes is not opened.
    pub allow_fallback: bool,
    /// Settings of the provider, by the names that ONNX Runtime has for them, such as
    /// `gpu_mem_limit` of CUDA. They come after those that are made here. CoreML's are checked, names
    /// and values.
    pub settings: BTreeMap<String, String>,
    /// Where providers that compile graphs (TensorRT, CoreML, OpenVINO) keep what they made of
    /// them; they compile anew at every start if there is no such directory.
    pub cache: Option<PathBuf>,
}

impl SessionOptions {
    /// Graphs run on `provider`, and nowhere else.
    pub fn on(provider: ExecutionProvider) -> Self {
        Self {
            provider,
            ..Self::default()
        }
    }

    /// Whether steps of the transformer are captured once by the provider and replayed from then on, as its
    /// own setting says: `enable_cuda_graph` of CUDA, `enableGraphCapture` of WebGPU.
    ///
    /// # Errors
    ///
    /// [`Error::ProviderSettingValue`] where the setting is neither `0` nor `1`.
    pub fn captures(&self) -> Result<bool> {
        let key = self.provider.capture_setting();
        let setting = key.and_then(|key| self.settings.get_key_value(key));
        match setting.map(|(key, value)| (key, value.as_str())) {
            None | Some((_, "0")) => Ok(false),
            Some((_, "1")) => Ok(true),
            Some((key, value)) => Err(Error::ProviderSettingValue {
                provider: self.provider,
                key: key.clone(),
                value: value.to_owned(),
                expected: "0, 1".to_owned(),
            }),
        }
    }

    /// As these, for a graph. Only steps of the transformer are captured: what is replayed works on the
    /// addresses that it was captured with, and the tensors of other graphs come and go.
    fn for_graph(&self, graph: GraphKind, entry: &GraphEntry) -> Result<Self> {
        let mut options = self.clone();
        if self.captures()? {
            let keeps_cache = || {
                let has = |name| entry.inputs.iter().any(|spec| spec.name == name);
                self.provider.memory().is_some() && has(tensors::SEQLENS_K)
            };
            match graph {
                GraphKind::LanguageModel if keeps_cache() => {}
                GraphKind::LanguageModel | GraphKind::LanguageModelBucket(_) => {
                    return Err(Error::CannotCapture {
                        graph,
                        provider: self.provider,
                    });
                }
                _ => {
                    if let Some(key) = self.provider.capture_setting() {
                        options.settings.remove(key);
                    }
                }
            }
        }
        Ok(options)
    }

    /// As these, for a graph of these contents. CoreML finds what it compiled by the path of a graph,
    /// whatever is in it, so each graph and each choice of settings gets a folder of its own.
    pub(crate) fn for_contents(&self, sha256: &str) -> Self {
        let mut options = self.clone();
        if self.provider == ExecutionProvider::CoreMl {
            let mut hash = Sha256::new_with_prefix(sha256);
            for (key, value) in &self.settings {
                hash.update(format!("\n{key}={value}"));
            }
            let name = hexadecimal(&hash.finalize()[..8]);
            options.cache = self.cache.as_ref().map(|cache| cache.join(name));
        }
        options
    }
}

/// Opens the graph at `path`, and tells where its nodes are.
pub(crate) fn open(
    path: &Path,
    (graph, entry): (GraphKind, &GraphEntry),
    options: &SessionOptions,
) -> Result<(Session, Placement)> {
    let mut builder = builder((graph, entry), options)?;
    opened(builder.commit_from_file(path), graph, options)
}

/// Opens a graph whose weights lie in `folder`, and tells where its nodes are.
pub(crate) fn open_bytes(
    bytes: &[u8],
    folder: &Path,
    (graph, entry): (GraphKind, &GraphEntry),
    options: &SessionOptions,
) -> Result<(Session, Placement)> {
    let folder = std::path::absolute(folder).map_err(|source| Error::ReadFile {
        path: folder.to_owned(),
        source,
    })?;
    let key = "session.model_external_initializers_file_folder_path";
    let placed = builder((graph, entry), options)?.with_config_entry(key, folder.to_string_lossy());
    let mut builder = placed.map_err(|e| Error::SetUp {
        graph,
        provider: options.provider,
        source: e.into(),
    })?;
    opened(builder.commit_from_memory(bytes), graph, options)
}

/// Opens a graph that was built in memory, and is none of an export's.
pub(crate) fn open_edited(
    model: ort::editor::Model,
    provider: ExecutionProvider,
) -> ort::Result<Session> {
    let options = SessionOptions::on(provider);
    let environment = environment().map_err(ort::Error::wrap)?;
    let dispatches = dispatches(&options, &GraphEntry::default()).map_err(ort::Error::wrap)?;
    let mut builder = configure(Session::builder(environment), &options)?;
    if !dispatches.is_empty() {
        builder = builder.with_execution_providers(dispatches)?;
    }
    model.into_session(&builder)
}

/// A session, if its nodes are where they were asked to be.
fn opened(
    session: ort::Result<Session>,
    graph: GraphKind,
    options: &SessionOptions,
) -> Result<(Session, Placement)> {
    let session = session.map_err(|source| Error::OpenGraph {
        graph,
        provider: options.provider,
        source,
    })?;
    let placement = Placement::of(&session).map_err(|source| Error::Placement { graph, source })?;
    tracing::info!("graph `{graph}`: nodes on {placement}");
    match placement.check(graph, options.provider) {
        Err(error) if options.allow_fallback => tracing::warn!("{error}"),
        checked => checked?,
    }
    Ok((session, placement))
}

/// What every session is built with.
fn builder(
    (graph, entry): (GraphKind, &GraphEntry),
    options: &SessionOptions,
) -> Result<SessionBuilder> {
    let provider = options.provider;
    let options = &options.for_graph(graph, entry)?;
    let environment = environment()?;
    let dispatches = dispatches(options, entry)?;
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
    Ok(builder)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Dim, ElementType, TensorSpec};

    #[test]
    fn only_steps_on_a_cache_of_the_device_are_captured() {
        let with = |provider, key: &str, value: &str| SessionOptions {
            settings: [(key.to_owned(), value.to_owned())].into(),
            ..SessionOptions::on(provider)
        };
        let cuda = ExecutionProvider::Cuda { device: 0 };
        let capture = with(cuda, "enable_cuda_graph", "1");
        let in_place = GraphEntry {
            inputs: vec![TensorSpec {
                name: tensors::SEQLENS_K.to_owned(),
                dtype: ElementType::I32,
                shape: vec![Dim::Named("batch".to_owned())],
            }],
            ..GraphEntry::default()
        };
        let is_set = |options: &SessionOptions, kind, entry| {
            let options = options.for_graph(kind, entry);
            options.map(|it| it.captures()).and_then(|it| it)
        };
        assert!(is_set(&capture, GraphKind::LanguageModel, &in_place).unwrap());
        assert!(!is_set(&capture, GraphKind::LmHead, &in_place).unwrap());
        let outside = GraphEntry::default();
        let refused = |options: &SessionOptions, entry| {
            let found = is_set(options, GraphKind::LanguageModel, entry);
            found.map_err(|error| error.to_string())
        };
        assert_eq!(
            refused(&capture, &outside).unwrap_err(),
            "graph `language_model` cannot be captured: it works on no cache in the memory of `cuda:0`"
        );
        let tensorrt = ExecutionProvider::TensorRt { device: 0 };
        let tensorrt = with(tensorrt, "trt_cuda_graph_enable", "1");
        assert!(refused(&tensorrt, &in_place).is_err());
        let off = with(cuda, "enable_cuda_graph", "0");
        assert_eq!(refused(&off, &outside), Ok(false));
        let unclear = with(cuda, "enable_cuda_graph", "true");
        assert_eq!(
            refused(&unclear, &in_place).unwrap_err(),
            "`cuda:0` has no value `true` for `enable_cuda_graph`; there are 0, 1"
        );
    }

    #[test]
    fn what_coreml_compiles_is_kept_by_contents_and_settings() {
        let on = |provider, units: &str| SessionOptions {
            settings: [("MLComputeUnits".to_owned(), units.to_owned())].into(),
            cache: Some(PathBuf::from("kept")),
            ..SessionOptions::on(provider)
        };
        let folder = |units, contents| {
            let options = on(ExecutionProvider::CoreMl, units).for_contents(contents);
            options.cache.unwrap()
        };
        let first = folder("ALL", "ab");
        assert_eq!(first, folder("ALL", "ab"));
        assert!(first.starts_with("kept") && first != Path::new("kept"));
        assert_ne!(first, folder("ALL", "cd"));
        assert_ne!(first, folder("CPUOnly", "ab"));
        let other = on(ExecutionProvider::OpenVino, "ALL").for_contents("ab");
        assert_eq!(other.cache, Some(PathBuf::from("kept")));
    }
}
