//! Pictures as files in memory.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use png::{BitDepth, ColorType, Encoder};
use serde::{Deserialize, Serialize};

/// How a picture is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// With a text that tells how it came about.
    #[default]
    Png,
    /// Without losses, and without that text.
    Webp,
}

/// The bytes of a picture's file; a PNG has `history` in its text `janus`.
pub(super) fn encode(
    picture: &RgbImage,
    format: Format,
    history: &str,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    match format {
        Format::Png => {
            let mut encoder = Encoder::new(&mut bytes, picture.width(), picture.height());
            encoder.set_color(ColorType::Rgb);
            encoder.set_depth(BitDepth::Eight);
            let software = concat!("janus ", env!("CARGO_PKG_VERSION"));
            encoder.add_text_chunk("Software".to_owned(), software.to_owned())?;
            encoder.add_itxt_chunk("janus".to_owned(), history.to_owned())?;
            let mut writer = encoder.write_header()?;
            writer.write_image_data(picture.as_raw())?;
            writer.finish()?;
        }
        Format::Webp => picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::WebP)?,
    }
    Ok(bytes)
}
