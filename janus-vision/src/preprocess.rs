//! Pictures as the model was trained to see them.

use std::array;

use image::{Rgb, RgbImage, imageops};
use janus_runtime::manifest::VisionConfig;
use ndarray::{Array4, ArrayView4, ArrayViewMut3, Axis};

use crate::resample::bicubic;

/// Preprocessed pictures, `[n, 3, h, w]`: what the understanding encoder reads.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelValues(Array4<f32>);

impl PixelValues {
    /// Takes pictures `[n, 3, h, w]` that were preprocessed elsewhere.
    pub fn new(pixel_values: Array4<f32>) -> Self {
        Self(pixel_values)
    }

    /// Fits each picture into a square and normalises its channels.
    pub fn from_images(
        pictures: &[RgbImage],
        config: &VisionConfig,
        convention: Convention,
    ) -> Self {
        let side = config.image_size;
        let mut pixel_values = Array4::zeros((pictures.len(), 3, side, side));
        for (picture, planes) in pictures.iter().zip(pixel_values.axis_iter_mut(Axis(0))) {
            normalize(&fit_to_square(picture, config, convention), config, planes);
        }
        Self(pixel_values)
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.0.len_of(Axis(0))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, `[n, 3, h, w]`.
    pub fn view(&self) -> ArrayView4<'_, f32> {
        self.0.view()
    }
}

/// Whose arithmetic decides how long the short side of a resized picture is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// DeepSeek's code cuts the fraction off: 500 × 333 becomes 384 × 255. The models were
    /// evaluated with it.
    #[default]
    Official,
    /// The `transformers` library rounds to the nearest, halves to even: 384 × 256. Its default
    /// processor also resizes with another filter, which this one does not imitate: with
    /// `JanusImageProcessorPil` the bytes are equal.
    Transformers,
}

impl Convention {
    /// Length in pixels of a side of `length` after the longest side, `longest`, became `target`.
    fn scaled(self, length: u32, longest: u32, target: usize) -> usize {
        let (length, longest, target) = (f64::from(length), f64::from(longest), target as f64);
        // The order of the operations is part of the convention.
        match self {
            Self::Official => (length / longest * target) as usize,
            Self::Transformers => (length * (target / longest)).round_ties_even() as usize,
        }
    }
}

/// Resizes a picture until its longest side fits and pads the other one with the background, so
/// that the picture lies in the middle of a square: the bytes before normalisation.
///
/// A picture without pixels gives a square of background.
pub fn fit_to_square(
    picture: &RgbImage,
    config: &VisionConfig,
    convention: Convention,
) -> RgbImage {
    let side = config.image_size;
    let mut square = RgbImage::from_pixel(side as u32, side as u32, Rgb(config.background));
    if picture.is_empty() {
        return square;
    }
    let longest = picture.width().max(picture.height());
    let [width, height] = [picture.width(), picture.height()].map(|length| {
        let scaled = convention.scaled(length, longest, side);
        scaled.max(config.min_size).min(side)
    });
    let resized = bicubic(picture, width as u32, height as u32);
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    imageops::replace(&mut square, &resized, left as i64, top as i64);
    square
}

/// `(byte · rescale_factor − mean) / std`, one plane per channel.
fn normalize(square: &RgbImage, config: &VisionConfig, mut planes: ArrayViewMut3<'_, f32>) {
    // As in the official code, only the product has 64 bits.
    let rescaled = |byte: usize| (byte as f64 * f64::from(config.rescale_factor)) as f32;
    for (channel, mut plane) in planes.outer_iter_mut().enumerate() {
        let (mean, std) = (config.image_mean[channel], config.image_std[channel]);
        let levels: [f32; 256] = array::from_fn(|byte| (rescaled(byte) - mean) / std);
        for (value, pixel) in plane.iter_mut().zip(square.pixels()) {
            *value = levels[usize::from(pixel[channel])];
        }
    }
}

#[cfg(test)]
mod tests;
