//! Pictures in and out of files.

use std::path::{Path, PathBuf};

use image::RgbImage;
use png::{BitDepth, ColorType, Encoder};
use serde::Serialize;
use serde_json::Value;

use crate::files;

/// Keyword of the text that tells everything, and beginning of the others'.
const TEXT: &str = "janus";

/// Reads pictures, in order.
pub(crate) fn open_all(paths: &[PathBuf]) -> Result<Vec<RgbImage>, janus_vision::ImageError> {
    paths.iter().map(janus_vision::open_image).collect()
}

/// Writes a PNG that tells how it came about; `()` tells nothing. The file appears when it is
/// complete.
///
/// The text `janus` has all of `history` as JSON. Each of its plain values, such as `seed`, is also
/// in a text of its own, `janus:seed`, for people and for programs that know no JSON.
pub(crate) fn write(
    path: &Path,
    picture: &RgbImage,
    history: &impl Serialize,
    force: bool,
) -> anyhow::Result<()> {
    let texts = texts(history)?;
    let written = files::write(path, force, |file| {
        let mut encoder = Encoder::new(file, picture.width(), picture.height());
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        let software = concat!("janus ", env!("CARGO_PKG_VERSION"));
        encoder.add_text_chunk("Software".to_owned(), software.to_owned())?;
        for (keyword, text) in texts {
            encoder.add_itxt_chunk(keyword, text)?;
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(picture.as_raw())?;
        Ok(writer.finish()?)
    });
    Ok(written?)
}

/// Keyword and content of each text.
fn texts(history: &impl Serialize) -> serde_json::Result<Vec<(String, String)>> {
    let Value::Object(fields) = serde_json::to_value(history)? else {
        return Ok(Vec::new());
    };
    let mut texts = Vec::new();
    for (name, value) in fields {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        texts.push((format!("{TEXT}:{name}"), text));
    }
    texts.push((TEXT.to_owned(), serde_json::to_string(history)?));
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use serde_json::json;

    #[test]
    fn pictures_and_texts_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fox.png");
        let picture = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 7]));
        let history = json!({ "prompt": "ein Füchslein 狐", "seed": 7, "tokens": [1, 2] });
        write(&path, &picture, &history, false).unwrap();
        assert_eq!(open_all(std::slice::from_ref(&path)).unwrap(), [picture]);
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let reader = png::Decoder::new(file).read_info().unwrap();
        let texts = reader.info().utf8_text.iter();
        let texts: Vec<_> = texts
            .map(|text| (text.keyword.as_str(), text.get_text().unwrap()))
            .collect();
        let expected = [
            ("janus:prompt", "ein Füchslein 狐".to_owned()),
            ("janus:seed", "7".to_owned()),
            ("janus", history.to_string()),
        ];
        assert_eq!(texts, expected);
    }
}
