//! Drawing one token.

use std::hint::black_box;

use janus_llm::{Logits, Sampler, Sampling};
use janus_runtime::{ImageToken, Manifest};
use ndarray::Array2;

use super::{Laps, Workload, scattered};
use crate::cost::Cost;
use crate::error::AnyError;
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(Stage::Sampling, "image", "image token", Cost::default()),
        Case::new(
            Stage::Sampling,
            "guided",
            "image token, guided",
            Cost::default(),
        ),
    ]
}

pub(super) struct Draws {
    logits: Logits<ImageToken>,
    guidance_scale: f32,
    sampler: Sampler,
}

impl Draws {
    pub(super) fn new(model: &Manifest) -> Result<Self, AnyError> {
        let width = model.vq()?.codebook_size;
        let mut scores = scattered(2 * width, 1001).map(|n| n as f32 / 100.0);
        let scores = Array2::from_shape_simple_fn((2, width), || scores.next().unwrap_or_default());
        Ok(Self {
            logits: Logits::new(scores),
            guidance_scale: model.generation.guidance_scale,
            sampler: Sampler::new(Sampling::random(model.generation.temperature, 0), 0)?,
        })
    }
}

impl Workload for Draws {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        // Guidance takes the scores over, as they come from the head.
        let pair = self.logits.clone();
        let laps = Laps::begin();
        let token: ImageToken = match case {
            0 => self.sampler.sample(pair.row(0)),
            _ => self.sampler.sample(pair.guided(self.guidance_scale).row(0)),
        };
        black_box(token);
        Ok(laps.end())
    }
}
