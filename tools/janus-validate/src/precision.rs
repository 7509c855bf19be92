//! What a precision costs, measured between two exports of the same weights.

mod divergence;
mod graphs;
mod limits;
mod material;
mod passes;
mod plan;
mod report;
mod sequences;
mod spelling;

use std::fmt;
use std::ops::ControlFlow;

use janus_runtime::manifest::Manifest;
use janus_runtime::{GraphKind, ModelDir, SessionOptions};

pub use divergence::Divergence;
pub use limits::Limits;
pub use material::{Material, Shown};
pub use report::{DistributionRow, GraphDifference, GraphRow, Head, PrecisionReport};

use crate::error::{Error, Result};
use graphs::PictureInputs;
use passes::Ticker;
use plan::Plan;

/// How two exports are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrecisionOptions {
    /// Tokens at which each kind of sequence is compared, or a few more: answers, answers about a
    /// picture, and pictures at each guidance.
    ///
    /// A sequence has up to 32 of them, and more where that would make more than 8 sequences.
    pub positions: usize,
    /// Which draws the reference makes.
    pub seed: u64,
}

impl Default for PrecisionOptions {
    fn default() -> Self {
        Self {
            positions: 64,
            seed: 0,
        }
    }
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrecisionProgress {
    /// Whether it is the reference that runs, which it does first, or the model.
    pub reference: bool,
    /// What runs.
    pub stage: Stage,
    /// Tokens that were predicted, by both.
    pub done: usize,
    /// How many that will be; it may grow.
    pub total: usize,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A graph alone.
    Graph(GraphKind),
    /// The whole model, answering.
    Answering,
    /// The whole model, drawing.
    Drawing,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph(graph) => graph.fmt(f),
            Self::Answering => f.write_str("answering"),
            Self::Drawing => f.write_str("drawing"),
        }
    }
}

/// Measures how far `model` is from `reference`, an export of the same weights, usually in 32 bits.
///
/// The reference runs first and writes sequences: answers to the questions of `material`, with
/// pictures and without, and pictures drawn at the model's own guidance and at 5, the official one.
/// They are sampled with a seed, answers at temperature 1, pictures at the model's own. Then the
/// model reads the same sequences, and each of its predictions is compared with the reference's.
/// The limits hold at the model's own guidance; another one is told without a verdict.
/// Both run step by step with the cache, as in use. Each graph is also run alone, on what the
/// reference's graphs hand on.
///
/// Each may run on another provider: `options` are the model's and the reference's.
///
/// The exports are in memory one after the other; of the reference the scores are kept, 4 bytes
/// for each position and token of the vocabulary. `progress` is told of every step, and may stop the
/// comparison.
///
/// # Errors
///
/// [`Error::OtherWeights`] and [`Error::OtherSizes`] where the exports are not of the same weights,
/// [`Error::NoMaterial`] where a list of `material` is empty, [`Error::Cancelled`] where `progress`
/// said so. A model beyond its limits is not an error: see [`PrecisionReport::passed`].
pub fn compare_precision(
    model: &ModelDir,
    reference: &ModelDir,
    [options, reference_options]: [&SessionOptions; 2],
    material: &Material,
    wanted: &PrecisionOptions,
    progress: &mut dyn FnMut(PrecisionProgress) -> ControlFlow<()>,
) -> Result<PrecisionReport> {
    material.check()?;
    expect_same_weights(model, reference)?;
    let plan = Plan::new(reference, material, wanted)?;
    let inputs = PictureInputs::new(material, reference.manifest(), wanted)?;

    let mut ticker = Ticker::new(progress, 2 * plan.positions());
    let recorded = passes::record(reference, reference_options, &plan, &inputs, &mut ticker)?;
    ticker.turn(recorded.positions());
    let found = passes::follow(model, options, &recorded, &inputs, &mut ticker)?;

    let dtype = model.manifest().converter.dtype;
    let limits = Limits::of(dtype);
    let own_guidance = reference.manifest().generation.guidance_scale;
    Ok(PrecisionReport {
        dtype,
        reference_dtype: reference.manifest().converter.dtype,
        seed: wanted.seed,
        limits,
        graphs: graphs::compare_all(&found.graphs, &recorded.graphs, &limits),
        distributions: found.distributions(&limits, own_guidance),
    })
}

/// Checks that two exports come from the same files and agree on every size.
pub(crate) fn expect_same_weights(model: &ModelDir, reference: &ModelDir) -> Result<()> {
    let (a, b) = (model.manifest(), reference.manifest());
    if hashes(a) != hashes(b) {
        return Err(Error::OtherWeights {
            model: model.path().to_owned(),
            reference: reference.path().to_owned(),
        });
    }
    let fields = [
        ("language", a.language == b.language),
        ("vision", a.vision == b.vision),
        ("drawing", a.drawing == b.drawing),
        ("tokens", a.tokens == b.tokens),
        ("chat", a.chat == b.chat),
    ];
    match fields.into_iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(Error::OtherSizes {
            model: model.path().to_owned(),
            reference: reference.path().to_owned(),
            field,
        }),
        None => Ok(()),
    }
}

/// Hashes of the checkpoint's weight files, whatever they are called.
fn hashes(manifest: &Manifest) -> Vec<&str> {
    let files = manifest.source.files.values();
    let mut hashes: Vec<_> = files.map(|entry| entry.sha256.as_str()).collect();
    hashes.sort_unstable();
    hashes
}
