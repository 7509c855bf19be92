//! Drawing by rectified flow: what is kept from step to step equals what is computed anew, and
//! company changes nothing.

use image::{Rgb, RgbImage};
use janus_flow::{FlowDecoder, FlowEncoder, VaeDecoder, noise};
use janus_llm::{Embeddings, LanguageModel};
use janus_pipeline::{Error, FlowParams, Guidance, ImageParams, Janus, Prompt, Solver, TextParams};
use janus_runtime::manifest::{DType, DrawingConfig, Family};
use janus_runtime::{ModelDir, SessionOptions, TokenId};
use janus_tests::{assert_close, demo_flow, flow_golden, load_library, tiny_flow, tiny_model};
use ndarray::{Array4, ArrayD, Axis, Ix4, s};

const TOLERANCE: f64 = 1e-5;

fn tiny() -> ModelDir {
    load_library();
    ModelDir::open(tiny_flow(DType::Fp32)).unwrap()
}

/// The small JanusFlow of `tools/demo-flow`, whose weights are trained.
fn trained() -> ModelDir {
    load_library();
    ModelDir::open(demo_flow()).unwrap()
}

fn opened(model: &ModelDir) -> Janus {
    Janus::from_dir(model, &SessionOptions::default()).unwrap()
}

fn janus() -> Janus {
    opened(&tiny())
}

fn params() -> FlowParams {
    FlowParams {
        steps: 4,
        seed: 5,
        ..FlowParams::default()
    }
}

fn drawn(janus: &mut Janus, prompt: &str, params: &FlowParams) -> Vec<Array4<f32>> {
    let mut stream = janus.generate_flow(prompt, params).unwrap();
    for step in &mut stream {
        step.unwrap();
    }
    let ends = stream.trajectories().iter();
    ends.map(|trajectory| trajectory.latents().clone())
        .collect()
}

#[test]
fn the_manifest_says_how_it_draws() {
    let model = tiny();
    let manifest = model.manifest();
    assert_eq!(manifest.family, Family::JanusFlow);
    let DrawingConfig::Flow(flow) = &manifest.drawing else {
        panic!("{:?}", manifest.drawing)
    };
    assert_eq!((flow.latent_channels, flow.latent_size), (4, 8));
    assert_eq!((flow.grid, flow.image_size, flow.steps), ([4, 4], 64, 30));
    assert_eq!(manifest.generation.guidance_scale, 2.0);
    assert_eq!(
        (&*manifest.chat.user, manifest.vision.num_embeds()),
        ("User", 17)
    );
    let error = manifest.vq().unwrap_err();
    assert_eq!(
        error.to_string(),
        "a janus-flow model draws by rectified flow, not by image tokens"
    );
}

/// Positions that are run after a cached prefix, and again after the cache was cut back, give what
/// the whole sequence gives in one pass.
#[test]
fn a_kept_prefix_equals_the_whole_sequence() {
    for model in [tiny(), trained()] {
        a_kept_prefix_equals_the_whole_sequence_of(&model);
    }
}

fn a_kept_prefix_equals_the_whole_sequence_of(model: &ModelDir) {
    let options = SessionOptions::default();
    let mut llm = LanguageModel::open(model, &options).unwrap();
    let mut encoder = FlowEncoder::open(model, &options).unwrap();
    let ids: Vec<_> = [0, 351, 163, 142, 365, 226].map(TokenId).into();
    let prompt = llm.embed_text(&ids).unwrap();
    let new = 1 + encoder.config().num_tokens();
    let mut kept = llm.new_cache(1, 6 + new).unwrap();
    llm.forward(&prompt, &mut kept).unwrap();
    for time in [0.0, 0.25, 0.75] {
        let latents = noise(encoder.config(), 3, 0);
        let encoded = encoder.encode(latents.view(), time).unwrap();
        let embeds = Embeddings::new(encoded.embeds);
        let found = llm.forward_at(6, &embeds, &mut kept).unwrap();
        kept.truncate(0, 6);

        let mut whole = llm.new_cache(1, 6 + new).unwrap();
        let expected = llm
            .forward(&prompt.followed_by(&embeds), &mut whole)
            .unwrap();
        let expected = expected.view().slice_move(s![.., 6.., ..]);
        assert_close("kept", found.view(), expected, TOLERANCE);
    }
}

