//! A font of 5 × 9 dots for printable ASCII, two rows of them below the line.
//!
//! `font.txt` shows it: six bands of sixteen glyphs, from the space to the box that stands for every
//! other character.

use image::{Rgb, RgbImage};

const FONT: &str = include_str!("font.txt");
/// From one glyph to the next, in pixels.
pub(super) const ADVANCE: u32 = 6;
/// From one line of text to the next, in pixels.
pub(super) const LINE: u32 = 11;

const GLYPH_HEIGHT: usize = 9;
const GLYPHS_IN_BAND: usize = 16;
const FIRST: char = ' ';
const LAST: char = '\u{7f}';

/// Writes a line of text; what is outside of the picture is cut off.
pub(super) fn write(picture: &mut RgbImage, text: &str, left: u32, top: u32, ink: Rgb<u8>) {
    for (glyph, character) in (0..).zip(text.chars()) {
        for (dx, dy) in dots(character) {
            if let Some(pixel) =
                picture.get_pixel_mut_checked(left + glyph * ADVANCE + dx, top + dy)
            {
                *pixel = ink;
            }
        }
    }
}

/// The dots of a character, as column and row.
fn dots(character: char) -> impl Iterator<Item = (u32, u32)> {
    let known = if (FIRST..LAST).contains(&character) {
        character
    } else {
        LAST
    };
    let number = known as usize - FIRST as usize;
    let (band, place) = (number / GLYPHS_IN_BAND, number % GLYPHS_IN_BAND);
    // A band is followed by an empty line.
    let rows = FONT
        .lines()
        .skip(band * (GLYPH_HEIGHT + 1))
        .take(GLYPH_HEIGHT);
    (0..).zip(rows).flat_map(move |(dy, row)| {
        let columns = row
            .bytes()
            .skip(place * ADVANCE as usize)
            .take(ADVANCE as usize);
        (0..)
            .zip(columns)
            .filter(|&(_, dot)| dot == b'#')
            .map(move |(dx, _)| (dx, dy))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(character: char) -> Vec<String> {
        let mut picture = RgbImage::new(5, 9);
        write(&mut picture, &character.to_string(), 0, 0, Rgb([255; 3]));
        let row = |pixels: image::buffer::Pixels<'_, Rgb<u8>>| {
            pixels
                .map(|pixel| if pixel.0[0] > 0 { '#' } else { '.' })
                .collect()
        };
        picture.rows().map(row).collect()
    }

    #[test]
    fn glyphs_are_where_they_are_looked_for() {
        let expected = [
            "..#..", ".#.#.", "#...#", "#...#", "#####", "#...#", "#...#", ".....", ".....",
        ];
        assert_eq!(drawn('A'), expected);
        let expected = [
            ".....", ".....", "####.", "#...#", "#...#", "#...#", "####.", "#....", "#....",
        ];
        assert_eq!(drawn('p'), expected);
        assert_eq!(drawn('é')[0], "#####");
        assert!(drawn(' ').iter().all(|row| row == "....."));
    }

    #[test]
    fn every_glyph_differs() {
        let mut glyphs: Vec<_> = (FIRST..=LAST).map(drawn).collect();
        glyphs.sort();
        glyphs.dedup();
        assert_eq!(glyphs.len(), 96);
    }
}
