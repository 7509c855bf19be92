//! Pictures as numbers from −1 to 1, and back.

use std::array;

use image::imageops::{FilterType, crop_imm, resize};
use image::{Rgb, RgbImage};
use ndarray::{Array4, ArrayView3, ArrayView4, Axis};

use crate::error::{Error, Result};

/// Pictures as the tokenizer was trained on them, `[n, 3, size, size]`, −1 to 1: the short side
/// scaled to `size`, the long one cropped around its middle.
///
/// The papers do not say which filter they scale with; Lanczos is used here. A square picture of
/// the right size keeps its pixels.
///
/// # Errors
///
/// [`Error::EmptyPicture`] where a picture has no pixels.
pub fn pixels_from_pictures(pictures: &[RgbImage], size: usize) -> Result<Array4<f32>> {
    // Reference arithmetic: to 0…1, then mean and deviation of one half.
    let levels: [f32; 256] = array::from_fn(|byte| (byte as f32 / 255.0 - 0.5) / 0.5);
    let mut pixels = Array4::zeros((pictures.len(), 3, size, size));
    for (i, (picture, mut planes)) in pictures.iter().zip(pixels.outer_iter_mut()).enumerate() {
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::EmptyPicture {
                picture: i,
                width,
                height,
            });
        }
        let square = cropped(picture, size as u32);
        for (c, mut plane) in planes.outer_iter_mut().enumerate() {
            for (value, pixel) in plane.iter_mut().zip(square.pixels()) {
                *value = levels[usize::from(pixel[c])];
            }
        }
    }
    Ok(pixels)
}

fn cropped(picture: &RgbImage, size: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    if (width, height) == (size, size) {
        return picture.clone();
    }
    let short = width.min(height);
    // Cropping before scaling gives the same square and scales less.
    let middle = crop_imm(
        picture,
        (width - short) / 2,
        (height - short) / 2,
        short,
        short,
    );
    resize(&middle.to_image(), size, size, FilterType::Lanczos3)
}

/// Pictures of `pixels [n, 3, h, w]`, rounded as the official code does:
/// `clip((x + 1) / 2 · 255, 0, 255)`, then cut to a whole number.
///
/// # Panics
///
/// Where there are not three channels.
pub fn pixels_to_pictures(pixels: ArrayView4<'_, f32>) -> Vec<RgbImage> {
    pixels.axis_iter(Axis(0)).map(to_picture).collect()
}

fn to_picture(pixels: ArrayView3<'_, f32>) -> RgbImage {
    let (_, height, width) = pixels.dim();
    // Reference arithmetic: add, halve, scale, in 32 bits and in this order.
    let byte = |x: f32| ((x + 1.0) / 2.0 * 255.0).clamp(0.0, 255.0) as u8;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let (x, y) = (x as usize, y as usize);
        Rgb([0, 1, 2].map(|c| byte(pixels[[c, y, x]])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn bytes_are_cut_not_rounded() {
        let values = [-2.0, -1.0, -0.999, 0.0, 0.999, 1.0, 3.0];
        let pixels = Array::from_shape_fn((1, 3, 1, 7), |(_, _, _, x)| values[x]);
        let picture = &pixels_to_pictures(pixels.view())[0];
        let row: Vec<_> = picture.pixels().map(|Rgb(p)| p[0]).collect();
        assert_eq!(row, [0, 0, 0, 127, 254, 255, 255]);
    }

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        let picture = RgbImage::from_fn(16, 16, |x, y| {
            let byte = (y * 16 + x) as u8;
            Rgb([byte, 255 - byte, byte / 2])
        });
        let pixels = pixels_from_pictures(std::slice::from_ref(&picture), 16).unwrap();
        // Cutting may lose one step, never more.
        for (a, b) in pixels_to_pictures(pixels.view())[0]
            .iter()
            .zip(picture.iter())
        {
            assert!(b - a <= 1, "{a} for {b}");
        }
    }

    #[test]
    fn the_middle_is_kept() {
        let picture = RgbImage::from_fn(60, 20, |x, _| Rgb([if x / 20 == 1 { 255 } else { 0 }; 3]));
        let pixels = pixels_from_pictures(&[picture], 10).unwrap();
        assert_eq!(pixels.dim(), (1, 3, 10, 10));
        assert!(pixels.iter().all(|&x| x == 1.0));
        // A stripe of one pixel is scaled as a square of one pixel, not as a square of 8192.
        for (width, height) in [(1, 1), (8192, 1), (1, 8192)] {
            let pixels = pixels_from_pictures(&[RgbImage::new(width, height)], 10).unwrap();
            assert!(pixels.iter().all(|&x| x == -1.0));
        }
        let empty = pixels_from_pictures(&[RgbImage::new(0, 5)], 10).unwrap_err();
        assert_eq!(empty.to_string(), "picture 0 is 0 × 5 pixels");
    }
}
