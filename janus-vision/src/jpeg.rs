//! JPEG files to pixels, with the same bytes as libjpeg-turbo.
//!
//! Pillow decodes with libjpeg-turbo. The decoder of the `image` crate differs from it by up to
//! eleven levels, a quarter of all values in ordinary photos; this one does not differ. It is
//! built without its SIMD code, which is half of its `unsafe` code: the files come from strangers.

use image::RgbImage;
use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};

use crate::error::Source;

/// More passes over a picture than any encoder makes, and few enough to be cheap.
const MAX_SCANS: usize = 100;

/// A JPEG file whose header was read.
pub(crate) struct Jpeg<'a>(Decoder<'a>);

impl<'a> Jpeg<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Source> {
        if !has_end(bytes) {
            return Err("the file is cut off".into());
        }
        let limits = DecodeLimits {
            max_scans: MAX_SCANS,
            ..DecodeLimits::default()
        };
        let decoder = Decoder::new_with_limits(bytes, limits)?;
        match decoder.header().precision {
            8 => Ok(Self(decoder.with_output_format(PixelFormat::Rgb))),
            bits => Err(format!("{bits} bits per sample are not supported").into()),
        }
    }

    /// Width and height in pixels.
    pub(crate) fn dimensions(&self) -> (u32, u32) {
        let header = self.0.header();
        (header.width.into(), header.height.into())
    }

    pub(crate) fn decode(self) -> Result<RgbImage, Source> {
        let (width, height) = self.dimensions();
        let decoded = self.0.decode_image()?;
        RgbImage::from_raw(width, height, decoded.data)
            .ok_or_else(|| "the decoder gave another number of pixels".into())
    }
}

/// Whether the picture's end marker is there. Without it the decoder would fill the rest with
/// grey and not say so.
fn has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // Markers follow one another, and after a start of scan its entropy-coded bytes, in which
    // 0xFF is followed by 0, by a restart marker, or by another 0xFF.
    while let Some(at) = rest.iter().position(|&byte| byte == 0xFF) {
        rest = &rest[at + 1..];
        let length = match rest {
            [0xD9, ..] => return true,
            [0x00 | 0x01 | 0xD0..=0xD8 | 0xFF, ..] => 0,
            [_, high, low, ..] => 1 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => return false,
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_only_where_markers_are() {
        let cases: [(&[u8], bool); 8] = [
            (&[0xFF, 0xD8, 0xFF, 0xD9], true),
            (&[0xFF, 0xD8, 0xFF, 0xD9, 1, 2, 3], true),
            (&[0xFF, 0xD8], false),
            // The end marker of a thumbnail inside an EXIF segment is not the picture's.
            (&[0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xD9], false),
            (
                &[0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xD9, 0xFF, 0xD9],
                true,
            ),
            (
                &[
                    0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 7, 0xFF, 0, 0xFF, 0xD3, 9, 0xFF, 0xFF, 0xD9,
                ],
                true,
            ),
            (&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 7, 0xFF, 0, 0xFF], false),
            (&[0xFF, 0xD8, 0xFF, 0xE1, 0xFF, 0xFF], false),
        ];
        for (bytes, expected) in cases {
            assert_eq!(has_end(bytes), expected, "{bytes:x?}");
        }
    }
}
