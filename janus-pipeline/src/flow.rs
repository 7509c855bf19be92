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

mod drawing;

use image::RgbImage;
use janus_flow::{Guidance, Solver, Trajectory};
use janus_runtime::manifest::Manifest;

use crate::error::{Error, Result};
use crate::image::MAX_IMAGES;
use crate::janus::Janus;
pub use drawing::FlowDrawing;
use drawing::Parts;

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
            solver: Solver::AdamsBashforth,
            guidance: Guidance::new(2.0),
            seed: 0,
        }
    }
}

impl FlowParams {
    /// The settings that a model is meant to be used with by a solver: its own guidance; and 12 steps,
    /// in which the second-order rule comes as near to the end of the way as Euler's in 30
    /// (docs/generation.md, "Solvers"), or, by Euler's, as many as the official code makes.
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::OtherDrawing`] where the model draws by image tokens.
    pub fn of(manifest: &Manifest, solver: Solver, seed: u64) -> Result<Self> {
        let own = Self::default();
        let official = manifest.flow()?.steps;
        Ok(Self {
            steps: if solver == Solver::Euler {
                official
            } else {
                own.steps
            },
            solver,
            guidance: Guidance::new(manifest.generation.guidance_scale),
            seed,
            ..own
        })
    }
}

impl Janus {
    /// The settings that this model is meant to be used with, and a seed.
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::OtherDrawing`] where the model draws by image tokens: see
    /// [`Janus::image_params`].
    pub fn flow_params(&self, seed: u64) -> Result<FlowParams> {
        FlowParams::of(self.manifest(), FlowParams::default().solver, seed)
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
        let drawing = self.begin_flow(prompt, params)?;
        Ok(FlowStream {
            parts: Parts::of(self)?,
            drawing,
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
    parts: Parts<'a>,
    drawing: FlowDrawing,
    failed: bool,
}

impl FlowStream<'_> {
    /// Positions of the prompt.
    pub fn prompt_tokens(&self) -> usize {
        self.drawing.prompt_tokens()
    }

    /// Where each picture is on its way.
    pub fn trajectories(&self) -> &[Trajectory] {
        self.drawing.trajectories()
    }

    /// Steps that were made.
    pub fn done(&self) -> usize {
        self.trajectories()[0].done()
    }

    /// The pictures as they are by now: where each would end if it went straight on.
    ///
    /// This runs the VAE, so it costs as much as the final pictures.
    pub fn pictures(&mut self) -> Result<Vec<RgbImage>> {
        let mut pictures = Vec::with_capacity(self.trajectories().len());
        for trajectory in self.drawing.trajectories() {
            pictures.extend(self.parts.flow.vae.decode(trajectory.prediction().view())?);
        }
        Ok(pictures)
    }

    /// Runs the next piece of the prompt and tells how many positions have been run, of how many;
    /// nothing once the first step can come. Iterating does this by itself: it is for those who
    /// show how far a long prompt is.
    pub fn read_prompt(&mut self) -> Result<Option<(usize, usize)>> {
        self.drawing.read_prompt(&mut self.parts)
    }

    fn step(&mut self) -> Result<usize> {
        while self.read_prompt()?.is_some() {}
        for picture in 0..self.trajectories().len() {
            self.drawing.step(picture, &mut self.parts)?;
        }
        Ok(self.done())
    }
}

impl Iterator for FlowStream<'_> {
    /// Steps that were made.
    type Item = Result<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.drawing.is_complete() {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        Some(step)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self.failed {
            true => 0,
            false => self.trajectories()[0].steps() - self.done(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for FlowStream<'_> {}
