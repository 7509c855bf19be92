//! How long it takes to choose one token from the scores, by each way of choosing.
//!
//! `cargo bench -p janus-llm`

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use janus_llm::{Logits, Sampler, Sampling};
use janus_runtime::{ImageToken, Token, TokenId};
use ndarray::Array2;

/// Image tokens, and rows of the text head, of a released model.
const CODEBOOK: usize = 16_384;
const VOCABULARY: usize = 102_400;

/// Rows of scores that look random.
fn logits<T: Token>(rows: usize, vocabulary: usize) -> Logits<T> {
    let score = |(row, i)| ((row * 31 + i) * 1_000_003 % 1009) as f32 / 100.0;
    Logits::new(Array2::from_shape_fn((rows, vocabulary), score))
}

fn random(top_k: Option<usize>, top_p: Option<f32>) -> Sampling {
    Sampling::Random {
        temperature: 1.0,
        top_k,
        top_p,
        seed: 7,
    }
}

fn sample_from<T: Token>(criterion: &mut Criterion, name: &str, vocabulary: usize) {
    let scores = logits::<T>(1, vocabulary);
    let mut group = criterion.benchmark_group(name);
    for (way, sampling) in [
        ("greedy", Sampling::Greedy),
        ("random", random(None, None)),
        ("top-k 50", random(Some(50), None)),
        ("top-p 0.95", random(None, Some(0.95))),
    ] {
        let mut sampler = Sampler::new(sampling, 0).expect("settings in range");
        group.bench_function(BenchmarkId::from_parameter(way), |bencher| {
            bencher.iter(|| sampler.sample::<T>(black_box(scores.row(0))));
        });
    }
    group.finish();
}

fn sampling(criterion: &mut Criterion) {
    sample_from::<ImageToken>(criterion, "image_token", CODEBOOK);
    sample_from::<TokenId>(criterion, "text_token", VOCABULARY);

    let pair = logits::<ImageToken>(2, CODEBOOK);
    criterion.bench_function("guidance", |bencher| {
        let guide = |pair: Logits<ImageToken>| pair.guided(black_box(5.0));
        bencher.iter_batched(|| pair.clone(), guide, BatchSize::SmallInput);
    });
}

criterion_group!(benches, sampling);
criterion_main!(benches);
