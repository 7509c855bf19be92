//! A JanusFlow from its checkpoint and the VAE beside it to pictures, answers and reports.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::common::{Folder, texts};
use janus_runtime::manifest::DType;

fn checkpoint(part: &str) -> String {
    let path = janus_tests::data("janusflow-tiny").join(part);
    path.to_str().unwrap().to_owned()
}

/// The tiny checkpoint, exported.
fn model() -> &'static str {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    let model = MODEL.get_or_init(|| janus_tests::tiny_flow(DType::Fp32));
    model.to_str().unwrap()
}

#[test]
fn it_is_converted_with_its_vae() {
    let folder = Folder::new();
    let (released, vae) = (checkpoint("released"), checkpoint("sdxl-vae"));
    folder.refused(["convert", &released, "out"], 3, "--vae");
    assert!(!folder.path("out").exists());
    let told = folder.said(["convert", &released, "out", "--vae", &vae]);
    assert!(told.starts_with("out: janus-flow in fp32, "), "{told}");
    let page = folder.said(["inspect", "out"]);
    for words in ["janus-flow in fp32", "rectified flow", "flow_decoder, "] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let golden = checkpoint("golden.safetensors");
    let report = folder.json(["validate", "out", "--golden", &golden, "--json"]);
    assert_eq!(report["passed"], true, "{report}");
}

#[test]
fn a_picture_tells_its_solver_and_is_drawn_again() {
    let folder = Folder::new();
    let settings = ["--steps", "6", "--solver", "ab2", "--seed", "3", "-g", "3"];
    let draw = |more: &[&'static str]| {
        let words = ["image", model(), "a red circle"];
        folder.said(words.iter().chain(&settings).chain(more))
    };
    assert_eq!(
        draw(&["--out", "two-{n}.png", "-n", "2"]),
        "two-1.png\ntwo-2.png\n"
    );
    assert_eq!(
        draw(&["--out", "one.png", "--preview-every", "4"]),
        "one.png\n"
    );
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(read("one.png"), read("two-1.png"));
    assert_ne!(read("one.png"), read("two-2.png"));
    assert!(folder.path("one-step-4.png").exists());
    let texts = texts(&folder.path("one.png"));
    for (keyword, expected) in [
        ("janus:solver", "ab2"),
        ("janus:steps", "6"),
        ("janus:guidance_scale", "3"),
        ("janus:seed", "3"),
    ] {
        let (_, text) = texts.iter().find(|(k, _)| k == keyword).unwrap();
        assert_eq!(text.trim_end_matches(".0"), expected, "{keyword}");
    }
}

#[test]
fn the_official_setting_is_one_flag_away() {
    let folder = Folder::new();
    let told = |more: &[&'static str]| {
        let words = ["image", model(), "a", "--out", "a.png", "--force", "--json"];
        let told = folder.json(words.iter().chain(more));
        let picture = &told["pictures"][0];
        (picture["solver"].clone(), picture["steps"].clone())
    };
    assert_eq!(told(&[]), ("ab2".into(), 12.into()));
    assert_eq!(told(&["--solver", "euler"]), ("euler".into(), 30.into()));
    let own = ["--solver", "euler", "--steps", "3"];
    assert_eq!(told(&own), ("euler".into(), 3.into()));
}

#[test]
fn settings_of_the_other_way_to_draw_are_refused_by_name() {
    let folder = Folder::new();
    for flags in [
        ["--temperature", "0.7"],
        ["--top-k", "5"],
        ["--top-p", "0.5"],
        ["--window", "4"],
    ] {
        let [flag, value] = flags;
        folder.refused(["image", model(), "a", flag, value], 2, flag);
    }
    for (flag, value) in [("--steps", "4"), ("--solver", "heun")] {
        folder.refused(["image", "a", flag, value], 2, flag);
    }
    folder.refused(["image", model(), "a", "--steps", "0"], 2, "1 to 1000");
    folder.refused(["image", model(), "a", "--solver", "rk4"], 2, "dpm++2m");
    folder.refused(
        ["image", model(), "a", "--guidance-from", "2"],
        2,
        "guidance",
    );
}

#[test]
fn it_answers_about_a_picture() {
    let folder = Folder::new();
    let picture = janus_tests::data("preprocess").join(first_picture());
    let answer = |seed: &str| {
        let picture = picture.to_str().unwrap();
        let words = ["text", model(), "what is this?", "--image", picture];
        folder.said(words.iter().chain(&["--max-tokens", "4", "--seed", seed]))
    };
    // Greedy, so no seed changes it.
    assert_eq!(answer("0"), answer("1"));
}

fn first_picture() -> PathBuf {
    let folder = janus_tests::data("preprocess");
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let mut pictures: Vec<_> = names
        .filter(|p| p.extension() == Some("png".as_ref()))
        .collect();
    pictures.sort();
    pictures.swap_remove(0)
}

#[test]
fn its_stages_are_measured() {
    let folder = Folder::new();
    let report = folder.json(["bench", model(), "--json", "--repeats", "1"]);
    let stages = report["stages"].as_array().unwrap();
    let names: Vec<_> = stages
        .iter()
        .map(|s| s["stage"].as_str().unwrap())
        .collect();
    let all = "load vision prefill decode heads embeddings image vae";
    assert_eq!(names.join(" "), all);
    let measured = stages
        .iter()
        .flat_map(|s| s["measurements"].as_array().unwrap());
    let measured: Vec<_> = measured.map(|m| m["name"].as_str().unwrap()).collect();
    for name in [
        "load.vae_decoder",
        "decode.2.text_head",
        "heads.text.1",
        "embeddings.text",
        "image.prompt",
        "image.step.encoder",
        "image.step.language_model",
        "image.step.decoder",
        "image.vae_decode",
        "vae.decode",
    ] {
        assert!(measured.contains(&name), "{name}: {measured:?}");
    }
    assert_eq!(report["picture"]["steps"], 30);
    assert_eq!(report["picture"]["extrapolated"], true);

    let whole = ["bench", model(), "--stage", "image", "--full", "--json"];
    let whole = folder.json(whole.iter().chain(&["--repeats", "1"]));
    assert_eq!(whole["picture"]["extrapolated"], false);

    folder.refused(["bench", model(), "--stage", "vq"], 2, "no stage `vq` here");
    folder.refused(
        ["bench", model(), "--head", "image"],
        2,
        "no image head here",
    );
    folder.refused(["bench", "--stage", "vae"], 2, "no stage `vae` here");
}

#[test]
fn both_ways_to_draw_are_compared_in_what_they_share() {
    let folder = Folder::new();
    let words = ["bench", "--compare", model(), "--stage", "decode,image"];
    let report = folder.json(words.iter().chain(&["--repeats", "1", "--json"]));
    let stages = report["stages"].as_array().unwrap();
    let counts: Vec<_> = stages
        .iter()
        .map(|s| s["pairings"].as_array().unwrap().len())
        .collect();
    // Decode steps of three numbers of rows, each with its two parts; the prompt of a picture.
    assert_eq!(counts, [9, 1], "{report}");
    let message = "no stage `vae` here";
    folder.refused(
        ["bench", "--compare", model(), "--stage", "vae"],
        2,
        message,
    );
}
