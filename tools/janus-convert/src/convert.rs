//! A conversion from beginning to end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use janus_runtime::manifest::{
    Activations, Converter, DType, FORMAT_VERSION, Family, Operators, Source,
};
use janus_runtime::{GraphKind, Manifest};

use crate::checkpoint::Checkpoint;
use crate::config::tokens::Vocabulary;
use crate::config::{ConfigFile, Sizes, chat, preprocessor, vae};
use crate::error::{Error, Result};
use crate::export::{self, Export};
use crate::module::Module;
use crate::networks::{self, Form, IGNORED, IGNORED_OF_VAE};
use crate::notice;
use crate::onnx::{GraphFile, OPSET};
use crate::progress::{Meter, Progress};
use crate::recipe::Recipe;
use crate::sources::Sources;

/// Positions of the caches that a transformer of fixed sizes has graphs for: a question with its answer;
/// a picture of 576 tokens after a prompt of 64, or a question about one; and the most.
pub const CACHE_SIZES: [usize; 3] = [256, 640, 1024];

/// How to convert.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// Which weights are stored how.
    pub recipe: Recipe,
    /// Which operators the graphs are made of.
    pub operators: Operators,
    /// What the transformer, its heads and the vision encoder compute in; other than 32 bits is for
    /// ONNX Runtime's own operators alone.
    pub activations: Activations,
    /// Positions of the caches that a transformer of fixed sizes has graphs for, [`CACHE_SIZES`] unless
    /// told. The largest is how long a sequence may be; those beyond the model's context are left out.
    pub cache_sizes: Vec<usize>,
    /// An export with which files that are equal are shared, rather than stored again.
    pub share_with: Option<PathBuf>,
    /// The checkpoint of the SDXL VAE, which a JanusFlow model needs and no other has.
    pub vae: Option<PathBuf>,
    /// Which model of the family it is, where that is known better than the files tell.
    pub family: Option<Family>,
    /// Whether an export that stands at the target may be replaced. It stays until the new one is
    /// complete.
    pub replace: bool,
    /// Whether numbers in `config.json` of which nothing is known are noted in the manifest
    /// rather than refused. They might change what the model computes.
    pub allow_unknown: bool,
}

impl ConvertOptions {
    /// The recipe of a precision, and nothing else out of the ordinary.
    pub fn in_precision(dtype: DType) -> Self {
        Self {
            recipe: Recipe::shipped(dtype),
            ..Self::default()
        }
    }

    /// Where sizes are fixed, makes the context no longer than the largest cache, and gives the smaller
    /// ones, ascending; nothing of the kind elsewhere.
    fn fix_context(&self, context: &mut usize) -> Vec<usize> {
        if self.operators == Operators::Fused {
            return Vec::new();
        }
        let largest = self.cache_sizes.iter().copied().max();
        *context = largest
            .filter(|&size| size > 0)
            .map_or(*context, |size| size.min(*context));
        let sizes = self.cache_sizes.iter().copied();
        let smaller: BTreeSet<_> = sizes.filter(|size| (1..*context).contains(size)).collect();
        smaller.into_iter().collect()
    }
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            recipe: Recipe::shipped(DType::Fp32),
            operators: Operators::default(),
            activations: Activations::default(),
            cache_sizes: CACHE_SIZES.to_vec(),
            share_with: None,
            vae: None,
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
    let released = &resolve(released)?;
    let vae_dir = options.vae.as_deref().map(resolve).transpose()?;
    let config = ConfigFile::read(released, options.allow_unknown)?;
    config.check_vae(vae_dir.as_deref())?;
    let checkpoint = Arc::new(Checkpoint::open(released)?);
    let vae = vae_dir.as_deref().map(vae::open).transpose()?;
    let model = Module::root(&checkpoint, config.layout(), &options.recipe);
    let read_vae = |(dir, weights)| vae::read(dir, weights, &options.recipe, options.allow_unknown);
    let sizes = vae_dir.as_deref().zip(vae.as_ref()).map(read_vae);
    let mut sizes = config.sizes(&model, sizes.transpose()?.as_ref())?;
    let buckets = options.fix_context(&mut sizes.language.context_length);
    let form = Form {
        operators: options.operators,
        activations: options.activations,
        buckets: &buckets,
    };
    let graphs = networks::graphs(&model, &sizes, form)?;
    checkpoint.expect_all_used(&IGNORED)?;
    if let Some(vae) = &vae {
        vae.expect_all_used(&IGNORED_OF_VAE)?;
    }
    let mut manifest = describe(released, options, &config, sizes, &graphs)?;
    manifest.source.notes.extend(config.notes(&model)?);
    let sources = Sources::new(&checkpoint, vae.as_ref());
    manifest.source.notes.extend(sources.notes());
    let beside = notice::files(released, vae_dir.as_deref())?;

    let mut export = Export::create(out, released, options.replace)?;
    if let Some(other) = &options.share_with {
        export.share_with(other)?;
    }
    let weights = graphs.iter().map(|(_, graph)| graph.data_bytes()).sum();
    export.expect_room(weights)?;
    let mut meter = Meter::new(&sources, weights, progress);
    manifest.source.files = meter.hash(&sources)?;
    for (kind, graph) in &graphs {
        export.graph(graph, &mut |bytes| meter.wrote(*kind, bytes))?;
    }
    for (name, bytes) in beside {
        export.file(&name, &bytes)?;
    }
    manifest.source.notes.extend(sources.doubtful());
    manifest.files = export.files().clone();
    export.finish(&manifest)?;
    Ok(manifest)
}

fn resolve(dir: &Path) -> Result<PathBuf> {
    dir.canonicalize().map_err(|source| Error::ReadFile {
        path: dir.to_owned(),
        source,
    })
}

/// The manifest, but for the files and what is known only when they are written.
fn describe(
    released: &Path,
    options: &ConvertOptions,
    config: &ConfigFile,
    sizes: Sizes<'_>,
    graphs: &[(GraphKind, GraphFile)],
) -> Result<Manifest> {
    let vocabulary = Vocabulary::read(released, sizes.language.vocab_size)?;
    config.check_tokens(vocabulary.special())?;
    let (family, evidence) = chat::family(
        released,
        options.family,
        config,
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
            dtype: options.recipe.dtype(),
            operators: options.operators,
            activations: options.activations,
        },
        vision: preprocessor::read(released, &sizes.siglip, config.is_flow())?,
        language: sizes.language,
        drawing: sizes.drawing.config(),
        tokens: vocabulary.special().clone(),
        chat: chat::chat(released, family)?,
        generation: chat::generation(released, family)?,
        graphs: export::entries(graphs),
        files: BTreeMap::new(),
    })
}
