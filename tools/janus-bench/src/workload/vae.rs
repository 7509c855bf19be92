//! Latents to pixels.

use std::hint::black_box;

use janus_flow::{VaeDecoder, noise};
use janus_runtime::{ModelDir, SessionOptions};
use ndarray::Array4;

use super::{Laps, Workload};
use crate::cost::Cost;
use crate::error::AnyError;
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases() -> Vec<Case> {
    let label = "decode one picture";
    vec![Case::new(Stage::Vae, "decode", label, Cost::default())]
}

pub(super) struct Vae {
    decoder: VaeDecoder,
    latents: Array4<f32>,
}

impl Vae {
    pub(super) fn open(dir: &ModelDir, options: &SessionOptions) -> Result<Self, AnyError> {
        let decoder = VaeDecoder::open(dir, options)?;
        let latents = noise(decoder.config(), 0, 0);
        Ok(Self { decoder, latents })
    }
}

impl Workload for Vae {
    fn run(&mut self, _case: usize) -> Result<Vec<f64>, AnyError> {
        let laps = Laps::begin();
        black_box(self.decoder.decode(self.latents.view())?);
        Ok(laps.end())
    }
}
