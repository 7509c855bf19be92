//! A conversion from beginning to end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use janus_runtime::manifest::{Converter, DType, FORMAT_VERSION, Family, Source};
use janus_runtime::{GraphKind, Manifest};

use crate::checkpoint::Checkpoint;
use crate::config::tokens::Vocabulary;
use crate::config::{ConfigFile, Sizes, chat, preprocessor};
use crate::error::{Error, Result};
use crate::export::{self, Export};
use crate::module::Module;
use crate::networks::{self, IGNORED};
use crate::notice;
use crate::onnx::{GraphFile, OPSET};
use crate::progress::{Meter, Progress};
use crate::recipe::Recipe;

/// How to convert.
#[derive(Clone, Copy, Debug)]
pub struct ConvertOptions {
    /// Precision of the weights.
    pub dtype: DType,
    /// Which model of the family it is, where that is known better than the files tell.
    pub family: Option<Family>,
    /// Whether an export that stands at the target may be replaced. It stays until the new one is
    /// complete.
    pub replace: bool,
    /// Whether numbers in `config.json` of which nothing is known are noted in the manifest
    /// rather than refused. They might change what the model computes.
    pub allow_unknown: bool,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            dtype: DType::Fp32,
            family: None,
            replace: false,
            allow_unknown: false,
        }
    }
}

/// Converts the checkpoint in `released` to an export at `out`.
///
/// # Errors
///
/// If a file is missing, damaged or of another model, if a tensor is missing, unknown or of
/// another shape, if a setting is not supported, if something stands at `out` already, or if the
/// export cannot be written. Nothing is left then.
pub fn convert(released: &Path, out: &Path, options: &ConvertOptions) -> Result<Manifest> {
    convert_with_progress(released, out, options, &mut |_| ControlFlow::Continue(()))
}

/// As [`convert`]. `progress` is called several times a second and can end the conversion.
///
/// # Errors
///
/// Those of [`convert`], and [`Error::Cancelled`].
pub fn convert_with_progress(
    released: &Path,
    out: &Path,
    options: &ConvertOptions,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Manifest> {
    let released = &released.canonicalize().map_err(|source| Error::ReadFile {
        path: released.to_owned(),
        source,
    })?;
    let config = ConfigFile::read(released, options.allow_unknown)?;
    let checkpoint = Arc::new(Checkpoint::open(released)?);
    let model = Module::root(&checkpoint, config.layout(), Recipe::cpu(options.dtype));
    let sizes = config.sizes(&model)?;
    let graphs = networks::graphs(&model, &sizes)?;
    checkpoint.expect_all_used(&IGNORED)?;
    let mut manifest = describe(released, options, &config, sizes, &graphs)?;
    manifest.source.notes.extend(config.notes(&model)?);
    manifest.source.notes.extend_from_slice(checkpoint.notes());
    let beside = notice::files(released)?;

    let mut export = Export::create(out, released, options.replace)?;
    let weights = graphs.iter().map(|(_, graph)| graph.data_bytes()).sum();
    export.expect_room(weights)?;
    let mut meter = Meter::new(&checkpoint, weights, progress);
    manifest.source.files = meter.hash(&checkpoint)?;
    for (kind, graph) in &graphs {
        export.graph(graph, &mut |bytes| meter.wrote(*kind, bytes))?;
    }
    for (name, bytes) in beside {
        export.file(&name, &bytes)?;
    }
    manifest
        .source
        .notes
        .extend(checkpoint.doubtful().iter().map(ToString::to_string));
    manifest.files = export.files().clone();
    export.finish(&manifest)?;
    Ok(manifest)
}

/// The manifest, but for the files and what is known only when they are written.
fn describe(
    released: &Path,
    options: &ConvertOptions,
    config: &ConfigFile,
    sizes: Sizes,
    graphs: &[(GraphKind, GraphFile)],
) -> Result<Manifest> {
    let vocabulary = Vocabulary::read(released, sizes.language.vocab_size)?;
    config.check_tokens(vocabulary.special())?;
    let root = config.root();
    let (family, evidence) = chat::family(
        released,
        options.family,
        &root,
        &sizes.language,
        &vocabulary,
    )?;
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        family,
        source: Source {
            layout: config.layout(),
            files: BTreeMap::new(),
            notes: vec![format!("taken for {family}: {evidence}")],
        },
        converter: Converter {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            opset: OPSET,
            dtype: options.dtype,
        },
        vision: preprocessor::read(released, &sizes.siglip)?,
        language: sizes.language,
        vq: sizes.vq,
        tokens: vocabulary.special().clone(),
        chat: chat::chat(released, family)?,
        generation: chat::generation(released)?,
        graphs: export::entries(graphs),
        files: BTreeMap::new(),
    })
}
