//! Bicubic resizing as Pillow does it up to version 12, bit for bit.
//!
//! The models were trained and evaluated on pictures that Pillow had resized, and its filter
//! differs from others by more than the precision of the encoder: it widens with the reduction
//! (antialiasing), it works on bytes with weights in fixed point, and between its two passes it
//! rounds to bytes. Pillow 13 swaps the passes for some shapes, which gives other bytes.

use std::borrow::Cow;

use image::RgbImage;

const CHANNELS: usize = 3;
/// Fractional bits of a weight. A sum of bytes times weights then stays within 32 bits.
const FRACTION_BITS: u32 = 22;
/// Pixels that the kernel reaches to either side when nothing is reduced.
const REACH: f64 = 2.0;

/// Resizes a picture that has pixels; the width first, then the height.
pub(crate) fn bicubic(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let picture = match picture.width() == width {
        true => Cow::Borrowed(picture),
        false => Cow::Owned(resize_rows(picture, width)),
    };
    match picture.height() == height {
        true => picture.into_owned(),
        false => resize_columns(&picture, height),
    }
}

fn resize_rows(picture: &RgbImage, width: u32) -> RgbImage {
    let windows = windows(picture.width(), width);
    let mut resized = RgbImage::new(width, picture.height());
    let sources = picture.chunks_exact(picture.width() as usize * CHANNELS);
    for (source, target) in sources.zip(resized.chunks_exact_mut(width as usize * CHANNELS)) {
        for (pixel, window) in target.chunks_exact_mut(CHANNELS).zip(&windows) {
            pixel.copy_from_slice(&window.weigh(&source[window.start * CHANNELS..]));
        }
    }
    resized
}

fn resize_columns(picture: &RgbImage, height: u32) -> RgbImage {
    let stride = picture.width() as usize * CHANNELS;
    let mut resized = RgbImage::new(picture.width(), height);
    let mut sums = vec![0; stride];
    let windows = windows(picture.height(), height);
    for (target, window) in resized.chunks_exact_mut(stride).zip(&windows) {
        sums.fill(ONE_HALF);
        let sources = picture.as_raw()[window.start * stride..].chunks_exact(stride);
        for (source, &weight) in sources.zip(&window.weights) {
            for (sum, &byte) in sums.iter_mut().zip(source) {
                *sum = add_weighted(*sum, byte, weight);
            }
        }
        for (byte, &sum) in target.iter_mut().zip(&sums) {
            *byte = to_byte(sum);
        }
    }
    resized
}

/// The source pixels that make up one target pixel along an axis.
struct Window {
    start: usize,
    weights: Vec<i32>,
}

impl Window {
    /// The weighted sum of the pixels at the beginning of `source`.
    fn weigh(&self, source: &[u8]) -> [u8; CHANNELS] {
        let mut sums = [ONE_HALF; CHANNELS];
        for (pixel, &weight) in source.chunks_exact(CHANNELS).zip(&self.weights) {
            for (sum, &byte) in sums.iter_mut().zip(pixel) {
                *sum = add_weighted(*sum, byte, weight);
            }
        }
        sums.map(to_byte)
    }
}

/// The window of every target pixel along an axis of `from` pixels that becomes `to` long.
fn windows(from: u32, to: u32) -> Vec<Window> {
    let scale = f64::from(from) / f64::from(to);
    // A reduction widens the kernel, so that every source pixel counts.
    let width = scale.max(1.0);
    let reach = REACH * width;
    let window = |target: u32| {
        let center = (f64::from(target) + 0.5) * scale;
        // A cast from a negative number gives 0, where the picture begins.
        let start = (center - reach + 0.5) as u32;
        let end = ((center + reach + 0.5) as u32).min(from);
        let weight = |source: u32| kernel((f64::from(source) - center + 0.5) / width);
        let weights: Vec<f64> = (start..end).map(weight).collect();
        let total: f64 = weights.iter().sum();
        Window {
            start: start as usize,
            weights: weights.iter().map(|w| to_fixed(w / total)).collect(),
        }
    };
    (0..to).map(window).collect()
}

/// The cubic convolution kernel with a = −1/2.
fn kernel(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Half of a level, so that cutting the fraction off rounds to the nearest.
const ONE_HALF: i32 = 1 << (FRACTION_BITS - 1);

fn to_fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << FRACTION_BITS)).round() as i32
}

fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

/// Cannot overflow: the weights of a window add up to 1, their magnitudes to less than 2, and
/// 2 · 255 · 2²² is below 2³¹. Checked arithmetic would only keep the loop from vectorising.
fn add_weighted(sum: i32, byte: u8, weight: i32) -> i32 {
    sum.wrapping_add(i32::from(byte).wrapping_mul(weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn weights_add_up_to_one() {
        for (from, to) in [
            (1, 384),
            (2, 3),
            (384, 383),
            (500, 384),
            (8192, 384),
            (8192, 1),
        ] {
            for window in windows(from, to) {
                let sum: i32 = window.weights.iter().sum();
                let magnitude: i64 = window.weights.iter().map(|w| i64::from(w.abs())).sum();
                let rounding = window.weights.len() as i32;
                assert!(
                    (sum - (1 << FRACTION_BITS)).abs() <= rounding,
                    "{from} to {to}"
                );
                assert!(magnitude < 2 << FRACTION_BITS, "{from} to {to}");
                assert!(window.start + window.weights.len() <= from as usize);
            }
        }
    }

    #[test]
    fn one_colour_stays() {
        let picture = RgbImage::from_pixel(37, 91, Rgb([3, 128, 255]));
        for (width, height) in [(1, 1), (16, 40), (37, 91), (200, 100)] {
            let resized = bicubic(&picture, width, height);
            assert_eq!(resized.dimensions(), (width, height));
            assert!(resized.pixels().all(|pixel| pixel.0 == [3, 128, 255]));
        }
    }
}
