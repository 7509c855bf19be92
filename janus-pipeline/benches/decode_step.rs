//! How long a step of the scheduler takes with the demo model: the decoder, a head, sampling and
//! embedding, and what lies between.
//!
//! `cargo bench -p janus-pipeline`

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use janus_pipeline::{
    LanguageModel, Manifest, ModelDir, Request, Sampling, Scheduler, SessionOptions, TokenId,
};

/// Positions of the prompt.
const PROMPT: u32 = 32;
/// Tokens of an answer or a picture: more than a picture of the demo model has, so that steps are
/// timed and not prompts.
const TOKENS: usize = 200;

#[derive(Clone, Copy)]
enum Task {
    Answer,
    GuidedPictures(usize),
}

impl Task {
    fn request(self, llm: &mut LanguageModel) -> Request {
        let ids: Vec<_> = (0..PROMPT).map(TokenId).collect();
        let prompt = llm.embed_text(&ids).expect("ids of the vocabulary");
        let sampling = Sampling::random(1.0, 7);
        match self {
            Self::Answer => Request::Text {
                prompt,
                sampling,
                answers: 1,
                max_new_tokens: TOKENS,
                // No token at all, so that the answer does not end.
                eos: TokenId(u32::MAX),
            },
            Self::GuidedPictures(images) => Request::Images {
                guidance: Some((prompt.clone(), 5.0)),
                prompt,
                sampling,
                images,
                tokens: TOKENS,
                window: 1,
            },
        }
    }
}

/// The time of `steps` steps, prompts left out.
fn time(llm: &mut LanguageModel, model: &Manifest, task: Task, steps: u64) -> Duration {
    let vocabulary = model.tokens.tokenizer_size as usize;
    let mut spent = Duration::ZERO;
    let mut left = steps;
    while left > 0 {
        let request = task.request(llm);
        let mut scheduler = Scheduler::new(llm, vocabulary);
        scheduler.submit(request).expect("room in the context");
        while scheduler.step(llm).expect("a prompt").is_empty() {}
        let begun = Instant::now();
        while left > 0 && !scheduler.is_idle() {
            scheduler.step(llm).expect("a step");
            left -= 1;
        }
        spent += begun.elapsed();
    }
    spent
}

fn decode_step(criterion: &mut Criterion) {
    janus_tests::load_library();
    let dir = ModelDir::open(janus_tests::demo_model()).expect("the demo model");
    let model = dir.manifest();
    let mut llm = LanguageModel::open(&dir, &SessionOptions::default()).expect("its graphs");
    let mut group = criterion.benchmark_group("decode_step");
    for (name, task) in [
        ("answer", Task::Answer),
        ("guided picture", Task::GuidedPictures(1)),
        ("4 guided pictures", Task::GuidedPictures(4)),
    ] {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|steps| time(&mut llm, model, task, steps));
        });
    }
    group.finish();
}

criterion_group!(benches, decode_step);
criterion_main!(benches);
