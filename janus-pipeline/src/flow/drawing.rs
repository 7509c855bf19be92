//! Pictures under way, and what of the model they need.

use janus_flow::{EncodedLatents, Guidance, Trajectory, noise};
use janus_llm::{Embeddings, KvCache, LanguageModel, Prefill};
use janus_runtime::TokenId;
use ndarray::{Array4, s};

use super::{FlowParams, check};
use crate::error::{Error, Result};
use crate::janus::{Flow, Janus};

/// Pictures of one prompt under way, apart from the model: it may do other things between two pieces of
/// the work. [`Janus::generate_flow`] is for who has nothing else to do.
///
/// ```
/// # use janus_pipeline::{Janus, SessionOptions};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::demo_flow();
/// let mut janus = Janus::open(path, &SessionOptions::default())?;
/// let params = janus.flow_params(7)?;
/// let mut drawing = janus.begin_flow("a red circle", &params)?;
/// let mut steps = 0;
/// while !drawing.is_complete() {
///     steps += drawing.advance(&mut janus)?.iter().count();
/// }
/// assert_eq!(steps, params.steps);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FlowDrawing {
    rows: Rows,
    guidance: Guidance,
    trajectories: Vec<Trajectory>,
}

impl Janus {
    /// Begins with pictures by rectified flow; nothing is run yet.
    ///
    /// # Errors
    ///
    /// As those of [`Janus::generate_flow`].
    pub fn begin_flow(&mut self, prompt: &str, params: &FlowParams) -> Result<FlowDrawing> {
        check(params)?;
        let config = self.manifest().flow()?.clone();
        let chat = &self.manifest().chat;
        let mut ids = self.tokenizer.encode_drawing(prompt, chat)?.ids;
        // The time takes the place of the token that begins a picture.
        ids.pop();
        let new = 1 + config.num_tokens();
        let (found, limit) = (ids.len() + new, self.manifest().language.context_length);
        if found > limit {
            return Err(Error::PromptTooLong { found, limit });
        }
        let begin = |stream| {
            let noise = noise(&config, params.seed, stream);
            Trajectory::new(noise, params.solver, params.steps)
        };
        Ok(FlowDrawing {
            rows: Rows {
                ids,
                new,
                prompts: Vec::new(),
                caches: Vec::new(),
            },
            guidance: params.guidance,
            trajectories: (0..params.images as u64).map(begin).collect(),
        })
    }
}

impl FlowDrawing {
    /// Positions of the prompt.
    pub fn prompt_tokens(&self) -> usize {
        self.rows.ids.len()
    }

    /// Where each picture is on its way.
    pub fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }

    /// Whether every picture has been reached.
    pub fn is_complete(&self) -> bool {
        self.trajectories.iter().all(Trajectory::is_complete)
    }

    /// Runs the next piece: one of the prompt, or a step of the picture that has come least far, whose
    /// number it gives. `janus` is the model that it was begun with.
    ///
    /// # Errors
    ///
    /// What the model says; the picture has not moved then.
    pub fn advance(&mut self, janus: &mut Janus) -> Result<Option<usize>> {
        let mut parts = Parts::of(janus)?;
        if self.read_prompt(&mut parts)?.is_some() {
            return Ok(None);
        }
        let behind = (0..self.trajectories.len()).min_by_key(|&i| self.trajectories[i].done());
        let behind = behind.filter(|_| !self.is_complete());
        if let Some(picture) = behind {
            self.step(picture, &mut parts)?;
        }
        Ok(behind)
    }

    /// Runs the next piece of the prompt and tells how many positions have been run, of how many.
    pub(super) fn read_prompt(&mut self, parts: &mut Parts<'_>) -> Result<Option<(usize, usize)>> {
        self.rows.read_prompt(parts)
    }

    /// A step of a picture, the prompt having been read.
    pub(super) fn step(&mut self, picture: usize, parts: &mut Parts<'_>) -> Result<()> {
        let (rows, guidance) = (&mut self.rows, &self.guidance);
        let velocity = |latents: &_, time| rows.velocity(parts, latents, time, guidance);
        self.trajectories[picture].advance(velocity)
    }
}

