//! Image tokens to pixels.

use std::hint::black_box;

use janus_runtime::manifest::VqConfig;
use janus_runtime::{ImageToken, ModelDir, SessionOptions};
use janus_vq::{ImageTokens, VqDecoder};

use super::{Laps, Workload, scattered};
use crate::cost::Cost;
use crate::error::AnyError;
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases() -> Vec<Case> {
    let label = "decode one picture";
    vec![Case::new(Stage::Vq, "decode", label, Cost::default())]
}

pub(super) struct Vq {
    decoder: VqDecoder,
    tokens: ImageTokens,
}

impl Vq {
    pub(super) fn open(dir: &ModelDir, options: &SessionOptions) -> Result<Self, AnyError> {
        Ok(Self {
            decoder: VqDecoder::open(dir, options)?,
            tokens: noise(dir.manifest().vq()?)?,
        })
    }
}

/// One picture of tokens all over the codebook.
pub(super) fn noise(config: &VqConfig) -> Result<ImageTokens, AnyError> {
    let codes = scattered(config.num_tokens(), config.codebook_size as u64);
    let row: Vec<_> = codes.map(|code| ImageToken(code as u32)).collect();
    Ok(ImageTokens::from_rows(&[row], config)?)
}

impl Workload for Vq {
    fn run(&mut self, _case: usize) -> Result<Vec<f64>, AnyError> {
        let laps = Laps::begin();
        black_box(self.decoder.decode(&self.tokens)?);
        Ok(laps.end())
    }
}
