//! Many requests that come at random: each gets what it gets alone, within the limits.

use std::collections::BTreeMap;

use janus_pipeline::{
    Error, Event, ImageParams, Janus, Limits, Load, Prompt, Request, Sampling, SequenceId,
    SessionOptions, TextParams, WideSteps,
};
use janus_runtime::manifest::DType;

fn demo() -> Janus {
    demo_in(DType::Fp32)
}

fn demo_in(dtype: DType) -> Janus {
    janus_tests::load_library();
    let path = janus_tests::demo_model_in(dtype);
    Janus::open(path, &SessionOptions::default()).unwrap()
}

/// The numbers of a small generator: which ones does not matter.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    }
}

/// A request of either kind, different for each number.
fn request(janus: &mut Janus, i: u64) -> Request {
    let colour = ["red", "blue"][i as usize % 2];
    if i.is_multiple_of(2) {
        let params = TextParams {
            max_new_tokens: 1 + i as usize % 23,
            sampling: Sampling::random(1.5, i),
        };
        let text = format!(
            "is there a {colour} circle? {}",
            "please ".repeat(i as usize % 9)
        );
        let request = janus.text_request(&Prompt::new().user(text), &params);
        return request.unwrap().answers(1 + i as usize % 3);
    }
    let params = ImageParams {
        images: 1 + i as usize % 2,
        guidance_scale: if i.is_multiple_of(3) { 1.0 } else { 4.0 },
        sampling: Sampling::random(1.0, i),
        window: if i.is_multiple_of(7) { 3 } else { 1 },
    };
    janus
        .image_request(&format!("a {colour} square"), &params)
        .unwrap()
}

/// What events say of each sequence.
#[derive(Debug, Default, PartialEq)]
struct Told(BTreeMap<SequenceId, Vec<String>>);

impl Told {
    fn hear(&mut self, event: Event) {
        let (id, what) = match event {
            Event::Text { id, token } => (id, format!("text {token}")),
            Event::Image { id, token } => (id, format!("image {token}")),
            Event::Finished { id, reason } => (id, format!("{reason:?}")),
        };
        self.0.entry(id).or_default().push(what);
    }

    fn of(&self, ids: &[SequenceId]) -> Vec<&[String]> {
        let of = |id| self.0.get(id).map_or(&[][..], Vec::as_slice);
        ids.iter().map(of).collect()
    }
}

#[test]
fn random_arrivals_get_what_they_get_alone() {
    arrive(demo(), WideSteps::Never, 60);
}

/// Of exports with two forms of the transformer as well, whichever sequences go through which.
#[test]
fn either_form_of_the_transformer_gives_what_it_gives_alone() {
    for (dtype, wide_steps) in [
        (DType::Q8, WideSteps::Never),
        (DType::Q8, WideSteps::Pictures),
        (DType::Q4, WideSteps::Pictures),
        (DType::Q4, WideSteps::Always),
    ] {
        let mut janus = demo_in(dtype);
        assert!(janus.llm.has_wide_form());
        // So that some prompts go through either form, whatever was asked before.
        janus.llm.set_prefill_threshold(24);
        arrive(janus, wide_steps, 24);
    }
}

