//! The work of each stage: what is timed of it, and how.

mod decode;
mod embeddings;
mod flow;
mod heads;
mod image;
mod load;
mod prefill;
mod sampling;
mod vae;
mod vision;
mod vq;

use std::time::Instant;

use janus_llm::{Embeddings, KvCache, LanguageModel};
use janus_runtime::manifest::DrawingConfig;
use janus_runtime::{Manifest, ModelDir, SessionOptions, TokenId};

use crate::cost::Costs;
use crate::error::AnyError;
use crate::plan::Plan;
use crate::stage::Stage;
use crate::subject::Case;

/// Positions that fill a cache at once.
const PIECE: usize = 256;

/// A stage that is open.
pub(crate) trait Workload {
    /// Runs a case once and gives its [`Laps`].
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError>;
}

/// What is timed in a stage: nothing where the model does not have it.
pub(crate) fn cases(stage: Stage, plan: &Plan, costs: &Costs<'_>) -> Vec<Case> {
    if !stage.belongs_to(&costs.model.drawing) {
        return Vec::new();
    }
    match stage {
        Stage::Load => load::cases(costs.model),
        Stage::Vision => vision::cases(),
        Stage::Prefill => prefill::cases(plan, costs),
        Stage::Decode => decode::cases(plan, costs),
        Stage::Heads => heads::cases(plan, costs),
        Stage::Embeddings => embeddings::cases(costs.model),
        Stage::Sampling => sampling::cases(),
        Stage::Image => match &costs.model.drawing {
            DrawingConfig::Tokens(_) => image::cases(plan, costs),
            DrawingConfig::Flow(flow) => flow::cases(plan, costs, flow),
        },
        Stage::Vq => vq::cases(),
        Stage::Vae => vae::cases(),
    }
}

/// Opens what a stage needs, and nothing else.
pub(crate) fn open(
    stage: Stage,
    dir: &ModelDir,
    options: &SessionOptions,
    plan: &Plan,
) -> Result<Box<dyn Workload>, AnyError> {
    Ok(match stage {
        Stage::Load => Box::new(load::Load::new(dir, options)),
        Stage::Vision => Box::new(vision::Vision::open(dir, options)?),
        Stage::Prefill => Box::new(prefill::Prefill::open(dir, options, plan)?),
        Stage::Decode => Box::new(decode::Decode::open(dir, options, plan)?),
        Stage::Heads => Box::new(heads::Heads::open(dir, options, plan)?),
        Stage::Embeddings => Box::new(embeddings::EmbeddingCalls::open(dir, options)?),
        Stage::Sampling => Box::new(sampling::Draws::new(dir.manifest())?),
        Stage::Image => match dir.manifest().drawing {
            DrawingConfig::Tokens(_) => Box::new(image::Picture::open(dir, options, plan)?),
            DrawingConfig::Flow(_) => Box::new(flow::Picture::open(dir, options, plan)?),
        },
        Stage::Vq => Box::new(vq::Vq::open(dir, options)?),
        Stage::Vae => Box::new(vae::Vae::open(dir, options)?),
    })
}

/// A stopwatch: the time since it began, and of each part.
struct Laps {
    begun: Instant,
    last: Instant,
    parts: Vec<f64>,
}

impl Laps {
    fn begin() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            parts: Vec::new(),
        }
    }

    /// A part ends here.
    fn lap(&mut self) {
        let now = Instant::now();
        self.parts.push((now - self.last).as_secs_f64());
        self.last = now;
    }

    /// Seconds of the whole, up to now, and of each part.
    fn end(self) -> Vec<f64> {
        let whole = self.begun.elapsed().as_secs_f64();
        std::iter::once(whole).chain(self.parts).collect()
    }
}

/// Text that means nothing: ids all over the vocabulary, the same for the same `turn`, and others,
/// from the first one on, for the next: no prompt begins as the one before.
fn words(model: &Manifest, count: usize, turn: usize) -> Vec<TokenId> {
    let vocabulary = u64::from(model.tokens.tokenizer_size.max(1));
    scattered(count, vocabulary)
        .map(|id| TokenId(((id + turn as u64) % vocabulary) as u32))
        .collect()
}

/// Numbers all over `0..limit`, the same every time.
fn scattered(count: usize, limit: u64) -> impl Iterator<Item = u64> {
    // The prime is far above every vocabulary, so neighbours lie apart.
    (0..count as u64).map(move |i| (i * 1_000_003 + 17) % limit)
}

/// A cache whose rows have seen `past` positions each, with room for `capacity`.
fn seen(
    llm: &mut LanguageModel,
    past: &Embeddings,
    rows: usize,
    capacity: usize,
) -> Result<KvCache, AnyError> {
    let positions = past.positions();
    let mut one = llm.new_cache(1, positions)?;
    // Not as a prompt, which could open a graph that decode steps do not need.
    for start in (0..positions).step_by(PIECE) {
        let piece = past.slice(start..positions.min(start + PIECE));
        llm.forward(&piece, &mut one)?;
    }
    let mut cache = llm.new_cache(rows, capacity)?;
    for row in 0..rows {
        cache.copy_row(row, &one, 0)?;
    }
    Ok(cache)
}