/// Rows without a prompt are one position long; the official code masks the prompt in them.
#[test]
fn short_rows_equal_the_official_codes_masked_ones() {
    let (model, options) = (tiny(), SessionOptions::default());
    let golden = flow_golden();
    let four = |array: ArrayD<f32>| array.into_dimensionality::<Ix4>().unwrap();
    let prompt = golden.i64("prompt_ids");
    let first = prompt.len() - 1;
    let (skip, time) = (golden.f32("enc_tokens_step1"), golden.f32("t_emb_step1"));

    let mut llm = LanguageModel::open(&model, &options).unwrap();
    let mut encoder = FlowEncoder::open(&model, &options).unwrap();
    let mut decoder = FlowDecoder::open(&model, &options).unwrap();
    let ids: Vec<_> = prompt.iter().map(|&id| TokenId(id as u32)).collect();
    let velocities = golden.f32("velocities");
    // The latents of the second step: a step of the first velocity from the noise.
    let first_velocity = velocities.index_axis(Axis(0), 0);
    let latents = four(golden.f32("z0") + &(&first_velocity / 5.0));
    for picture in 0..2 {
        let latents = latents.slice(s![picture..=picture, .., .., ..]);
        let encoded = encoder.encode(latents, 0.2).unwrap();
        let expected = four(skip.clone());
        let expected = expected.slice(s![picture..=picture, .., .., ..]);
        assert_close("skip", encoded.skip.view(), expected, TOLERANCE);
        let expected = time.slice_axis(Axis(0), (picture..=picture).into());
        assert_close("time", encoded.time_embeds.view(), expected, TOLERANCE);

        let embeds = Embeddings::new(encoded.embeds.clone());
        let mut velocity = |length: usize| {
            let prefix = llm.embed_text(&ids[..length]).unwrap();
            let mut cache = llm.new_cache(1, length + 17).unwrap();
            llm.forward(&prefix, &mut cache).unwrap();
            let hidden = llm.forward_at(first, &embeds, &mut cache).unwrap();
            let places = hidden.view().slice_move(s![.., 1.., ..]);
            decoder.decode(places, &encoded).unwrap()
        };
        let guidance = Guidance::new(2.0);
        let found = guidance.combine(&velocity(first), &velocity(1));
        let expected = velocities.index_axis(Axis(0), 1);
        let expected = expected.slice_axis(Axis(0), (picture..=picture).into());
        assert_close("velocity", found.view(), expected, TOLERANCE);
    }
}

#[test]
fn positions_keep_their_numbers() {
    let mut llm = LanguageModel::open(&tiny(), &SessionOptions::default()).unwrap();
    let prompt = llm.embed_text(&[0, 9, 12, 15].map(TokenId)).unwrap();
    let run = |llm: &mut LanguageModel, position| {
        let mut cache = llm.new_cache(1, 8).unwrap();
        llm.forward(&prompt.slice(0..2), &mut cache).unwrap();
        llm.forward_at(position, &prompt.slice(2..4), &mut cache)
            .map(|hidden| hidden.last())
    };
    let mut cache = llm.new_cache(1, 8).unwrap();
    let expected = llm.forward(&prompt, &mut cache).unwrap().last();
    let near = run(&mut llm, 2).unwrap();
    assert_close("next", near.view(), expected.view(), TOLERANCE);
    let far = run(&mut llm, 200).unwrap();
    let distance = (&far - &near).mapv(|x| x * x).sum().sqrt();
    assert!(distance > 1e-3, "{distance}");

    for (position, message) in [
        (
            1,
            "2 new positions from 1 on, after 2 in the cache; the model holds 512",
        ),
        (
            511,
            "2 new positions from 511 on, after 2 in the cache; the model holds 512",
        ),
    ] {
        assert_eq!(run(&mut llm, position).unwrap_err().to_string(), message);
    }
}

#[test]
fn pictures_are_the_same_alone_and_in_company() {
    for model in [tiny(), trained()] {
        pictures_are_the_same_alone_and_in_company_of(opened(&model));
    }
}

fn pictures_are_the_same_alone_and_in_company_of(mut janus: Janus) {
    let with = |images| FlowParams { images, ..params() };
    let three = drawn(&mut janus, "a red circle", &with(3));
    assert_eq!(drawn(&mut janus, "a red circle", &with(1)), three[..1]);
    assert_eq!(drawn(&mut janus, "a red circle", &with(2)), three[..2]);
    assert_ne!(three[0], three[1]);
    let other = FlowParams {
        seed: 6,
        ..params()
    };
    assert_ne!(drawn(&mut janus, "a red circle", &other), three[..1]);
    assert_ne!(drawn(&mut janus, "a blue square", &with(1)), three[..1]);
}

