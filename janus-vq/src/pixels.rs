//! Pictures as the VQ tokenizer computes with them: `[n, 3, h, w]`, −1 for 0 and 1 for 255.

use std::array;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use ndarray::{Array4, ArrayView4, Axis};

use crate::error::{Error, Result};

/// Makes every picture `side` × `side` large and takes it to `[n, 3, side, side]`.
///
/// As in training, of a picture that is not square the middle is kept and the short side becomes
/// `side` long. A square picture of that size keeps its pixels. Others are resized by a bicubic
/// filter (Catmull-Rom), which widens with the reduction: which one training used is not
/// published.
///
/// # Errors
///
/// [`Error::NoPixels`] where a picture has no width or no height.
pub fn pixels_from_images(pictures: &[RgbImage], side: usize) -> Result<Array4<f32>> {
    let levels: [f32; 256] = array::from_fn(|byte| (byte as f32 / 255.0 - 0.5) / 0.5);
    let mut pixels = Array4::zeros((pictures.len(), 3, side, side));
    for (index, (picture, mut planes)) in pictures.iter().zip(pixels.outer_iter_mut()).enumerate() {
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::NoPixels {
                picture: index,
                width,
                height,
            });
        }
        let square = square(picture, side as u32);
        for (channel, mut plane) in planes.outer_iter_mut().enumerate() {
            for (value, pixel) in plane.iter_mut().zip(square.pixels()) {
                *value = levels[usize::from(pixel[channel])];
            }
        }
    }
    Ok(pixels)
}

/// The pictures in `pixels`, `[n, 3, h, w]`, brought back to bytes as DeepSeek's code does it:
/// what exceeds −1 to 1 is clipped, and the fraction of a level is cut off.
///
/// # Panics
///
/// Where there are not three channels.
pub fn pixels_to_images(pixels: ArrayView4<'_, f32>) -> Vec<RgbImage> {
    let (_, _, height, width) = pixels.dim();
    let byte = |value: f32| ((value + 1.0) / 2.0 * 255.0).clamp(0.0, 255.0) as u8;
    let picture = |index| {
        let planes = pixels.index_axis(Axis(0), index);
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            Rgb([0, 1, 2].map(|channel| byte(planes[[channel, y as usize, x as usize]])))
        })
    };
    (0..pixels.len_of(Axis(0))).map(picture).collect()
}

/// The middle square of a picture, resized.
fn square(picture: &RgbImage, side: u32) -> RgbImage {
    // Cropping before resizing bounds the work for a picture of 8192 × 1 pixels.
    let short = picture.width().min(picture.height());
    let left = (picture.width() - short) / 2;
    let top = (picture.height() - short) / 2;
    let middle = imageops::crop_imm(picture, left, top, short, short);
    match short == side {
        true => middle.to_image(),
        false => imageops::resize(&*middle, side, side, FilterType::CatmullRom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, s};

    #[test]
    fn bytes_survive_the_round_trip() {
        let picture = RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 16 + y) as u8, 0, 255]));
        let pixels = pixels_from_images(&[picture.clone(), picture.clone()], 16).unwrap();
        assert_eq!(pixels.shape(), [2, 3, 16, 16]);
        assert_eq!(pixels.slice(s![0, 1.., 3, 3]), arr1(&[-1.0, 1.0]));
        for back in pixels_to_images(pixels.view()) {
            for (a, b) in back.iter().zip(picture.iter()) {
                // The cast cuts off, so that a level may arrive one below where it started.
                assert!(b - a <= 1, "{b} became {a}");
            }
        }
    }

    #[test]
    fn values_are_clipped_and_cut_off() {
        for (value, byte) in [
            (-1.0, 0),
            (1.0, 255),
            (-1.5, 0),
            (7.0, 255),
            (0.0, 127),
            (0.999, 254),
            (f32::NEG_INFINITY, 0),
            (f32::INFINITY, 255),
        ] {
            let pixels = Array4::from_elem((1, 3, 1, 1), value);
            assert_eq!(
                pixels_to_images(pixels.view())[0].as_raw(),
                &[byte; 3],
                "{value}"
            );
        }
    }

    #[test]
    fn the_middle_is_kept() {
        // Red, then a square of green, then blue.
        let stripes = |at: u32| match at {
            0..10 => Rgb([255, 0, 0]),
            10..30 => Rgb([0, 255, 0]),
            _ => Rgb([0, 0, 255]),
        };
        for side in [20, 10, 40] {
            for picture in [
                RgbImage::from_fn(40, 20, |x, _| stripes(x)),
                RgbImage::from_fn(20, 40, |_, y| stripes(y)),
            ] {
                let square = square(&picture, side);
                assert_eq!(square.dimensions(), (side, side));
                assert!(square.pixels().all(|pixel| *pixel == Rgb([0, 255, 0])));
            }
        }
    }

    #[test]
    fn any_shape_is_encoded_or_named() {
        for (width, height) in [(1, 1), (8192, 1), (1, 8192), (3, 2)] {
            let picture = RgbImage::new(width, height);
            let pixels = pixels_from_images(&[picture], 32).unwrap();
            assert_eq!(pixels.shape(), [1, 3, 32, 32]);
        }
        let error = pixels_from_images(&[RgbImage::new(1, 1), RgbImage::new(5, 0)], 32);
        let message = error.unwrap_err().to_string();
        assert_eq!(message, "picture 1 is 5 × 0 pixels large");
    }
}
