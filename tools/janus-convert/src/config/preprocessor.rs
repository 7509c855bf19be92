//! How pictures are prepared for the vision encoder: `preprocessor_config.json`.

use std::path::Path;

use janus_runtime::manifest::VisionConfig;
use serde_json::json;

use super::SiglipConfig;
use super::json::Document;
use crate::error::Result;

/// Name of the file.
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";

/// Reads the preparation and joins it with the sizes of the encoder.
pub(crate) fn read(released: &Path, siglip: &SiglipConfig) -> Result<VisionConfig> {
    let document = Document::read(released, PREPROCESSOR)?;
    let root = document.root();
    for (key, expected) in [
        ("do_resize", json!(true)),
        ("do_rescale", json!(true)),
        ("do_pad", json!(true)),
        ("do_convert_rgb", json!(true)),
        ("resample", json!(3)), // bicubic, as Pillow numbers it
    ] {
        root.expect(key, &expected)?;
    }
    let sizes = match root.has("size") {
        true => [
            ("height", root.section("size")?),
            ("width", root.section("size")?),
        ],
        false => [("image_size", root.clone()), ("image_size", root.clone())],
    };
    for (key, section) in sizes {
        let stated = section
            .size(key, 1..=8192)?
            .ok_or_else(|| section.missing(key))?;
        if stated != siglip.image_size {
            let found = format!("the vision encoder takes {}", siglip.image_size);
            return Err(section.disagrees(key, stated, found));
        }
    }

    // The padding is the mean colour, cut to bytes; grey where there is none.
    let mean = match root.has("image_mean") {
        true => root.triple("image_mean", 0.0..=1.0)?,
        false => None,
    };
    let background = mean.map_or([127; 3], |mean| mean.map(|channel| (channel * 255.0) as u8));
    let (image_mean, image_std) = match root.flag("do_normalize")?.unwrap_or(true) {
        true => (
            mean.ok_or_else(|| root.missing("image_mean"))?,
            root.triple("image_std", 1e-3..=1e3)?
                .ok_or_else(|| root.missing("image_std"))?,
        ),
        false => ([0.0; 3], [1.0; 3]),
    };
    Ok(VisionConfig {
        image_size: siglip.image_size,
        patch_size: siglip.patch_size,
        num_tokens: siglip.num_tokens(),
        image_mean: image_mean.map(|x| x as f32),
        image_std: image_std.map(|x| x as f32),
        rescale_factor: root
            .number("rescale_factor", 1e-6..=1.0)?
            .unwrap_or(1.0 / 255.0) as f32,
        background,
        min_size: root.size("min_size", 1..=siglip.image_size)?.unwrap_or(14),
    })
}
