//! Both loops end to end: seeds, batches, company, conventions, limits.

use image::RgbImage;
use janus_pipeline::{
    Error, Event, FinishReason, ImageParams, Janus, Prompt, Request, Sampling, Scheduler,
    SessionOptions, TextParams, TokenId,
};
use janus_runtime::manifest::DType;
use janus_tests::{load_library, tiny_model};

fn tiny() -> Janus {
    load_library();
    Janus::open(
        tiny_model("released", DType::Fp32),
        &SessionOptions::default(),
    )
    .unwrap()
}

fn picture(seed: u8) -> RgbImage {
    RgbImage::from_fn(80, 50, |x, y| {
        image::Rgb([seed, (x * 3) as u8, (y * 5) as u8])
    })
}

fn params(images: usize, guidance_scale: f32, seed: u64) -> ImageParams {
    ImageParams {
        images,
        guidance_scale,
        sampling: Sampling::random(1.0, seed),
        window: 1,
    }
}

fn draw(janus: &mut Janus, prompt: &str, params: &ImageParams) -> Vec<Vec<u32>> {
    let mut stream = janus.generate_image_tokens(prompt, params).unwrap();
    for step in &mut stream {
        step.unwrap();
    }
    stream
        .rows()
        .iter()
        .map(|row| row.iter().map(|token| token.0).collect())
        .collect()
}

fn answer(janus: &mut Janus, prompt: &Prompt, params: &TextParams) -> Vec<TokenId> {
    let mut stream = janus.generate_text(prompt, params).unwrap();
    for piece in &mut stream {
        piece.unwrap();
    }
    stream.tokens().to_vec()
}

#[test]
fn a_batch_equals_single_pictures() {
    let mut janus = tiny();
    for guidance in [1.0, 5.0] {
        let three = draw(&mut janus, "a red fox", &params(3, guidance, 11));
        let one = draw(&mut janus, "a red fox", &params(1, guidance, 11));
        assert_eq!(three[0], one[0], "guidance {guidance}");
        assert_ne!(three[0], three[1]);
        assert_eq!(
            three,
            draw(&mut janus, "a red fox", &params(3, guidance, 11))
        );
        assert_ne!(
            three,
            draw(&mut janus, "a red fox", &params(3, guidance, 12))
        );
        assert!(
            three
                .iter()
                .all(|row| row.len() == 16 && row.iter().all(|&t| t < 128))
        );
    }
}

/// A picture drawn without a cache: the whole sequence is run anew for every token.
#[test]
fn cached_drawing_equals_uncached() {
    let mut janus = tiny();
    let cached = draw(&mut janus, "a blue ship", &params(1, 5.0, 3)).remove(0);

    let special = janus.tokenizer.special().clone();
    let role = |text: &str| janus.tokenizer.encode(text).unwrap();
    assert!(
        role("<|User|>").len() > 1,
        "typed control tokens are letters"
    );

    let mut prompt = vec![TokenId(special.bos), TokenId(6)];
    prompt.extend(role(": a blue ship\n\n"));
    prompt.push(TokenId(7));
    prompt.extend(role(":"));
    prompt.push(TokenId(special.begin_of_image));
    let last = prompt.len() - 1;
    let unconditional: Vec<_> = prompt
        .iter()
        .enumerate()
        .map(|(i, &id)| {
            if i == 0 || i == last {
                id
            } else {
                TokenId(special.pad)
            }
        })
        .collect();

    let mut sampler = janus_llm::Sampler::new(Sampling::random(1.0, 3), 0).unwrap();
    let mut drawn: Vec<janus_pipeline::ImageToken> = Vec::new();
    for _ in 0..16 {
        let mut scores = Vec::new();
        for ids in [&prompt, &unconditional] {
            let mut cache = janus.llm.new_cache(1, 64).unwrap();
            let text = janus.llm.embed_text(ids).unwrap();
            let mut hidden = janus.llm.forward(&text, &mut cache).unwrap();
            for token in &drawn {
                let embeds = janus.llm.embed_image_tokens(&[*token]).unwrap();
                hidden = janus.llm.forward(&embeds, &mut cache).unwrap();
            }
            scores.push(janus.llm.image_logits(&hidden.last()).unwrap());
        }
        let guided = &scores[1].view() + 5.0 * (&scores[0].view() - &scores[1].view());
        drawn.push(sampler.sample(guided.row(0)));
    }
    assert_eq!(
        cached,
        drawn.iter().map(|token| token.0).collect::<Vec<_>>()
    );
}

