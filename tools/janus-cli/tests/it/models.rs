//! What MODEL may be: an export, a checkpoint, nothing; and what it may not be.

use std::fs;
use std::path::Path;

use crate::common::{Folder, names};

/// A folder with a copy of the demo model's checkpoint, and a cache of its own.
fn with_checkpoint() -> (Folder, tempfile::TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let folder = Folder::with_cache(cache.path());
    fs::create_dir(folder.path("my-janus")).unwrap();
    for (name, content) in janus_demo::Checkpoint::PRO.files {
        fs::write(folder.path("my-janus").join(name), content).unwrap();
    }
    (folder, cache)
}

/// The exports of a cache.
fn exports(cache: &Path) -> Vec<String> {
    let mut names = names(&cache.join("models"));
    names.retain(|name| !name.ends_with(".lock"));
    names
}

#[test]
fn what_is_no_model_is_named() {
    let folder = Folder::new();
    fs::create_dir(folder.path("empty")).unwrap();
    fs::write(folder.path("file"), "").unwrap();
    for command in ["text", "image", "tokenize"] {
        folder.refused([command, "nowhere", "hi"], 3, "cannot read `nowhere`");
        folder.refused([command, "empty", "hi"], 3, "`empty` is no model");
        folder.refused([command, "file", "hi"], 3, "`file` is a file");
    }
    folder.refused(["inspect", "nowhere"], 3, "cannot read `nowhere`");
    folder.refused(["chat", "empty"], 3, "manifest.json");
    fs::write(folder.path("empty").join("manifest.json"), "{}").unwrap();
    folder.refused(["inspect", "empty"], 3, "format_version");
    fs::remove_file(folder.path("empty").join("manifest.json")).unwrap();
    fs::write(
        folder.path("empty").join("config.json"),
        r#"{"model_type": "llama"}"#,
    )
    .unwrap();
    folder.refused(["inspect", "empty"], 3, "llama");
}

