//! How pictures are prepared for the vision encoder: `preprocessor_config.json`, or since
//! transformers 5 a section of `processor_config.json`.

use std::path::Path;

use janus_runtime::manifest::VisionConfig;
use serde_json::json;

use super::SiglipConfig;
use super::json::{Document, Section};
use crate::error::Result;

/// The file that says what surrounds a picture in a prompt.
pub(crate) const PROCESSOR: &str = "processor_config.json";
/// The files in which the preparation may be, in the order of preference.
pub(crate) const PREPROCESSORS: [&str; 2] = ["preprocessor_config.json", PROCESSOR];

/// Reads the preparation and joins it with the sizes of the encoder.
///
/// If `begin_embed`, the encoder puts a learnt embedding before those of a picture.
pub(crate) fn read(
    released: &Path,
    siglip: &SiglipConfig,
    begin_embed: bool,
) -> Result<VisionConfig> {
    let read = preparation(released, siglip)?;
    Ok(VisionConfig {
        begin_embed,
        ..read
    })
}

fn preparation(released: &Path, siglip: &SiglipConfig) -> Result<VisionConfig> {
    let [preprocessor, processor] =
        PREPROCESSORS.map(|name| Document::read_optional(released, name));
    let (preprocessor, processor) = (preprocessor?, processor?);
    if let Some(processor) = &processor {
        processor.root().agree(
            "num_image_tokens",
            siglip.num_tokens(),
            "patches in a picture",
        )?;
    }
    match (&preprocessor, &processor) {
        (None, Some(processor)) if processor.root().has("image_processor") => {
            prepare(&processor.root().section("image_processor")?, siglip)
        }
        (Some(preprocessor), _) => prepare(&preprocessor.root(), siglip),
        // Says that the file is missing.
        (None, _) => prepare(&Document::read(released, PREPROCESSORS[0])?.root(), siglip),
    }
}

fn prepare(root: &Section<'_>, siglip: &SiglipConfig) -> Result<VisionConfig> {
    for (key, expected) in [
        ("do_resize", json!(true)),
        ("do_rescale", json!(true)),
        ("do_pad", json!(true)),
        ("do_convert_rgb", json!(true)),
        ("resample", json!(3)), // bicubic, as Pillow numbers it
    ] {
        root.expect(key, &expected)?;
    }
    check_size(root, siglip.image_size)?;

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
        begin_embed: false,
        image_mean: image_mean.map(|x| x as f32),
        image_std: image_std.map(|x| x as f32),
        rescale_factor: root
            .number("rescale_factor", 1e-6..=1.0)?
            .unwrap_or(1.0 / 255.0) as f32,
        background,
        min_size: root.size("min_size", 1..=siglip.image_size)?.unwrap_or(14),
    })
}

/// The prepared picture must be as large as the encoder takes it. One layout states one side.
fn check_size(root: &Section<'_>, image_size: usize) -> Result<()> {
    let sides = match root.has("size") {
        true => vec![
            (root.section("size")?, "height"),
            (root.section("size")?, "width"),
        ],
        false => vec![(root.clone(), "image_size")],
    };
    for (section, key) in sides {
        let stated = section
            .size(key, 1..=8192)?
            .ok_or_else(|| section.missing(key))?;
        if stated != image_size {
            let found = format!("the vision encoder takes {image_size}");
            return Err(section.disagrees(key, stated, found));
        }
    }
    Ok(())
}
