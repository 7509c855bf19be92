//! The background of a picture.

use image::RgbImage;

use super::ink::{Vector, difference, length};
use crate::words::{Background, Word};
use crate::world::World;

/// How many pixels wide the border is. Shapes on the board leave one free.
const BORDER: u32 = 1;
/// How far, in grey levels over all channels, a border may be from a background of the world, and
/// its pixels from each other.
const TOLERANCE: f64 = 60.0;
/// The least share of the border that is of one colour.
const PLAIN: f64 = 0.75;

/// The background that the border shows, and its colour as it is in this picture.
pub(super) fn find(picture: &RgbImage) -> Option<(Background, Vector)> {
    let (width, height) = picture.dimensions();
    let outside = |at: u32, size: u32| at < BORDER || at + BORDER >= size;
    let border: Vec<_> = picture
        .enumerate_pixels()
        .filter(|&(x, y, _)| outside(x, width) || outside(y, height))
        .map(|(_, _, pixel)| pixel.0)
        .collect();
    let ground = [0, 1, 2].map(|channel| f64::from(median(&border, channel)));
    let near = |rgb: [u8; 3]| length(difference(rgb.map(f64::from), ground)) <= TOLERANCE;
    let plain = border.iter().filter(|&&rgb| near(rgb)).count();
    if (plain as f64) < PLAIN * border.len() as f64 {
        return None;
    }
    let mut backgrounds = Background::ALL.iter();
    let found = backgrounds.find(|&&background| near(World::get().background_rgb(background)))?;
    Some((*found, ground))
}

fn median(border: &[[u8; 3]], channel: usize) -> u8 {
    let mut levels: Vec<_> = border.iter().map(|rgb| rgb[channel]).collect();
    levels.sort_unstable();
    levels.get(levels.len() / 2).copied().unwrap_or(0)
}
