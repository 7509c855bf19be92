//! `janus text` and `janus chat`.

use std::fs;

use crate::common::Folder;
use image::RgbImage;
use serde_json::Value;

/// A folder with a picture of the demo model's world.
fn with_picture() -> Folder {
    let folder = Folder::new();
    let mut dice = janus_demo::Dice::new(5, 0);
    let scene = janus_demo::Scene::sample(&mut dice, janus_demo::Split::Trained);
    janus_demo::render(&scene)
        .save(folder.path("scene.png"))
        .unwrap();
    folder
}

#[test]
fn a_question_is_answered() {
    let folder = with_picture();
    let question = "what is in the picture?";
    let answer = folder.said(["text", "--image", "scene.png", question]);
    assert!(
        answer.ends_with('\n') && answer.trim().len() > 3,
        "{answer:?}"
    );
    let told = folder.json(["text", "--json", question, "--image", "scene.png"]);
    assert_eq!(told["text"], answer.trim_end_matches('\n'));
    assert_eq!(told["model"], "janus-demo");
    assert_eq!(told["finish_reason"], "stop");
    assert!(!told["tokens"].as_array().unwrap().is_empty());
    assert!(told["prompt_tokens"].as_u64().unwrap() > 9);
    // The question may come from a pipe, and the model may be named.
    let model = folder.json(["inspect", "--json"])["path"]
        .as_str()
        .unwrap()
        .to_owned();
    let piped = folder.pipe(["text", &model, "--image", "scene.png", "-"], question);
    assert_eq!(piped.stdout, answer);
}

#[test]
fn answers_can_be_cut_and_sampled() {
    let folder = with_picture();
    let question = ["text", "-i", "scene.png", "describe the picture."];
    let ask = |more: &[&str]| folder.run(question.iter().chain(more));
    let cut = ask(&["--max-tokens", "2"]);
    assert!(cut.stderr.contains("cut after 2 tokens"), "{}", cut.stderr);
    assert_eq!(ask(&["--max-tokens", "2", "--quiet"]).stderr, "");
    let hot = |seed: &str| ask(&["--temperature", "3", "--seed", seed]).stdout;
    assert_eq!(hot("1"), hot("1"));
    assert_ne!(hot("1"), hot("2"));
    assert_eq!(ask(&["--top-k", "1"]).stdout, ask(&[]).stdout);
}

#[test]
fn pictures_that_cannot_be_read_are_named() {
    let folder = Folder::new();
    fs::write(folder.path("not.png"), "GIF89a, more or less").unwrap();
    folder.refused(
        ["text", "--image", "no.png", "hi"],
        3,
        "cannot read `no.png`",
    );
    folder.refused(
        ["text", "--image", "not.png", "hi"],
        3,
        "`not.png` is not a PNG",
    );
    RgbImage::new(9000, 1)
        .save(folder.path("wide.png"))
        .unwrap();
    folder.refused(
        ["text", "--image", "wide.png", "hi"],
        4,
        "no side may exceed 8192",
    );
}

#[test]
fn a_chat_remembers() {
    let folder = with_picture();
    let script = "\
/image scene.png
what is in the picture?
how many shapes are there?
/save first.json
/draw a red circle

what colour is the circle?
/save second.json
/reset
/save third.json
/system Be brief.
/save fourth.json
/help
/quit
never said
";
    let ran = folder.pipe(["chat", "--seed", "3"], script);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(told[2..4], ["first.json", "janus-chat-3.png"]);
    assert!(ran.stdout.contains("/draw PROMPT"));
    assert!(folder.path("janus-chat-3.png").exists());
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.path(name)).unwrap()).unwrap()
    };
    let first = read("first.json");
    assert_eq!(first["messages"].as_array().unwrap().len(), 4);
    assert_eq!(first["messages"][0]["pictures"][0], "scene.png");
    assert_eq!(first["messages"][1]["text"], told[0]);
    let second = read("second.json");
    assert_eq!(second["messages"][4]["pictures"][0], "janus-chat-3.png");
    assert_eq!(second["messages"][5]["text"], told[4]);
    assert_eq!(read("third.json")["messages"].as_array().unwrap().len(), 0);
    assert_eq!(read("fourth.json")["system"], "Be brief.");
    assert!(!ran.stdout.contains("never"));
}

#[test]
fn a_piped_chat_stops_at_the_first_error() {
    let folder = Folder::new();
    for (line, code, message) in [
        ("/nope", 2, "there is no command `/nope`"),
        ("/image", 2, "/image FILE"),
        ("/image no.png", 3, "cannot read `no.png`"),
    ] {
        let ran = folder.pipe(["chat"], &format!("{line}\n/draw a drop\n"));
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
    }
    assert!(folder.names().is_empty());
}