/// What of a model draws.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    llm: &'a mut LanguageModel,
    pub(super) flow: &'a mut Flow,
}

impl<'a> Parts<'a> {
    pub(super) fn of(janus: &'a mut Janus) -> Result<Self> {
        Ok(Self {
            llm: &mut janus.llm,
            flow: janus.drawing.flow(&janus.manifest)?,
        })
    }
}

/// The prompt and its unconditional twin, which every picture and every step continue anew.
#[derive(Debug)]
struct Rows {
    /// The prompt.
    ids: Vec<TokenId>,
    /// Positions that a step runs: the time and the picture.
    new: usize,
    /// The prompt and its twin on their way into caches.
    prompts: Vec<Prefill>,
    /// Those of the prompt and of its twin, one row each, with room for a step.
    caches: Vec<KvCache>,
}

impl Rows {
    fn read_prompt(&mut self, parts: &mut Parts<'_>) -> Result<Option<(usize, usize)>> {
        if !self.caches.is_empty() {
            return Ok(None);
        }
        let llm = &mut *parts.llm;
        if self.prompts.is_empty() {
            let prompt = llm.embed_text(&self.ids)?;
            // Without a prompt there is the begin-of-sentence token alone.
            let nothing = prompt.slice(0..1);
            self.prompts = vec![llm.prefill(prompt)?, llm.prefill(nothing)?];
        }
        if let Some(prompt) = self.prompts.iter_mut().find(|p| !p.is_complete()) {
            llm.advance(prompt)?;
        }
        if self.prompts.iter().all(Prefill::is_complete) {
            let prompts = self.prompts.iter();
            self.caches = prompts
                .map(|prompt| self.with_room(prompt.cache(), llm))
                .collect::<Result<_>>()?;
        }
        let done = self.prompts.iter().map(Prefill::done).sum();
        let total = self.prompts.iter().map(Prefill::total).sum();
        Ok(Some((done, total)))
    }

    /// The one row of `prefix` with room for a step.
    fn with_room(&self, prefix: &KvCache, llm: &LanguageModel) -> Result<KvCache> {
        let mut cache = llm.new_cache(1, prefix.lengths()[0] + self.new)?;
        cache.copy_row(0, prefix, 0)?;
        Ok(cache)
    }

    /// The velocity of `latents [1, c, size, size]` at a time, guided.
    fn velocity(
        &mut self,
        parts: &mut Parts<'_>,
        latents: &Array4<f32>,
        time: f64,
        guidance: &Guidance,
    ) -> Result<Array4<f32>> {
        let encoded = parts.flow.encoder.encode(latents.view(), time)?;
        let rows = if guidance.is_active(time) { 2 } else { 1 };
        let velocities = (0..rows).map(|row| self.velocity_of(parts, row, &encoded));
        let mut velocities: Vec<_> = velocities.collect::<Result<_>>()?;
        Ok(match &velocities[..] {
            [conditional, unconditional] => guidance.combine(conditional, unconditional),
            _ => velocities.swap_remove(0),
        })
    }

    /// The velocity by the prompt or by its twin.
    fn velocity_of(
        &mut self,
        parts: &mut Parts<'_>,
        row: usize,
        encoded: &EncodedLatents,
    ) -> Result<Array4<f32>> {
        let cache = &mut self.caches[row];
        let kept = cache.lengths()[0];
        let embeds = Embeddings::new(encoded.embeds.clone());
        let hidden = parts.llm.forward_at(self.ids.len(), &embeds, cache)?;
        cache.truncate(0, kept);
        let places = hidden.view().slice_move(s![.., 1.., ..]);
        Ok(parts.flow.decoder.decode(places, encoded)?)
    }
}
