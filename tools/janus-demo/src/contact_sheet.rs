//! Many captioned pictures as one.

mod font;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::exam::Sample;

/// Pictures are enlarged by whole numbers to at least this width, in pixels.
const PICTURE_WIDTH: u32 = 192;
/// The frame of a picture, and the space around it, in pixels.
const FRAME: u32 = 4;
const SPACE: u32 = 8;

const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([0, 0, 0]);

/// What the frame of a picture says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Nothing: a thin grey frame.
    Plain,
    /// It is right: green.
    Right,
    /// It is wrong: red.
    Wrong,
}

/// Pictures in a grid, each with a frame and a caption below it.
#[derive(Clone, Debug, Default)]
pub struct ContactSheet {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    picture: RgbImage,
    frame: Frame,
    caption: Vec<String>,
}

impl ContactSheet {
    /// An empty sheet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a picture, enlarged without smoothing. The caption is broken into lines.
    pub fn add(&mut self, picture: &RgbImage, caption: &str, frame: Frame) {
        let scale = PICTURE_WIDTH.div_ceil(picture.width().max(1));
        let (width, height) = (picture.width() * scale, picture.height() * scale);
        self.entries.push(Entry {
            picture: imageops::resize(picture, width, height, FilterType::Nearest),
            frame,
            caption: broken(caption, (width.max(PICTURE_WIDTH) / font::ADVANCE) as usize),
        });
    }

    /// Adds a sample of an examination, in green if it was right and in red if it was not.
    pub fn add_sample(&mut self, sample: &Sample) {
        let frame = if sample.right {
            Frame::Right
        } else {
            Frame::Wrong
        };
        self.add(&sample.picture, &sample.caption, frame);
    }

    /// The sheet with so many pictures in a row (at least one).
    pub fn draw(&self, columns: usize) -> RgbImage {
        let columns = columns.clamp(1, self.entries.len().max(1));
        let width = self.entries.iter().map(Entry::width).max().unwrap_or(0) + SPACE;
        let rows: Vec<_> = self.entries.chunks(columns).collect();
        let heights: Vec<_> = rows
            .iter()
            .map(|row| row.iter().map(Entry::height).max().unwrap_or(0) + SPACE)
            .collect();
        let height = SPACE + heights.iter().sum::<u32>();
        let mut sheet = RgbImage::from_pixel(SPACE + width * columns as u32, height, PAPER);
        let mut top = SPACE;
        for (row, height) in rows.into_iter().zip(heights) {
            for (left, entry) in (SPACE..).step_by(width as usize).zip(row) {
                entry.draw(&mut sheet, left, top);
            }
            top += height;
        }
        sheet
    }
}

impl Entry {
    fn width(&self) -> u32 {
        self.picture.width() + 2 * FRAME
    }

    fn height(&self) -> u32 {
        self.picture.height() + 2 * FRAME + font::LINE * self.caption.len() as u32
    }

    fn draw(&self, sheet: &mut RgbImage, left: u32, top: u32) {
        let colour = match self.frame {
            Frame::Plain => Rgb([190, 190, 190]),
            Frame::Right => Rgb([30, 150, 60]),
            Frame::Wrong => Rgb([215, 30, 40]),
        };
        let (width, height) = self.picture.dimensions();
        let frame = RgbImage::from_pixel(width + 2 * FRAME, height + 2 * FRAME, colour);
        imageops::replace(sheet, &frame, left.into(), top.into());
        imageops::replace(
            sheet,
            &self.picture,
            (left + FRAME).into(),
            (top + FRAME).into(),
        );
        let text = (top + height + 2 * FRAME + 2..).step_by(font::LINE as usize);
        for (line, top) in self.caption.iter().zip(text) {
            font::write(sheet, line, left, top, INK);
        }
    }
}

/// Words in lines of at most so many characters; a longer word gets a line of its own and is cut.
fn broken(text: &str, longest: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(longest).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= longest => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_broken_between_words() {
        assert_eq!(
            broken("a red circle and a drop", 12),
            ["a red circle", "and a drop"]
        );
        assert_eq!(broken("unbreakable", 4), ["unbr"]);
        assert!(broken("  ", 4).is_empty());
    }

    #[test]
    fn pictures_stand_in_a_grid_of_their_own_colours() {
        let mut sheet = ContactSheet::new();
        assert_eq!(sheet.draw(3).dimensions(), (16, 8));
        for (level, frame) in [(10, Frame::Plain), (20, Frame::Right), (30, Frame::Wrong)] {
            sheet.add(
                &RgbImage::from_pixel(48, 48, Rgb([level; 3])),
                "a drop",
                frame,
            );
        }
        let drawn = sheet.draw(2);
        assert_eq!(drawn.dimensions(), (8 + 2 * 208, 8 + 2 * 219));
        assert_eq!(drawn.get_pixel(8 + 4, 8 + 4).0, [10; 3]);
        assert_eq!(drawn.get_pixel(8 + 4 + 191, 8 + 4 + 191).0, [10; 3]);
        assert_eq!(drawn.get_pixel(8 + 208 + 50, 8 + 50).0, [20; 3]);
        assert_eq!(drawn.get_pixel(8 + 208, 8).0, [30, 150, 60]);
        assert_eq!(drawn.get_pixel(8, 8 + 219).0, [215, 30, 40]);
        assert!(drawn.pixels().any(|pixel| *pixel == INK));
    }

    #[test]
    fn larger_pictures_keep_their_size() {
        let mut sheet = ContactSheet::new();
        sheet.add(&RgbImage::new(384, 384), "", Frame::Plain);
        assert_eq!(sheet.draw(1).width(), 8 + 384 + 8 + 8);
    }
}
