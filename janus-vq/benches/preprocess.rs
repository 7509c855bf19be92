//! How long it takes to make pixels of pictures and pictures of pixels.
//!
//! `cargo bench -p janus-vq`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use image::{Rgb, RgbImage};
use janus_vq::{pixels_from_pictures, pixels_to_pictures};

/// A picture without flat areas.
fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([x * 7 + y, x ^ y, x * y / 64].map(|level| level as u8))
    })
}

fn preprocess(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pixels_from_pictures");
    for (width, height) in [(384, 384), (640, 480), (4000, 3000)] {
        let pictures = [pattern(width, height)];
        group.bench_function(
            BenchmarkId::from_parameter(format!("{width}x{height}")),
            |bencher| {
                bencher.iter(|| pixels_from_pictures(black_box(&pictures), 384));
            },
        );
    }
    group.finish();

    let pixels = pixels_from_pictures(&[pattern(384, 384)], 384).expect("it has pixels");
    criterion.bench_function("pixels_to_pictures", |bencher| {
        bencher.iter(|| pixels_to_pictures(black_box(pixels.view())));
    });
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
