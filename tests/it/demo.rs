//! The demo model computes what `transformers` computes from the same files
//! (`tools/demo-model/make_golden.py`).

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::PathBuf;

use janus_pipeline::{ImageParams, Janus, Prompt, Sampling, TextParams};
use janus_runtime::{ModelDir, SessionOptions};
use janus_tests::{demo_checkpoint, demo_model, load_library};
use janus_validate::validate;
use serde_json::Value;

/// A file beside the checkpoint.
fn beside(name: &str) -> PathBuf {
    demo_checkpoint().with_file_name(name)
}

fn greedy() -> Value {
    serde_json::from_slice(&std::fs::read(beside("greedy.json")).unwrap()).unwrap()
}

fn demo() -> Janus {
    load_library();
    Janus::open(demo_model(), &SessionOptions::default()).unwrap()
}

#[test]
fn the_demo_model_computes_what_transformers_does() {
    load_library();
    let model = ModelDir::open(demo_model()).unwrap();
    let golden = beside("golden.safetensors");
    let report = validate(&model, &SessionOptions::default(), &golden, Some(1e-5)).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(report.rows.len(), 9, "{report}");
}

#[test]
fn it_says_what_transformers_says() {
    let (mut janus, greedy) = (demo(), greedy());
    let pictures = image::open(beside("greedy.png")).unwrap().to_rgb8();
    let side = pictures.height();
    let params = TextParams {
        max_new_tokens: 40,
        ..TextParams::default()
    };
    let answers = greedy["answers"].as_array().unwrap();
    assert_eq!(answers.len() as u32 * side, pictures.width());
    for (i, expected) in (0..).zip(answers) {
        let picture = image::imageops::crop_imm(&pictures, i * side, 0, side, side).to_image();
        let question = expected["question"].as_str().unwrap();
        let prompt = Prompt::new().user_with(vec![picture], question);
        let answer = janus.generate_text(&prompt, &params).unwrap();
        let answer: String = answer.collect::<Result<_, _>>().unwrap();
        assert_eq!(answer.trim(), expected["answer"], "{question}");
    }
}

#[test]
fn it_draws_what_transformers_draws() {
    let (mut janus, greedy) = (demo(), greedy());
    let params = ImageParams {
        images: 1,
        guidance_scale: greedy["guidance"].as_f64().unwrap() as f32,
        sampling: Sampling::Greedy,
        window: 1,
    };
    let drawings = greedy["drawings"].as_array().unwrap();
    assert_eq!(drawings.len(), 6);
    for expected in drawings {
        let prompt = expected["prompt"].as_str().unwrap();
        let mut stream = janus.generate_image_tokens(prompt, &params).unwrap();
        for step in &mut stream {
            step.unwrap();
        }
        let tokens: Vec<_> = stream.rows()[0].iter().map(|token| token.0).collect();
        assert_eq!(Value::from(tokens), expected["tokens"], "{prompt}");
    }
}
