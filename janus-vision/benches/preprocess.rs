//! How long it takes to read a photo and to fit it into the square that the encoder sees.
//!
//! `cargo bench -p janus-vision`

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use image::{Rgb, RgbImage};
use janus_runtime::manifest::VisionConfig;
use janus_vision::{Convention, PixelValues, decode_image, fit_to_square};

fn config() -> VisionConfig {
    VisionConfig {
        image_size: 384,
        patch_size: 16,
        num_tokens: 576,
        begin_embed: false,
        image_mean: [0.5; 3],
        image_std: [0.5; 3],
        rescale_factor: 1.0 / 255.0,
        background: [127; 3],
        min_size: 14,
    }
}

/// A picture without flat areas.
fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([x * 7 + y, x ^ y, x * y / 64].map(|level| level as u8))
    })
}

fn preprocess(criterion: &mut Criterion) {
    let config = config();
    let mut group = criterion.benchmark_group("fit_to_square");
    for (width, height) in [
        (384, 384),
        (640, 480),
        (1920, 1080),
        (4000, 3000),
        (3000, 4000),
    ] {
        let picture = pattern(width, height);
        group.bench_function(
            BenchmarkId::from_parameter(format!("{width}x{height}")),
            |bencher| {
                bencher.iter(|| fit_to_square(black_box(&picture), &config, Convention::Official));
            },
        );
    }
    group.finish();

    let pictures = [pattern(384, 384)];
    criterion.bench_function("normalize", |bencher| {
        bencher
            .iter(|| PixelValues::from_images(black_box(&pictures), &config, Convention::Official));
    });

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/preprocess");
    let mut group = criterion.benchmark_group("decode");
    for name in ["00_500x333_rgb.png", "06_411x217_jpeg.jpg"] {
        let bytes = std::fs::read(folder.join(name)).expect("a picture of the repository");
        group.bench_function(name, |bencher| {
            bencher.iter(|| decode_image(black_box(&bytes)))
        });
    }
    group.finish();
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