#[test]
fn every_step_has_a_picture() {
    let mut janus = janus();
    let mut stream = janus.generate_flow("a red circle", &params()).unwrap();
    let mut lengths = Vec::new();
    let mut last = None;
    while let Some(step) = stream.next() {
        lengths.push((step.unwrap(), stream.len()));
        last = Some(stream.pictures().unwrap().swap_remove(0));
    }
    assert_eq!(lengths, [(1, 3), (2, 2), (3, 1), (4, 0)]);
    let end = stream.trajectories()[0].latents().clone();
    let mut vae = VaeDecoder::open(&tiny(), &SessionOptions::default()).unwrap();
    assert_eq!(last, vae.decode(end.view()).unwrap().pop());
    let whole = janus
        .generate_flow_images("a red circle", &params())
        .unwrap();
    assert_eq!(last.as_ref(), whole.first());
}

#[test]
fn guidance_outside_of_its_times_costs_and_changes_nothing() {
    let mut janus = janus();
    let guided = |guidance| FlowParams {
        guidance,
        ..params()
    };
    let none = drawn(&mut janus, "x", &guided(Guidance::new(1.0)));
    let never = Guidance::new(7.0).between(0.0, 0.0);
    assert_eq!(drawn(&mut janus, "x", &guided(never)), none);
    let late = Guidance::new(7.0).between(0.5, 1.0);
    assert_ne!(drawn(&mut janus, "x", &guided(late)), none);
}

/// All solvers follow the same flow. That of random weights is rough, so none follows it closely.
#[test]
fn solvers_agree_in_the_end() {
    let mut janus = janus();
    let mut end = |solver, steps| {
        let params = FlowParams {
            solver,
            steps,
            ..params()
        };
        drawn(&mut janus, "a red circle", &params).swap_remove(0)
    };
    let expected = end(Solver::Heun, 100);
    for solver in Solver::ALL {
        let found = end(solver, 50);
        assert_close(solver.name(), found.view(), expected.view(), 0.12);
        assert_ne!(found, expected);
    }
}

#[test]
fn questions_about_pictures_are_answered() {
    let mut janus = janus();
    let picture = RgbImage::from_pixel(80, 64, Rgb([200, 30, 30]));
    let params = TextParams {
        max_new_tokens: 4,
        ..TextParams::default()
    };
    let mut answer = |picture: &RgbImage| {
        let prompt = Prompt::new().user_with(vec![picture.clone()], "what is it?");
        let mut stream = janus.generate_text(&prompt, &params).unwrap();
        for piece in &mut stream {
            piece.unwrap();
        }
        (stream.tokens().to_vec(), stream.prompt_tokens())
    };
    let (tokens, positions) = answer(&picture);
    assert!(!tokens.is_empty() && positions > 18);
    assert_eq!(answer(&picture), (tokens, positions));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let mut janus = janus();
    let said = |params: &FlowParams, janus: &mut Janus| {
        let error = janus.generate_flow("x", params).map(|_| ()).unwrap_err();
        error.to_string()
    };
    for (params, message) in [
        (
            FlowParams {
                steps: 0,
                ..params()
            },
            "steps is 0; it should be 1 to 1000",
        ),
        (
            FlowParams {
                images: 65,
                ..params()
            },
            "images is 65; it should be 1 to 64",
        ),
        (
            FlowParams {
                guidance: Guidance::new(f32::NAN),
                ..params()
            },
            "guidance_scale is NaN; it should be a finite number",
        ),
    ] {
        assert_eq!(said(&params, &mut janus), message);
    }
    let long = "a very long prompt ".repeat(400);
    let error = janus
        .generate_flow(&long, &params())
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(error, Error::PromptTooLong { limit: 512, .. }),
        "{error}"
    );
    let tokens = janus.generate_images("x", &ImageParams::default());
    assert_eq!(
        tokens.unwrap_err().to_string(),
        "a janus-flow model draws by rectified flow, not by image tokens"
    );
    assert!(janus.llm.embed_image_tokens(&[]).is_err());

    let model = ModelDir::open(tiny_model("released", DType::Fp32)).unwrap();
    let mut other = Janus::from_dir(&model, &SessionOptions::default()).unwrap();
    assert_eq!(
        said(&params(), &mut other),
        "a janus-pro model draws by image tokens, not by rectified flow"
    );
}
