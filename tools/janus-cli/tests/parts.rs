//! The commands for people who reuse one part, as they are run: files, output, exit codes.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use janus_llm::LanguageModel;
use janus_runtime::manifest::DType;
use janus_runtime::{ModelDir, SessionOptions, TokenId, tensors};
use janus_tests::{assert_close, data, load_library, tiny_model};
use janus_validate::TensorFile;
use janus_vision::{Convention, PixelValues};
use janus_vq::VqEncoder;
use ndarray::{Array, ArrayD, arr0, arr1, arr2};
use serde_json::Value;
use tempfile::TempDir;

type Tensors = BTreeMap<String, janus_runtime::Output>;

/// A command that ran.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `janus` in `folder`.
fn janus<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> Ran {
    // The library is fetched here, if at all, and found by the command.
    load_library();
    let mut command = Command::new(env!("CARGO_BIN_EXE_janus"));
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    Ran {
        code: status.code().unwrap(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// What `janus` prints where all goes well.
fn said<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> String {
    let ran = janus(folder, arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

/// Asserts that `janus` fails with an exit code and says why.
fn refused<const N: usize>(folder: &Path, arguments: [&str; N], code: i32, message: &str) {
    let ran = janus(folder, arguments);
    assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
    assert!(
        ran.stderr.contains(message),
        "{arguments:?}: {}",
        ran.stderr
    );
}

fn tiny() -> (ModelDir, String) {
    let path = tiny_model("released", DType::Fp32);
    (ModelDir::open(&path).unwrap(), text(&path))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn golden() -> String {
    text(&data("janus-tiny/golden.safetensors"))
}

/// A folder with two pictures in it.
fn pictures() -> (TempDir, [RgbImage; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let wide = RgbImage::from_fn(500, 333, |x, y| Rgb([(x / 2) as u8, (y / 2) as u8, 90]));
    let high = RgbImage::from_fn(60, 71, |x, y| Rgb([(x * y) as u8, 200, (x + y) as u8]));
    wide.save(folder.path().join("wide.png")).unwrap();
    high.save(folder.path().join("high.png")).unwrap();
    (folder, [wide, high])
}

fn read(folder: &TempDir, name: &str) -> TensorFile {
    TensorFile::read(folder.path().join(name)).unwrap()
}

fn write(folder: &TempDir, name: &str, tensors: &Tensors) {
    TensorFile::write(folder.path().join(name), tensors).unwrap();
}

fn floats(array: ArrayD<f32>) -> janus_runtime::Output {
    janus_runtime::Output::F32(array)
}

fn integers(array: ArrayD<i64>) -> janus_runtime::Output {
    janus_runtime::Output::I64(array)
}

#[test]
fn pictures_are_preprocessed_by_either_convention() {
    let (folder, pictures) = pictures();
    let (model, path) = tiny();
    for (name, convention) in [
        ("official", Convention::Official),
        ("transformers", Convention::Transformers),
    ] {
        let outputs = format!("{name}.safetensors");
        let arguments = [
            "preprocess",
            &path,
            "wide.png",
            "high.png",
            "--convention",
            name,
        ];
        let told = said(
            folder.path(),
            arguments.into_iter().chain(["--outputs", &outputs]),
        );
        assert_eq!(told, "pixel_values f32 [2, 3, 64, 64]\n");
        let found = read(&folder, &outputs).f32("pixel_values").unwrap();
        let config = &model.manifest().vision;
        let expected = PixelValues::from_images(&pictures, config, convention);
        assert_eq!(found, expected.view().into_dyn(), "{name}");
    }
    assert_ne!(
        fs::read(folder.path().join("official.safetensors")).unwrap(),
        fs::read(folder.path().join("transformers.safetensors")).unwrap(),
    );

    let folder = folder.path();
    refused(
        folder,
        ["preprocess", &path, "--outputs", "x"],
        2,
        "IMAGE is missing",
    );
    refused(folder, ["preprocess", &path, "wide.png"], 2, "--outputs");
    refused(
        folder,
        ["preprocess", &path, "no.png", "--outputs", "x"],
        3,
        "no.png",
    );
    let again = [
        "preprocess",
        &path,
        "wide.png",
        "--outputs",
        "official.safetensors",
    ];
    refused(folder, again, 5, "`official.safetensors` exists");
    said(folder, again.into_iter().chain(["--force"]));
}

#[test]
fn text_becomes_ids_and_ids_become_text() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_, path) = tiny();
    let line = "A <begin_of_image> fox, 狐!";
    let told = said(folder, ["tokenize", &path, line]);
    let ids: Vec<u32> = told
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    // The control token is spelled out, so it is letters: more ids than one.
    let control = said(folder, ["tokenize", &path, "<begin_of_image>"]);
    assert!(control.split_whitespace().count() > 1, "{control}");

    let json: Value =
        serde_json::from_str(&said(folder, ["tokenize", &path, line, "--json"])).unwrap();
    assert_eq!(json["ids"], Value::from(ids));
    assert_eq!(
        said(folder, ["tokenize", &path, "--decode", &told]),
        format!("{line}\n")
    );
    let commas = told.trim().replace(' ', ", ");
    let json = said(folder, ["tokenize", &path, "--decode", &commas, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["text"], line);

    for id in ["-1", "640", "fox", "99999999999"] {
        let message = format!("`{id}` is not a token id from 0 to ");
        refused(
            folder,
            ["tokenize", &path, "--decode", &format!("12 {id}")],
            3,
            &message,
        );
    }
}

#[test]
fn pictures_become_tokens_and_tokens_pictures() {
    let (folder, pictures) = pictures();
    let (model, path) = tiny();
    let encode = [
        "encode",
        &path,
        "wide.png",
        "high.png",
        "--outputs",
        "tokens.safetensors",
    ];
    assert_eq!(said(folder.path(), encode), "image_tokens i64 [2, 16]\n");
    let tokens = read(&folder, "tokens.safetensors")
        .i64("image_tokens")
        .unwrap();
    let mut encoder = VqEncoder::open(&model, &SessionOptions::default()).unwrap();
    assert_eq!(tokens, encoder.encode(&pictures).unwrap().view().into_dyn());

    let decode = [
        "decode",
        &path,
        "tokens.safetensors",
        "--out",
        "again-{n}.png",
    ];
    assert_eq!(said(folder.path(), decode), "again-1.png\nagain-2.png\n");
    for (i, name) in ["again-1.png", "again-2.png"].into_iter().enumerate() {
        let path = folder.path().join(name);
        assert_eq!(
            image::open(&path).unwrap().into_rgb8().dimensions(),
            (64, 64)
        );
        let file = std::io::BufReader::new(fs::File::open(&path).unwrap());
        let reader = png::Decoder::new(file).read_info().unwrap();
        let texts = &reader.info().utf8_text;
        let history = texts.iter().find(|text| text.keyword == "janus").unwrap();
        let history: Value = serde_json::from_str(&history.get_text().unwrap()).unwrap();
        let row: Vec<_> = tokens
            .outer_iter()
            .nth(i)
            .unwrap()
            .iter()
            .copied()
            .collect();
        assert_eq!(history["tokens"], Value::from(row));
    }
    refused(folder.path(), decode, 5, "`again-1.png` exists");

    for (tensor, message) in [
        (
            arr2(&[[0_i64; 15]]).into_dyn(),
            "picture 0 has 15 image tokens; the grid has 16",
        ),
        (
            arr2(&[[128_i64; 16]]).into_dyn(),
            "image token 128 at 0 of picture 0",
        ),
        (
            arr1(&[0_i64; 16]).into_dyn(),
            "has shape [16]; expected [pictures, tokens]",
        ),
        (
            Array::zeros(vec![0, 16]),
            "has shape [0, 16]; expected [pictures, tokens]",
        ),
    ] {
        write(
            &folder,
            "bad.safetensors",
            &Tensors::from([(tensors::IMAGE_TOKENS.into(), integers(tensor))]),
        );
        refused(
            folder.path(),
            ["decode", &path, "bad.safetensors", "--out", "bad.png"],
            3,
            message,
        );
    }
    refused(
        folder.path(),
        ["decode", &path, &golden(), "--out", "bad.png"],
        3,
        "has no tensor `image_tokens`; it has decoded_pixels, image_embeds, ",
    );
    assert!(!folder.path().join("bad.png").exists());
}

#[test]
fn a_graph_runs_on_the_tensors_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = tiny();
    let golden = golden();
    let run = [
        "run",
        &path,
        "vision_encoder",
        "--inputs",
        &golden,
        "--outputs",
        "out.safetensors",
    ];
    let ran = janus(folder.path(), run);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "image_embeds f32 [2, 16, 96]\n")
    );
    assert!(
        ran.stderr
            .contains("`vision_encoder` has no input decoded_pixels, "),
        "{}",
        ran.stderr
    );
    let found = read(&folder, "out.safetensors")
        .f32("image_embeds")
        .unwrap();
    let expected = TensorFile::read(&golden)
        .unwrap()
        .f32("image_embeds")
        .unwrap();
    assert_close("image_embeds", found.view(), expected.view(), 1e-5);

    let graph = |name| ["run", &path, name, "--inputs", &golden, "--outputs", "x"];
    refused(folder.path(), graph("decoder"), 2, "language_model");
    refused(
        folder.path(),
        graph("language_model"),
        3,
        "lacks inputs of graph `language_model`: `inputs_embeds` f32 [",
    );
    let wrong = Tensors::from([(
        "pixel_values".into(),
        floats(Array::zeros(vec![1, 3, 64, 32])),
    )]);
    write(&folder, "wrong.safetensors", &wrong);
    refused(
        folder.path(),
        [
            "run",
            &path,
            "vision_encoder",
            "--inputs",
            "wrong.safetensors",
            "--outputs",
            "x",
        ],
        3,
        "input `pixel_values` should be f32 [images, 3, 64, 64], it is f32 [1, 3, 64, 32]",
    );
    assert!(!folder.path().join("x").exists());
}

/// All inputs given, those of the cache too, the decoder does what the library does with it.
#[test]
fn the_language_model_runs_on_a_cache_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = tiny();
    let mut llm = LanguageModel::open(&model, &SessionOptions::default()).unwrap();
    let prompt = llm.embed_text(&[9, 40, 300, 12].map(TokenId)).unwrap();
    let mut cache = llm.new_cache(1, 8).unwrap();
    let expected = llm.forward(&prompt, &mut cache).unwrap();

    let config = &model.manifest().language;
    let past = [1, config.num_kv_heads, 8, config.head_dim];
    let mut inputs = Tensors::from([
        (
            tensors::INPUTS_EMBEDS.into(),
            floats(prompt.view().to_owned().into_dyn()),
        ),
        (
            tensors::POSITION_IDS.into(),
            integers(arr2(&[[0, 1, 2, 3]]).into_dyn()),
        ),
        (tensors::SEQLENS_K.into(), integers(arr1(&[3]).into_dyn())),
        (
            tensors::TOTAL_SEQUENCE_LENGTH.into(),
            integers(arr0(4).into_dyn()),
        ),
    ]);
    for layer in 0..config.num_layers {
        for name in [tensors::past_key(layer), tensors::past_value(layer)] {
            inputs.insert(name, floats(Array::zeros(&past[..])));
        }
    }
    write(&folder, "step.safetensors", &inputs);
    let run = [
        "run",
        &path,
        "language_model",
        "--inputs",
        "step.safetensors",
    ];
    let told = said(
        folder.path(),
        run.into_iter().chain(["--outputs", "out.safetensors"]),
    );
    assert!(told.contains("hidden_states f32 [1, 4, 96]\n"), "{told}");
    assert!(
        told.contains(&format!("present.1.value f32 {past:?}\n")),
        "{told}"
    );
    let found = read(&folder, "out.safetensors")
        .f32(tensors::HIDDEN_STATES)
        .unwrap();
    assert_close("hidden_states", found.view(), expected.view(), 1e-6);
}

#[test]
fn an_export_is_compared_with_a_golden_file() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = tiny();
    let golden = golden();
    let told = said(folder.path(), ["validate", &path, "--golden", &golden]);
    assert!(
        told.ends_with("9 of 9 tensors within tolerance\n"),
        "{told}"
    );
    let json = said(
        folder.path(),
        ["validate", &path, "--golden", &golden, "--json"],
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["passed"], &json["dtype"]),
        (&Value::from(true), &Value::from("fp32"))
    );
    assert_eq!(json["rows"].as_array().unwrap().len(), 9);
    assert_eq!(
        json["rows"][0]["graphs"],
        serde_json::json!(["vision_encoder"])
    );

    let file = TensorFile::read(&golden).unwrap();
    let mut embeds = file.f32("image_embeds").unwrap();
    embeds[[0, 2, 7]] += 1.0;
    let changed = Tensors::from([
        (
            "pixel_values".into(),
            floats(file.f32("pixel_values").unwrap()),
        ),
        ("image_embeds".into(), floats(embeds)),
    ]);
    write(&folder, "changed.safetensors", &changed);
    let ran = janus(
        folder.path(),
        ["validate", &path, "--golden", "changed.safetensors"],
    );
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stdout.contains("FAIL  image_embeds"), "{}", ran.stdout);
    assert!(ran.stdout.contains(" at [0, 2, 7]: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("vq_tokens"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("beyond tolerance: image_embeds"),
        "{}",
        ran.stderr
    );

    let strict = [
        "validate",
        &path,
        "--golden",
        &golden,
        "--tolerance",
        "0",
        "--json",
    ];
    let ran = janus(folder.path(), strict);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &json["passed"]), (6, &Value::from(false)));

    let folder = folder.path();
    fs::write(folder.join("text.safetensors"), "not a safetensors file").unwrap();
    refused(
        folder,
        ["validate", &path, "--golden", "text.safetensors"],
        3,
        "is not a safetensors file",
    );
    refused(
        folder,
        ["validate", &path, "--golden", "no.safetensors"],
        3,
        "no.safetensors",
    );
    refused(folder, ["validate", &path], 2, "--golden");
    for tolerance in ["-1", "NaN", "much"] {
        let tolerance = format!("--tolerance={tolerance}");
        let arguments = ["validate", &path, "--golden", &golden, &tolerance];
        refused(folder, arguments, 2, "a number from 0 on");
    }
}

/// Without a model the embedded one is used; here it is converted into an empty cache.
#[test]
fn the_model_may_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let told = said(
        folder.path(),
        ["tokenize", "a red circle", "--cache", "cache"],
    );
    assert!(folder.path().join("cache/models").is_dir());
    let told = said(
        folder.path(),
        ["tokenize", "--decode", &told, "--cache", "cache"],
    );
    assert_eq!(told, "a red circle\n");
}

#[test]
fn every_help_page_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "preprocess",
        "tokenize",
        "encode",
        "decode",
        "run",
        "validate",
    ] {
        let told = said(folder.path(), [command, "--help"]);
        assert!(
            told.contains(&format!("Examples:\n  janus {command} ")),
            "{told}"
        );
        assert!(
            told.lines().all(|line| line.chars().count() <= 101),
            "{told}"
        );
    }
}
