//! `janus image`: files, their names and what they tell.

use std::fs;

use crate::common::{Folder, texts};
use serde_json::Value;

#[test]
fn a_picture_tells_how_it_was_drawn() {
    let folder = Folder::new();
    let arguments = [
        "image",
        "a red circle",
        "--seed",
        "7",
        "--top-p",
        "0.9",
        "--guidance",
        "2.5",
    ];
    assert_eq!(folder.said(arguments), "janus-7-0.png\n");
    let texts = texts(&folder.path("janus-7-0.png"));
    let text = |keyword: &str| {
        let (_, text) = texts.iter().find(|(k, _)| k == keyword).unwrap();
        text.as_str()
    };
    assert_eq!(text("janus:prompt"), "a red circle");
    assert_eq!(text("janus:seed"), "7");
    assert_eq!(text("janus:guidance_scale"), "2.5");
    assert_eq!(text("janus:top_p"), "0.9");
    assert_eq!(text("janus:model"), "janus-demo");
    let history: Value = serde_json::from_str(text("janus")).unwrap();
    assert_eq!(history["prompt"], "a red circle");
    assert_eq!(history["top_p"], 0.9);
    let grid = &folder.json(["inspect", "--json"])["manifest"]["drawing"]["tokens"]["grid"];
    let places = grid[0].as_u64().unwrap() * grid[1].as_u64().unwrap();
    assert_eq!(history["tokens"].as_array().unwrap().len() as u64, places);
    assert_eq!(
        history["weights"]["model.safetensors"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    // What the file tells is enough to draw it again.
    let again = folder.json([
        "image",
        "a red circle",
        "--seed",
        "7",
        "--top-p",
        "0.9",
        "-g",
        "2.5",
        "--json",
    ]);
    assert_eq!(again["pictures"][0]["tokens"], history["tokens"]);
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_any_company() {
    let folder = Folder::new();
    folder.said(["image", "two blue drops", "--out", "alone.png"]);
    folder.said([
        "image",
        "two blue drops",
        "--out",
        "of-{n}.png",
        "--images",
        "3",
    ]);
    folder.said([
        "image",
        "two blue drops",
        "--out",
        "other.png",
        "--seed",
        "1",
    ]);
    assert_eq!(
        folder.names(),
        ["alone.png", "of-1.png", "of-2.png", "of-3.png", "other.png"]
    );
    let read = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(read("alone.png") == read("of-1.png"));
    assert!(read("of-1.png") != read("of-2.png"));
    assert!(read("alone.png") != read("other.png"));
}

#[test]
fn files_that_are_there_stay() {
    let folder = Folder::new();
    folder.said(["image", "a square", "-n", "2"]);
    // Names that nobody chose give way together.
    let told = folder.said(["image", "a shield", "-n", "2"]);
    assert_eq!(told, "janus-0-0-2.png\njanus-0-1-2.png\n");
    fs::write(folder.path("mine-1.png"), "old").unwrap();
    folder.refused(
        ["image", "a drop", "--out", "mine.png", "-n", "2"],
        5,
        "`mine-1.png` exists",
    );
    assert_eq!(fs::read(folder.path("mine-1.png")).unwrap(), b"old");
    assert!(!folder.path("mine-0.png").exists());
    folder.said(["image", "a drop", "--out", "mine.png", "-n", "2", "--force"]);
    assert_eq!(texts(&folder.path("mine-1.png"))[0].0, "janus:dtype");
    folder.refused(
        ["image", "a drop", "--out", "no/where.png"],
        5,
        "`no/where.png`",
    );
}

#[test]
fn previews_are_pictures_so_far() {
    let folder = Folder::new();
    let ran = folder.run([
        "image",
        "a drop",
        "--out",
        "drop.png",
        "--preview-every",
        "4",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, "drop.png\n");
    let names = folder.names();
    let previews: Vec<_> = names
        .iter()
        .filter(|name| name.contains("-step-"))
        .collect();
    assert!(previews.len() >= 2, "{names:?}");
    for preview in previews {
        assert!(ran.stderr.contains(preview.as_str()), "{}", ran.stderr);
        let texts = texts(&folder.path(preview));
        let history: Value = serde_json::from_str(&texts.last().unwrap().1).unwrap();
        let tokens = history["tokens"].as_array().unwrap().len();
        assert!(tokens.is_multiple_of(4) && tokens > 0);
        assert!(preview.ends_with(&format!("-{tokens:02}.png")), "{preview}");
    }
}

#[test]
fn settings_and_tokens_are_told_in_json() {
    let folder = Folder::new();
    let told = folder.json([
        "image",
        "a drop",
        "-n",
        "2",
        "--json",
        "--temperature",
        "0",
        "--quiet",
    ]);
    let pictures = told["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 2);
    assert_eq!(pictures[1]["file"], "janus-0-1.png");
    assert_eq!(pictures[1]["image"], 1);
    assert_eq!(pictures[0]["temperature"], 0.0);
    // Greedy pictures do not depend on the draws.
    assert_eq!(pictures[0]["tokens"], pictures[1]["tokens"]);
    assert!(told["prompt_tokens"].as_u64().unwrap() > 2);
}
