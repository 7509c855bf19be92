//! Several image tokens a pass: the same tokens, and the same distribution.

use std::collections::BTreeMap;

use janus_pipeline::{ImageParams, Janus, Sampling, SessionOptions};

fn demo() -> Janus {
    janus_tests::load_library();
    Janus::open(janus_tests::demo_model(), &SessionOptions::default()).unwrap()
}

fn params(window: usize, guidance_scale: f32, images: usize, seed: u64) -> ImageParams {
    ImageParams {
        images,
        guidance_scale,
        sampling: Sampling::random(1.0, seed),
        window,
    }
}

/// The tokens of every picture, and how many passes they took.
fn draw(janus: &mut Janus, prompt: &str, params: &ImageParams) -> (Vec<Vec<u32>>, usize) {
    let mut stream = janus.generate_image_tokens(prompt, params).unwrap();
    for step in &mut stream {
        step.unwrap();
    }
    let rows = stream.rows().iter();
    let tokens = rows.map(|row| row.iter().map(|token| token.0).collect());
    (tokens.collect(), stream.passes())
}

#[test]
fn windows_draw_what_plain_decoding_draws() {
    let mut janus = demo();
    let tokens = janus.manifest().vq().unwrap().num_tokens();
    let prompt = "a red circle and a blue square";
    for guidance in [1.0, 5.0] {
        let (plain, passes) = draw(&mut janus, prompt, &params(1, guidance, 3, 11));
        assert_eq!(passes, tokens);
        for window in [2, 3, 8, 64] {
            let (windowed, passes) = draw(&mut janus, prompt, &params(window, guidance, 3, 11));
            assert_eq!(windowed, plain, "window {window}, guidance {guidance}");
            assert!(passes <= tokens, "window {window}: {passes} passes");
        }
    }
}

/// χ² of whole pictures, drawn with windows and without from different seeds: both are samples of
/// one distribution. Pictures that are seen too seldom for the test are counted together.
#[test]
fn windows_leave_the_distribution_as_it_is() {
    const PICTURES: usize = 1280;
    const OFTEN: usize = 10;
    let mut janus = demo();
    let mut sample = |window, seeds: std::ops::Range<u64>| {
        let mut seen = BTreeMap::<Vec<u32>, usize>::new();
        for seed in seeds {
            let params = params(window, 5.0, 64, seed);
            for tokens in draw(&mut janus, "two blue squares", &params).0 {
                *seen.entry(tokens).or_default() += 1;
            }
        }
        seen
    };
    let runs = PICTURES as u64 / 64;
    let plain = sample(1, 0..runs);
    let windowed = sample(4, 1000..1000 + runs);

    let pictures: std::collections::BTreeSet<_> = plain.keys().chain(windowed.keys()).collect();
    let count = |seen: &BTreeMap<_, _>, picture| seen.get(picture).copied().unwrap_or(0);
    let mut cells: Vec<[usize; 2]> = Vec::new();
    let mut rare = [0; 2];
    for picture in pictures {
        let pair = [count(&plain, picture), count(&windowed, picture)];
        match pair[0] + pair[1] >= OFTEN {
            true => cells.push(pair),
            false => rare = [rare[0] + pair[0], rare[1] + pair[1]],
        }
    }
    cells.push(rare);
    let chi2: f64 = cells
        .iter()
        .filter(|[a, b]| a + b > 0)
        .map(|&[a, b]| (a as f64 - b as f64).powi(2) / (a + b) as f64)
        .sum();
    let freedom = (cells.len() - 1) as f64;
    // The 99.9th percentile of χ², by Wilson and Hilferty.
    let limit =
        freedom * (1.0 - 2.0 / (9.0 * freedom) + 3.09 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    assert!(freedom >= 5.0, "{freedom} degrees of freedom tell nothing");
    assert!(
        chi2 < limit,
        "χ² = {chi2} with {freedom} degrees of freedom; at most {limit}"
    );
}