#[test]
fn a_checkpoint_is_converted_once() {
    let (folder, cache) = with_checkpoint();
    let first = folder.run(["inspect", "my-janus"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(
        first.stderr.contains("converting `my-janus` once"),
        "{}",
        first.stderr
    );
    assert!(first.stdout.starts_with("my-janus "), "{}", first.stdout);
    let again = folder.run(["inspect", "my-janus"]);
    assert_eq!(again.stderr, "");
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(exports(cache.path()).len(), 1);
    // Another precision, and a checkpoint that has changed, are other exports.
    let half = folder.json(["inspect", "my-janus", "--dtype", "fp16", "--json"]);
    assert_eq!(half["manifest"]["converter"]["dtype"], "fp16");
    assert_eq!(exports(cache.path()).len(), 2);
    let generation = folder.path("my-janus").join("generation_config.json");
    let text = fs::read_to_string(&generation).unwrap();
    fs::write(&generation, format!("{text}\n")).unwrap();
    folder.said(["inspect", "my-janus"]);
    assert_eq!(exports(cache.path()).len(), 3);
}

#[test]
fn commands_that_convert_at_once_wait_for_the_first() {
    let (folder, cache) = with_checkpoint();
    let run = || folder.spawn(&mut folder.command(["inspect", "my-janus", "--json"]));
    let runs = [run(), run(), run(), run()];
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(exports(cache.path()).len(), 1);
}

#[test]
fn an_export_is_inspected() {
    let folder = Folder::new();
    let told = folder.json(["inspect", "--json", "--verify"]);
    assert_eq!(told["name"], "janus-demo");
    assert_eq!(told["verified"], true);
    let graphs = &told["manifest"]["graphs"];
    assert_eq!(graphs.as_object().unwrap().len(), 8);
    assert_eq!(graphs["gen_head"]["outputs"][0]["name"], "logits");
    assert_eq!(told["manifest"]["family"], "janus-pro");
    let page = folder.said(["inspect"]);
    for words in [
        "janus-pro in fp32",
        "4 layers",
        "image tokens",
        "<|User|>",
        "model.safetensors",
        "vq_encoder, ",
        "past_key_values.0.key …",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn conversions_leave_all_or_nothing() {
    let (folder, _cache) = with_checkpoint();
    let told = folder.said(["convert", "my-janus", "out", "--dtype", "fp16", "--check"]);
    assert!(told.starts_with("out: janus-pro in fp16, "), "{told}");
    #[cfg(target_os = "linux")]
    assert!(told.contains("peak memory"), "{told}");
    folder.refused(["convert", "my-janus", "out"], 5, "out` exists");
    let told = folder.json(["convert", "my-janus", "out", "--force", "--json"]);
    assert_eq!(told["dtype"], "fp32");
    folder.refused(
        ["inspect", "out", "--dtype", "fp16"],
        2,
        "`out` is exported in fp32; --dtype asks for fp16",
    );
    folder.refused(["convert", "my-janus", "my-janus/out"], 2, "my-janus/out");
    let weights = folder.path("my-janus").join("model.safetensors");
    let content = fs::read(&weights).unwrap();
    fs::write(&weights, &content[..content.len() - 1]).unwrap();
    let before = folder.names();
    folder.refused(["convert", "my-janus", "cut"], 3, "model.safetensors");
    assert_eq!(folder.names(), before);
}

#[test]
fn a_damaged_export_is_exit_code_6() {
    let (folder, _cache) = with_checkpoint();
    folder.said(["convert", "my-janus", "out"]);
    let data = folder.path("out").join("gen_head.onnx.data");
    let mut content = fs::read(&data).unwrap();
    content[9] ^= 1;
    fs::write(&data, &content).unwrap();
    folder.said(["inspect", "out"]);
    folder.refused(["inspect", "out", "--verify"], 6, "gen_head.onnx.data");
    fs::write(&data, &content[1..]).unwrap();
    folder.refused(["inspect", "out"], 6, "gen_head.onnx.data");
    folder.refused(["image", "out", "x"], 6, "hint: the export is damaged");
}

#[test]
fn synthetic_checkpoints_do_not_replace_anything() {
    let folder = Folder::new();
    fs::create_dir(folder.path("there")).unwrap();
    folder.refused(["synth", "--like", "janus-pro-1b", "there"], 5, "`there`");
    assert_eq!(folder.names(), ["there"]);
}

#[test]
fn a_recipe_says_which_weights_are_stored_how() {
    let (folder, _cache) = with_checkpoint();
    let recipe = |text: &str| fs::write(folder.path("mine.toml"), text).unwrap();
    let with = |name| ["convert", "my-janus", "out", "--recipe", name];

    recipe("dtype = 'q4'\n[weights]\n'*' = 'fp32'\n'gen_head' = 'int4/32'");
    let done = folder.run(with("mine.toml"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("janus-pro in q4"), "{}", done.stdout);
    assert!(!folder.names().contains(&"prefill.onnx".to_owned()));
    fs::remove_dir_all(folder.path("out")).unwrap();

    for (text, code, message) in [
        ("dtype = 'q4'", 3, "`mine.toml` is not a recipe"),
        (
            "dtype = 'q4'\n[weights]\n'*' = 'int3/32'",
            3,
            "`*` is `int3/32`; expected fp32",
        ),
        (
            "dtype = 'q4'\n[weights]\n'gen_head' = 'fp16'",
            3,
            "the recipe says nothing of",
        ),
        (
            "dtype = 'q4'\n[weights]\n'*' = 'int8/32'",
            3,
            "it can be fp32 or fp16",
        ),
        (
            "dtype = 'q4'\n[weights]\n'*' = 'fp32'\n'gen_heat' = 'int4/32'",
            3,
            "the recipe's rule for `gen_heat` is for no weight of this model",
        ),
    ] {
        recipe(text);
        folder.refused(with("mine.toml"), code, message);
        assert!(
            !folder.names().contains(&"out".to_owned()),
            "nothing is left"
        );
    }
    folder.refused(with("nowhere.toml"), 3, "cannot read `nowhere.toml`");
    let [a, b, c, d, e] = with("q4");
    folder.refused([a, b, c, d, e, "--dtype", "q8"], 2, "cannot be used with");
    assert_eq!(folder.run(with("q4-small")).code, 0);
}
