use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::open_image;

fn config(image_size: usize) -> VisionConfig {
    VisionConfig {
        image_size,
        patch_size: 16,
        num_tokens: (image_size / 16).pow(2),
        begin_embed: false,
        image_mean: [0.5; 3],
        image_std: [0.5; 3],
        rescale_factor: 1.0 / 255.0,
        background: [127; 3],
        min_size: 14,
    }
}

fn expected(picture: &Path, suffix: &str) -> RgbImage {
    let path = picture.with_extension(suffix);
    image::open(&path).unwrap().into_rgb8()
}

#[test]
fn every_byte_is_the_official_processors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/preprocess");
    let listed = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let listed: BTreeMap<String, Value> = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.len(), 7);
    for (name, numbers) in listed {
        let path = folder.join(&name);
        let picture = open_image(&path).unwrap();
        let square = fit_to_square(&picture, &config(384), Convention::Official);
        assert!(square == expected(&path, "expected.png"), "{name}");

        let pixel_values = PixelValues::from_images(&[picture], &config(384), Convention::Official);
        let values = pixel_values.view();
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
        for (found, key) in [(f64::from(values[[0, 0, 0, 0]]), "first"), (mean, "mean")] {
            let difference = found - numbers[key].as_f64().unwrap();
            assert!(
                difference.abs() < 1e-7,
                "{name}: {key} is off by {difference}"
            );
        }
    }
}

#[test]
fn every_byte_is_the_ported_processors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/transformers");
    for name in ["128x61.png", "128x63.png", "34x50.png"] {
        let path = folder.join(name);
        let picture = open_image(&path).unwrap();
        let square = fit_to_square(&picture, &config(64), Convention::Transformers);
        assert!(square == expected(&path, "png.expected.png"), "{name}");
    }
}

#[test]
fn short_sides_follow_the_convention() {
    for (length, longest, official, transformers) in [
        (500, 500, 384, 384),
        (333, 500, 255, 256),
        (61, 128, 183, 183),
        (1, 2, 192, 192),
        (1, 8192, 0, 0),
        // Halves go to the even neighbour: 1.5 and 4.5.
        (1, 256, 1, 2),
        (3, 256, 4, 4),
    ] {
        assert_eq!(Convention::Official.scaled(length, longest, 384), official);
        assert_eq!(
            Convention::Transformers.scaled(length, longest, 384),
            transformers
        );
    }
}

#[test]
fn any_shape_fills_the_square() {
    for (width, height) in [
        (0, 0),
        (0, 5),
        (1, 1),
        (2, 2),
        (1, 8192),
        (8192, 1),
        (7, 4000),
    ] {
        let picture = RgbImage::from_pixel(width, height, Rgb([255, 0, 0]));
        for convention in [Convention::Official, Convention::Transformers] {
            let square = fit_to_square(&picture, &config(64), convention);
            assert_eq!(square.dimensions(), (64, 64));
            let middle = if picture.is_empty() {
                [127; 3]
            } else {
                [255, 0, 0]
            };
            assert_eq!(square.get_pixel(32, 32).0, middle, "{width} × {height}");
        }
    }
    // A least size beyond the square is cut to the square.
    let greedy = VisionConfig {
        min_size: 100,
        ..config(64)
    };
    let square = fit_to_square(&RgbImage::new(9, 3), &greedy, Convention::Official);
    assert!(square.pixels().all(|pixel| pixel.0 == [0; 3]));
}

#[test]
fn channels_are_planes() {
    let colour = VisionConfig {
        image_mean: [0.0, 0.5, 1.0],
        image_std: [1.0, 0.5, 0.25],
        ..config(16)
    };
    let picture = RgbImage::from_pixel(16, 16, Rgb([0, 255, 51]));
    let pixel_values = PixelValues::from_images(&[picture], &colour, Convention::Official);
    assert_eq!(pixel_values.view().shape(), [1, 3, 16, 16]);
    for (channel, expected) in [0.0, 1.0, (51.0 / 255.0 - 1.0) * 4.0]
        .into_iter()
        .enumerate()
    {
        let plane = pixel_values
            .view()
            .index_axis_move(Axis(0), 0)
            .index_axis_move(Axis(0), channel);
        assert!(
            plane
                .iter()
                .all(|&value: &f32| (value - expected as f32).abs() < 1e-6)
        );
    }
}