#[test]
fn answers_repeat_and_end() {
    let mut janus = tiny();
    let prompt = Prompt::new().user_with(vec![picture(9)], "What is this?");
    let greedy = TextParams {
        max_new_tokens: 12,
        ..TextParams::default()
    };
    let first = answer(&mut janus, &prompt, &greedy);
    assert!(!first.is_empty() && first.len() <= 12);
    assert_eq!(first, answer(&mut janus, &prompt, &greedy));
    let shorter = TextParams {
        max_new_tokens: 5,
        ..greedy
    };
    assert_eq!(
        answer(&mut janus, &prompt, &shorter),
        first[..first.len().min(5)]
    );

    let seeded = |seed| TextParams {
        max_new_tokens: 12,
        sampling: Sampling::random(1.0, seed),
    };
    let one = answer(&mut janus, &prompt, &seeded(1));
    assert_eq!(one, answer(&mut janus, &prompt, &seeded(1)));
    assert_ne!(one, answer(&mut janus, &prompt, &seeded(2)));
}

#[test]
fn other_pictures_and_turns_change_the_answer() {
    let mut janus = tiny();
    let params = TextParams {
        max_new_tokens: 8,
        ..TextParams::default()
    };
    let one = Prompt::new().user_with(vec![picture(9)], "What is this?");
    let other = Prompt::new().user_with(vec![picture(200)], "What is this?");
    let two = Prompt::new().user_with(vec![picture(9), picture(200)], "What is this?");
    let later = one.clone().assistant("A ship.").user("Sure?");
    let answers = [&one, &other, &two, &later].map(|p| answer(&mut janus, p, &params));
    for (i, a) in answers.iter().enumerate() {
        for b in &answers[i + 1..] {
            assert_ne!(a, b);
        }
    }
}

/// Text and pictures in one batch give what they give alone, also where they come and go.
#[test]
fn company_changes_nothing() {
    let mut janus = tiny();
    let vocabulary = janus.manifest().tokens.tokenizer_size as usize;
    let text = |llm: &mut janus_llm::LanguageModel, seed: u32| Request::Text {
        prompt: llm
            .embed_text(&[TokenId(0), TokenId(seed), TokenId(40 + seed)])
            .unwrap(),
        sampling: Sampling::random(1.0, u64::from(seed)),
        answers: 1,
        max_new_tokens: 6 + seed as usize,
        eos: TokenId(1),
    };
    let image = |llm: &mut janus_llm::LanguageModel, seed: u32, guided: bool| Request::Images {
        prompt: llm
            .embed_text(&[TokenId(0), TokenId(50 + seed), TokenId(3)])
            .unwrap(),
        guidance: guided.then(|| {
            (
                llm.embed_text(&[TokenId(0), TokenId(2), TokenId(3)])
                    .unwrap(),
                3.0,
            )
        }),
        sampling: Sampling::random(1.0, u64::from(seed)),
        images: 2,
        tokens: 10,
        window: 1,
    };
    let requests = [
        text(&mut janus.llm, 11),
        image(&mut janus.llm, 1, true),
        text(&mut janus.llm, 23),
        image(&mut janus.llm, 2, false),
    ];

    let alone: Vec<Vec<Event>> = requests
        .iter()
        .map(|request| {
            let mut scheduler = Scheduler::new(&janus.llm, vocabulary);
            scheduler.submit(request.clone()).unwrap();
            let mut events = Vec::new();
            while !scheduler.is_idle() {
                events.extend(scheduler.step(&mut janus.llm).unwrap());
            }
            events
        })
        .collect();

    let mut scheduler = Scheduler::new(&janus.llm, vocabulary);
    let mut ids = Vec::new();
    let mut events = Vec::new();
    for request in &requests {
        ids.push(scheduler.submit(request.clone()).unwrap());
        // The next one comes when this one has begun.
        events.extend(scheduler.step(&mut janus.llm).unwrap());
        events.extend(scheduler.step(&mut janus.llm).unwrap());
    }
    while !scheduler.is_idle() {
        events.extend(scheduler.step(&mut janus.llm).unwrap());
    }
    for (request, ids) in alone.iter().zip(&ids) {
        for (i, id) in ids.iter().enumerate() {
            let of = |events: &[Event], wanted: u64| -> Vec<String> {
                events.iter().filter_map(|e| told(*e, wanted)).collect()
            };
            assert_eq!(of(&events, id.0), of(request, i as u64));
        }
    }
}

