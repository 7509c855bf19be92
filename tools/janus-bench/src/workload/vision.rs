//! One picture on its way into a prompt.

use std::hint::black_box;

use image::{Rgb, RgbImage};
use janus_runtime::{ModelDir, SessionOptions};
use janus_vision::{PixelValues, VisionEncoder};

use super::{Laps, Workload};
use crate::cost::Cost;
use crate::error::AnyError;
use crate::stage::Stage;
use crate::subject::Case;

/// Width and height of the picture.
const SIZE: (u32, u32) = (640, 480);

pub(super) fn cases() -> Vec<Case> {
    let (width, height) = SIZE;
    let preprocess = format!("preprocess {width} × {height}");
    vec![
        Case::new(Stage::Vision, "preprocess", preprocess, Cost::default()),
        Case::new(Stage::Vision, "encode", "encode", Cost::default()),
    ]
}

pub(super) struct Vision {
    encoder: VisionEncoder,
    picture: [RgbImage; 1],
    pixel_values: PixelValues,
}

impl Vision {
    pub(super) fn open(dir: &ModelDir, options: &SessionOptions) -> Result<Self, AnyError> {
        let encoder = VisionEncoder::open(dir, options)?;
        let picture = [pattern()];
        let pixel_values = encoder.preprocess(&picture);
        Ok(Self {
            encoder,
            picture,
            pixel_values,
        })
    }
}

/// A picture without flat areas.
fn pattern() -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        Rgb([x * 7 + y, x ^ y, x * y / 64].map(|level| level as u8))
    })
}

impl Workload for Vision {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        let laps = Laps::begin();
        match case {
            0 => drop(black_box(self.encoder.preprocess(&self.picture))),
            _ => drop(black_box(self.encoder.encode(&self.pixel_values)?)),
        }
        Ok(laps.end())
    }
}
