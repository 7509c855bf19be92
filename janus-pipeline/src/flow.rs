//! A sentence in, pictures out by rectified flow (JanusFlow, section 3.2).
//!
//! ```text
//! prompt     p₀ p₁ … pₗ₋₁│ t z₀ … z₅₇₅     kept │ run anew at every step, then cut off again
//! no prompt  p₀          │ t z₀ … z₅₇₅     the same, numbered as if the prompt were there
//!
//! v = w · v(prompt) − (w − 1) · v(no prompt)
//! z = z + dt · v
//! ```
//!
//! The official code runs the prompt again at every step, and masks it in the rows without one;
//! what is not attended to need not be there, as long as the positions keep their numbers.

use image::RgbImage;
use janus_flow::{EncodedLatents, Guidance, Solver, Trajectory, noise};
use janus_llm::{Embeddings, KvCache, LanguageModel, Prefill};
use ndarray::{Array4, s};

use crate::error::{Error, Result};
use crate::image::MAX_IMAGES;
use crate::janus::{Flow, Janus};

/// Steps of a picture at most.
pub const MAX_STEPS: usize = 1000;

/// How pictures are drawn by rectified flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowParams {
    /// How many pictures; picture *i* is the same however many there are.
    pub images: usize,
    /// Steps from noise to picture.
    pub steps: usize,
    /// How they are made.
    pub solver: Solver,
    /// How far, and when, pictures are moved towards the prompt.
    pub guidance: Guidance,
    /// Which noise; picture *i* begins with stream *i* of it.
    pub seed: u64,
}

impl Default for FlowParams {
    fn default() -> Self {
        Self {
            images: 1,
            steps: 12,
            solver: Solver::AdamsBashforth3,
            guidance: Guidance::new(2.0),
            seed: 0,
        }
    }
}