/// Requests that come at random, and some that leave; then each of them alone.
fn arrive(mut janus: Janus, wide_steps: WideSteps, requests: u64) {
    let limits = Limits {
        rows: 10,
        positions: 10 * 192,
        waiting: 8,
        piece: 6,
    };
    let scheduler = janus.scheduler().with_limits(limits);
    let mut scheduler = scheduler.with_wide_steps(wide_steps);
    let mut below = numbers(7);
    let (mut told, mut asked, mut dropped) = (Told::default(), Vec::new(), Vec::new());
    let mut next = 0;
    while next < requests || !scheduler.is_idle() {
        for _ in 0..below(4) {
            if next == requests {
                break;
            }
            let request = request(&mut janus, next);
            match scheduler.submit(request.clone()) {
                Ok(ids) => {
                    asked.push((request, ids));
                    next += 1;
                }
                Err(Error::QueueFull { limit: 8 }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        // Now and then somebody leaves, whatever they have come to.
        if below(20) == 0 && !asked.is_empty() {
            let (_, ids) = &asked[below(asked.len() as u64) as usize];
            ids.iter().for_each(|id| scheduler.cancel(*id));
            dropped.extend(ids.clone());
        }
        for event in scheduler.step(&mut janus.llm).unwrap() {
            told.hear(event);
        }
        let Load {
            batch,
            rows,
            waiting,
            ..
        } = scheduler.load();
        assert!(
            rows <= batch && batch <= 10 && waiting <= 8,
            "{batch} rows, {waiting} wait"
        );
    }
    assert_eq!(scheduler.load(), Load::default());

    for (request, ids) in asked {
        let mut alone = janus.scheduler().with_wide_steps(wide_steps);
        let own = alone.submit(request).unwrap();
        let mut expected = Told::default();
        while !alone.is_idle() {
            alone
                .step(&mut janus.llm)
                .unwrap()
                .into_iter()
                .for_each(|e| expected.hear(e));
        }
        for (id, own) in ids.iter().zip(&own) {
            let (found, expected) = (told.of(&[*id])[0], expected.of(&[*own])[0]);
            match dropped.contains(id) {
                true => assert_eq!(found, &expected[..found.len()], "{id:?}"),
                false => assert_eq!(found, expected, "{wide_steps:?} {id:?}"),
            }
        }
    }
}

/// A long prompt runs piece by piece, and those that run go on meanwhile, a token each step.
#[test]
fn a_long_prompt_holds_nobody_up() {
    const PIECES: usize = 4;
    let mut janus = demo();
    let long = Prompt::new().user("please ".repeat(8));
    let params = TextParams {
        max_new_tokens: 1,
        ..TextParams::default()
    };
    let long = janus.text_request(&long, &params).unwrap();
    let limits = Limits {
        // The last position of a prompt is run with everybody's.
        piece: (long.prompt_positions() - 1).div_ceil(PIECES),
        ..Limits::default()
    };
    let mut scheduler = janus.scheduler().with_limits(limits);
    let running = request(&mut janus, 1);
    let running = scheduler.submit(running).unwrap();
    while scheduler.step(&mut janus.llm).unwrap().is_empty() {}

    let long = scheduler.submit(long).unwrap();
    let mut steps = 0;
    loop {
        steps += 1;
        let events = scheduler.step(&mut janus.llm).unwrap();
        let of = |ids: &[SequenceId]| {
            let is_of = |e: &&Event| matches!(e, Event::Text { id, .. } | Event::Image { id, .. } if ids.contains(id));
            events.iter().filter(is_of).count()
        };
        if of(&long) > 0 {
            break;
        }
        assert_eq!(of(&running), running.len(), "step {steps}");
    }
    assert!((2..=PIECES).contains(&steps), "{steps} steps");
}

/// A request that does not fit yet lets smaller ones pass, but not for ever.
#[test]
fn large_requests_get_their_turn() {
    let mut janus = demo();
    let limits = Limits {
        rows: 2,
        ..Limits::default()
    };
    let mut scheduler = janus.scheduler().with_limits(limits);
    let small = |janus: &mut Janus| request(janus, 6).answers(1);
    let first = small(&mut janus);
    scheduler.submit(first).unwrap();
    scheduler.step(&mut janus.llm).unwrap();
    // Both rows, while one is taken and further requests for one keep coming.
    let large = request(&mut janus, 6).answers(2);
    let large = scheduler.submit(large).unwrap();
    let mut came = 0;
    loop {
        while scheduler.load().waiting < 3 {
            let next = small(&mut janus);
            scheduler.submit(next).unwrap();
            came += 1;
            assert!(came < 40, "it never got its turn");
        }
        let events = scheduler.step(&mut janus.llm).unwrap();
        let is_large = |e: &Event| matches!(e, Event::Text { id, .. } if large.contains(id));
        if events.iter().any(is_large) {
            break;
        }
    }
    assert!(came > 3, "nobody passed");
    let error = scheduler
        .submit(request(&mut janus, 6).answers(3))
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { rows: 3, .. }));
}
