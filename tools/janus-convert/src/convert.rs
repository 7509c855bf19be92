//! A conversion from beginning to end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use janus_runtime::manifest::{Converter, DType, FORMAT_VERSION, Family, FileEntry, Source};
use janus_runtime::{GraphKind, Manifest};

use crate::checkpoint::{Checkpoint, FileDigest};
use crate::config::tokens::Vocabulary;
use crate::config::{ConfigFile, Sizes, chat, preprocessor};
use crate::error::{Error, Result};
use crate::export::{self, Export};
use crate::module::Module;
use crate::networks::{self, IGNORED};
use crate::notice;
use crate::onnx::{GraphFile, OPSET};
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
}

/// How far a conversion has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes of this stage and those before that are done.
    pub done: u64,
    /// Bytes of all stages.
    pub total: u64,
}

/// What a conversion is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the released weights for their hashes.
    Hashing,
    /// Writing a graph.
    Writing(GraphKind),
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
    let config = ConfigFile::read(released)?;
    let checkpoint = Arc::new(Checkpoint::open(released)?);
    let model = Module::root(&checkpoint, config.layout(), Recipe::cpu(options.dtype));
    let sizes = config.sizes(&model)?;
    let graphs = networks::graphs(&model, &sizes)?;
    checkpoint.expect_all_used(&IGNORED)?;
    let mut description = describe(released, options, &config, sizes, &graphs)?;

    let mut export = Export::create(out, released, options.replace)?;
    let weights = graphs.iter().map(|(_, graph)| graph.data_bytes()).sum();
    export.expect_room(weights)?;
    let mut meter = Meter::new(&checkpoint, weights, progress);

    let hashes = checkpoint.sha256_files(|read, _| meter.hashed(read))?;
    if meter.cancelled {
        return Err(Error::Cancelled);
    }
    for file in hashes {
        let FileDigest { name, size, sha256 } = file;
        description.source.files.insert(
            name,
            FileEntry {
                bytes: size,
                sha256,
            },
        );
    }
    for (kind, graph) in &graphs {
        export.graph(graph, &mut |bytes| meter.wrote(*kind, bytes))?;
    }
    for (name, bytes) in notice::files(released)? {
        export.file(&name, &bytes)?;
    }
    description
        .source
        .notes
        .extend(checkpoint.notes().iter().cloned());
    description
        .source
        .notes
        .extend(checkpoint.doubtful().iter().map(ToString::to_string));
    description.files = export.files().clone();
    export.finish(&description)?;
    Ok(description)
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

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            dtype: DType::Fp32,
            family: None,
            replace: false,
        }
    }
}

/// Adds up what has been done, and asks whether to go on.
struct Meter<'p> {
    progress: &'p mut dyn FnMut(Progress) -> ControlFlow<()>,
    hashed: u64,
    written: u64,
    total: u64,
    cancelled: bool,
}

impl<'p> Meter<'p> {
    fn new(
        checkpoint: &Checkpoint,
        weights: u64,
        progress: &'p mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Self {
        let sources: u64 = checkpoint
            .source_files()
            .iter()
            .map(|file| file.size())
            .sum();
        Self {
            progress,
            hashed: 0,
            written: 0,
            total: sources + weights,
            cancelled: false,
        }
    }

    fn hashed(&mut self, bytes: u64) {
        self.hashed = bytes;
        // Hashing cannot be stopped on the way; `cancelled` tells afterwards.
        let _ = self.report(Stage::Hashing);
    }

    fn wrote(&mut self, kind: GraphKind, bytes: u64) -> ControlFlow<()> {
        self.written += bytes;
        self.report(Stage::Writing(kind))
    }

    fn report(&mut self, stage: Stage) -> ControlFlow<()> {
        let done = self.hashed + self.written;
        if (self.progress)(Progress {
            stage,
            done,
            total: self.total,
        })
        .is_break()
        {
            self.cancelled = true;
        }
        if self.cancelled {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