impl Janus {
    /// The settings that this model is meant to be used with, and a seed: its own guidance, and 12
    /// steps that look back, which come as near to the end of the way as Euler's 30
    /// (docs/generation.md, "Solvers").
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::OtherDrawing`] where the model draws by image tokens: see
    /// [`Janus::image_params`].
    pub fn flow_params(&self, seed: u64) -> Result<FlowParams> {
        self.manifest().flow()?;
        Ok(FlowParams {
            guidance: Guidance::new(self.manifest().generation.guidance_scale),
            seed,
            ..FlowParams::default()
        })
    }

    /// The settings of the official code, and a seed: Euler's rule in the steps that the model was
    /// released with.
    ///
    /// # Errors
    ///
    /// Those of [`Janus::flow_params`].
    pub fn official_flow_params(&self, seed: u64) -> Result<FlowParams> {
        Ok(FlowParams {
            steps: self.manifest().flow()?.steps,
            solver: Solver::Euler,
            ..self.flow_params(seed)?
        })
    }

    /// Draws pictures by rectified flow.
    pub fn generate_flow_images(
        &mut self,
        prompt: &str,
        params: &FlowParams,
    ) -> Result<Vec<RgbImage>> {
        let mut stream = self.generate_flow(prompt, params)?;
        for step in &mut stream {
            step?;
        }
        stream.pictures()
    }

    /// Draws pictures step by step.
    ///
    /// # Errors
    ///
    /// [`Error::PromptTooLong`] where prompt and picture exceed the model's context,
    /// [`janus_runtime::Error::OtherDrawing`] where the model draws by image tokens.
    pub fn generate_flow(&mut self, prompt: &str, params: &FlowParams) -> Result<FlowStream<'_>> {
        check(params)?;
        let config = self.manifest().flow()?.clone();
        let chat = &self.manifest().chat;
        let mut ids = self.tokenizer.encode_drawing(prompt, chat)?.ids;
        // The time takes the place of the token that begins a picture.
        ids.pop();
        let limit = self.manifest().language.context_length;
        let found = ids.len() + 1 + config.num_tokens();
        if found > limit {
            return Err(Error::PromptTooLong { found, limit });
        }
        let prompt = self.llm.embed_text(&ids)?;
        // Without a prompt there is the begin-of-sentence token alone.
        let nothing = prompt.slice(0..1);
        let prompts = vec![self.llm.prefill(prompt)?, self.llm.prefill(nothing)?];
        let begin = |stream| {
            let noise = noise(&config, params.seed, stream);
            Trajectory::new(noise, params.solver, params.steps)
        };
        Ok(FlowStream {
            rows: Rows {
                llm: &mut self.llm,
                flow: self.drawing.flow(&self.manifest)?,
                first: ids.len(),
                new: 1 + config.num_tokens(),
                prompts,
                caches: Vec::new(),
            },
            guidance: params.guidance,
            trajectories: (0..params.images as u64).map(begin).collect(),
            failed: false,
        })
    }
}

fn check(params: &FlowParams) -> Result<()> {
    params.guidance.check()?;
    for (setting, value, most) in [
        ("images", params.images, MAX_IMAGES),
        ("steps", params.steps, MAX_STEPS),
    ] {
        if value == 0 || value > most {
            return Err(Error::Setting {
                setting,
                value: value.to_string(),
                expected: format!("1 to {most}"),
            });
        }
    }
    Ok(())
}

/// One step of every picture at a time. Dropping it stops the generation.
#[derive(Debug)]
pub struct FlowStream<'a> {
    rows: Rows<'a>,
    guidance: Guidance,
    trajectories: Vec<Trajectory>,
    failed: bool,
}

impl FlowStream<'_> {
    /// Positions of the prompt.
    pub fn prompt_tokens(&self) -> usize {
        self.rows.first
    }

    /// Where each picture is on its way.
    pub fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }

    /// Steps that were made.
    pub fn done(&self) -> usize {
        self.trajectories[0].done()
    }

    /// The pictures as they are by now: where each would end if it went straight on.
    ///
    /// This runs the VAE, so it costs as much as the final pictures.
    pub fn pictures(&mut self) -> Result<Vec<RgbImage>> {
        let mut pictures = Vec::with_capacity(self.trajectories.len());
        for trajectory in &self.trajectories {
            pictures.extend(self.rows.flow.vae.decode(trajectory.prediction().view())?);
        }
        Ok(pictures)
    }

    /// Runs the next piece of the prompt and tells how many positions have been run, of how many;
    /// nothing once the first step can come. Iterating does this by itself: it is for those who
    /// show how far a long prompt is.
    pub fn read_prompt(&mut self) -> Result<Option<(usize, usize)>> {
        self.rows.read_prompt()
    }

    fn step(&mut self) -> Result<usize> {
        while self.rows.read_prompt()?.is_some() {}
        for trajectory in &mut self.trajectories {
            trajectory
                .advance(|latents, time| self.rows.velocity(latents, time, &self.guidance))?;
        }
        Ok(self.done())
    }
}

impl Iterator for FlowStream<'_> {
    /// Steps that were made.
    type Item = Result<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.trajectories[0].is_complete() {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        Some(step)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self.failed {
            true => 0,
            false => self.trajectories[0].steps() - self.done(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for FlowStream<'_> {}

/// The prompt and its unconditional twin, which every picture and every step continue anew.
#[derive(Debug)]
struct Rows<'a> {
    llm: &'a mut LanguageModel,
    flow: &'a mut Flow,
    /// Number of the first position after the prompt.
    first: usize,
    /// Positions that a step runs: the time and the picture.
    new: usize,
    /// The prompt and its twin on their way into caches.
    prompts: Vec<Prefill>,
    /// Those of the prompt and of its twin, one row each, with room for a step.
    caches: Vec<KvCache>,
}

impl Rows<'_> {
    fn read_prompt(&mut self) -> Result<Option<(usize, usize)>> {
        if !self.caches.is_empty() {
            return Ok(None);
        }
        if let Some(prompt) = self.prompts.iter_mut().find(|p| !p.is_complete()) {
            self.llm.advance(prompt)?;
        }
        if self.prompts.iter().all(Prefill::is_complete) {
            let prompts = self.prompts.iter();
            self.caches = prompts
                .map(|prompt| self.with_room(prompt.cache()))
                .collect::<Result<_>>()?;
        }
        let done = self.prompts.iter().map(Prefill::done).sum();
        let total = self.prompts.iter().map(Prefill::total).sum();
        Ok(Some((done, total)))
    }

    /// The one row of `prefix` with room for a step.
    fn with_room(&self, prefix: &KvCache) -> Result<KvCache> {
        let mut cache = self.llm.new_cache(1, prefix.lengths()[0] + self.new)?;
        cache.copy_row(0, prefix, 0)?;
        Ok(cache)
    }

    /// The velocity of `latents [1, c, size, size]` at a time, guided.
    fn velocity(
        &mut self,
        latents: &Array4<f32>,
        time: f64,
        guidance: &Guidance,
    ) -> Result<Array4<f32>> {
        let encoded = self.flow.encoder.encode(latents.view(), time)?;
        let rows = if guidance.is_active(time) { 2 } else { 1 };
        let velocities = (0..rows).map(|row| self.velocity_of(row, &encoded));
        let mut velocities: Vec<_> = velocities.collect::<Result<_>>()?;
        Ok(match &velocities[..] {
            [conditional, unconditional] => guidance.combine(conditional, unconditional),
            _ => velocities.swap_remove(0),
        })
    }

    /// The velocity by the prompt or by its twin.
    fn velocity_of(&mut self, row: usize, encoded: &EncodedLatents) -> Result<Array4<f32>> {
        let cache = &mut self.caches[row];
        let kept = cache.lengths()[0];
        let embeds = Embeddings::new(encoded.embeds.clone());
        let hidden = self.llm.forward_at(self.first, &embeds, cache)?;
        cache.truncate(0, kept);
        let places = hidden.view().slice_move(s![.., 1.., ..]);
        Ok(self.flow.decoder.decode(places, encoded)?)
    }
}