/// What an event says of the sequence `wanted`.
fn told(event: Event, wanted: u64) -> Option<String> {
    let (id, what) = match event {
        Event::Text { id, token } => (id, format!("text {token}")),
        Event::Image { id, token } => (id, format!("image {token}")),
        Event::Finished { id, reason } => (id, format!("{reason:?}")),
    };
    (id.0 == wanted).then_some(what)
}

#[test]
fn a_cancelled_sequence_leaves_the_others_alone() {
    let mut janus = tiny();
    let request = Request::Images {
        prompt: janus
            .llm
            .embed_text(&[TokenId(0), TokenId(60), TokenId(3)])
            .unwrap(),
        guidance: None,
        sampling: Sampling::random(1.0, 5),
        images: 3,
        tokens: 8,
        window: 1,
    };
    let mut run = |cancel: bool| {
        let mut scheduler = Scheduler::new(&janus.llm, 300);
        let ids = scheduler.submit(request.clone()).unwrap();
        let mut events = scheduler.step(&mut janus.llm).unwrap();
        if cancel {
            scheduler.cancel(ids[1]);
        }
        while !scheduler.is_idle() {
            events.extend(scheduler.step(&mut janus.llm).unwrap());
        }
        events
    };
    let (all, cut) = (run(false), run(true));
    for kept in [0, 2] {
        let of =
            |events: &[Event]| -> Vec<_> { events.iter().filter_map(|e| told(*e, kept)).collect() };
        assert_eq!(of(&all), of(&cut));
    }
    assert_eq!(cut.iter().filter(|e| told(**e, 1).is_some()).count(), 1);
}

#[test]
fn streams_count_down_and_preview() {
    let mut janus = tiny();
    let mut stream = janus
        .generate_image_tokens("x", &params(2, 5.0, 1))
        .unwrap();
    assert_eq!(stream.len(), 16);
    stream.next().unwrap().unwrap();
    assert_eq!(stream.len(), 15);
    let early = stream.pictures().unwrap();
    for step in &mut stream {
        step.unwrap();
    }
    let done = stream.pictures().unwrap();
    assert_eq!((done.len(), done[0].dimensions()), (2, (64, 64)));
    assert_ne!(early, done);
    assert_eq!(
        done,
        janus.generate_images("x", &params(2, 5.0, 1)).unwrap()
    );
}

#[test]
fn limits_are_named() {
    let mut janus = tiny();
    let error = |result: Result<Vec<RgbImage>, Error>| result.unwrap_err().to_string();
    assert_eq!(
        error(janus.generate_images("x", &params(0, 5.0, 1))),
        "images is 0; it should be 1 to 64"
    );
    assert_eq!(
        error(janus.generate_images("x", &params(1, f32::NAN, 1))),
        "guidance_scale is NaN; it should be a finite number"
    );
    let long = "word ".repeat(600);
    assert!(matches!(
        janus.generate_images(&long, &params(1, 5.0, 1)),
        Err(Error::PromptTooLong { limit: 512, .. })
    ));
    let prompt = Prompt::new().user(&long);
    assert!(matches!(
        janus.generate_text(&prompt, &TextParams::default()),
        Err(Error::PromptTooLong { limit: 512, .. })
    ));

    // An answer that would not fit is cut to what does.
    let prompt = Prompt::new().system("").user("a ".repeat(245));
    let mut stream = janus
        .generate_text(
            &prompt,
            &TextParams {
                max_new_tokens: 5000,
                ..TextParams::default()
            },
        )
        .unwrap();
    let room = 512 - stream.prompt_tokens() + 1;
    for piece in &mut stream {
        piece.unwrap();
    }
    let cut = stream.finish_reason() == Some(FinishReason::Length);
    assert!(!cut || stream.tokens().len() == room);
}
