//! The commands for people who reuse one part: the files they write, what they say and refuse.

use std::collections::BTreeMap;
use std::fs;

use crate::common::{Folder, texts};
use image::{Rgb, RgbImage};
use janus_llm::LanguageModel;
use janus_runtime::manifest::DType;
use janus_runtime::{ModelDir, Output, SessionOptions, TokenId, tensors};
use janus_tests::{assert_close, data, load_library, tiny_golden, tiny_model};
use janus_validate::TensorFile;
use janus_vision::{Convention, PixelValues};
use janus_vq::VqEncoder;
use ndarray::{Array, ArrayD, Axis, arr0, arr1, arr2};
use serde_json::Value;

/// The words of a command line, in which MODEL is the tiny model and GOLDEN its golden file.
fn words(line: &str) -> Vec<String> {
    let word = |word: &str| {
        let path = match word {
            "MODEL" => tiny_model("released", DType::Fp32),
            "GOLDEN" => data("janus-tiny/golden.safetensors"),
            _ => return word.to_owned(),
        };
        path.into_os_string().into_string().unwrap()
    };
    line.split(' ').map(word).collect()
}

/// Asserts that a command line fails with an exit code and a message.
fn refused(folder: &Folder, line: &str, code: i32, message: &str) {
    let ran = folder.run(words(line));
    assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
    assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
}

/// The tiny model, for the libraries to compute with what the commands should.
fn tiny() -> ModelDir {
    load_library();
    ModelDir::open(tiny_model("released", DType::Fp32)).unwrap()
}

/// A folder with `wide.png` and `high.png`.
fn pictures() -> (Folder, [RgbImage; 2]) {
    let folder = Folder::new();
    let wide = RgbImage::from_fn(500, 333, |x, y| Rgb([(x / 2) as u8, (y / 2) as u8, 90]));
    let high = RgbImage::from_fn(60, 71, |x, y| Rgb([(x * y) as u8, 200, (x + y) as u8]));
    wide.save(folder.path("wide.png")).unwrap();
    high.save(folder.path("high.png")).unwrap();
    (folder, [wide, high])
}

fn read(folder: &Folder, name: &str) -> TensorFile {
    TensorFile::read(folder.path(name)).unwrap()
}

fn write<const N: usize>(folder: &Folder, name: &str, tensors: [(String, Output); N]) {
    TensorFile::write(folder.path(name), &BTreeMap::from(tensors)).unwrap();
}

fn floats(name: &str, array: ArrayD<f32>) -> (String, Output) {
    (name.to_owned(), Output::F32(array))
}

fn integers(name: &str, array: ArrayD<i64>) -> (String, Output) {
    (name.to_owned(), Output::I64(array))
}

#[test]
fn pictures_are_preprocessed_by_either_convention() {
    let (folder, pictures) = pictures();
    let model = tiny();
    let mut before = None;
    for (name, convention) in [
        ("official", Convention::Official),
        ("transformers", Convention::Transformers),
    ] {
        let line =
            format!("preprocess MODEL wide.png high.png --convention {name} --outputs {name}");
        assert_eq!(
            folder.said(words(&line)),
            "pixel_values f32 [2, 3, 64, 64]\n"
        );
        let found = read(&folder, name).f32(tensors::PIXEL_VALUES).unwrap();
        let config = &model.manifest().vision;
        let expected = PixelValues::from_images(&pictures, config, convention);
        assert_eq!(found, expected.view().into_dyn(), "{name}");
        assert_ne!(before.replace(found), before, "{name}");
    }
    refused(
        &folder,
        "preprocess MODEL --outputs x",
        2,
        "IMAGE is missing",
    );
    refused(&folder, "preprocess MODEL wide.png", 2, "--outputs");
    refused(
        &folder,
        "preprocess MODEL no.png --outputs x",
        3,
        "`no.png`",
    );
    let again = "preprocess MODEL wide.png --outputs official";
    refused(&folder, again, 5, "`official` exists");
    folder.said(words(&format!("{again} --force")));
    assert_eq!(
        read(&folder, "official")
            .f32(tensors::PIXEL_VALUES)
            .unwrap()
            .shape()[0],
        1
    );
}

#[test]
fn text_becomes_ids_and_ids_become_text() {
    let folder = Folder::new();
    let text = "A <begin_of_image> fox, 狐!";
    let tokenize = |options: &str, text: &str| {
        let mut words = words(&format!("tokenize MODEL {options}"));
        words.push(text.to_owned());
        words
    };
    let told = folder.said(tokenize("-q", text));
    let ids: Vec<u32> = told
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    assert_eq!(
        folder.json(tokenize("--json", text))["ids"],
        Value::from(ids)
    );
    assert_eq!(
        folder.said(tokenize("--decode", &told)),
        format!("{text}\n")
    );
    let commas = told.trim().replace(' ', ", ");
    let options = "--decode --json";
    assert_eq!(folder.json(tokenize(options, &commas))["text"], text);
    // A control token that somebody spells out is letters, so more ids than one.
    let control = folder.said(tokenize("-q", "<begin_of_image>"));
    assert!(control.split_whitespace().count() > 1, "{control}");

    for id in ["-1", "640", "fox", "99999999999"] {
        let line = format!("tokenize MODEL --decode 12,{id}");
        refused(
            &folder,
            &line,
            3,
            &format!("`{id}` is not a token id from 0 to "),
        );
    }
}

#[test]
fn pictures_become_tokens_and_tokens_pictures() {
    let (folder, pictures) = pictures();
    let encode = words("encode MODEL wide.png high.png --outputs tokens");
    assert_eq!(folder.said(encode), "image_tokens i64 [2, 16]\n");
    let tokens = read(&folder, "tokens").i64(tensors::IMAGE_TOKENS).unwrap();
    let mut encoder = VqEncoder::open(&tiny(), &SessionOptions::default()).unwrap();
    assert_eq!(tokens, encoder.encode(&pictures).unwrap().view().into_dyn());

    let decode = "decode MODEL tokens --out again-{n}.png";
    assert_eq!(folder.said(words(decode)), "again-1.png\nagain-2.png\n");
    for (i, name) in ["again-1.png", "again-2.png"].into_iter().enumerate() {
        let path = folder.path(name);
        assert_eq!(image::image_dimensions(&path).unwrap(), (64, 64));
        let texts = texts(&path);
        let (_, history) = texts
            .iter()
            .find(|(keyword, _)| keyword == "janus")
            .unwrap();
        let history: Value = serde_json::from_str(history).unwrap();
        let row = tokens
            .index_axis(Axis(0), i)
            .iter()
            .copied()
            .collect::<Vec<_>>();
        assert_eq!(history["tokens"], Value::from(row));
    }
    refused(&folder, decode, 5, "`again-1.png` exists");
}

#[test]
fn what_is_no_picture_is_not_decoded() {
    let folder = Folder::new();
    for (tokens, message) in [
        (
            Array::zeros(vec![1, 15]),
            "picture 0 has 15 image tokens; the grid has 16",
        ),
        (
            Array::from_elem(vec![1, 16], 128),
            "image token 128 at 0 of picture 0",
        ),
        (
            Array::zeros(vec![16]),
            "has shape [16]; expected [pictures, tokens]",
        ),
        (
            Array::zeros(vec![0, 16]),
            "has shape [0, 16]; expected [pictures, tokens]",
        ),
    ] {
        write(&folder, "tokens", [integers(tensors::IMAGE_TOKENS, tokens)]);
        refused(&folder, "decode MODEL tokens --out x.png", 3, message);
    }
    let message = "has no tensor `image_tokens`; it has decoded_pixels, image_embeds, ";
    refused(&folder, "decode MODEL GOLDEN --out x.png", 3, message);
    assert_eq!(folder.names(), ["tokens"]);
}

#[test]
fn a_graph_runs_on_the_tensors_of_a_file() {
    let folder = Folder::new();
    let ran = folder.run(words(
        "run MODEL vision_encoder --inputs GOLDEN --outputs embeds",
    ));
    assert_eq!(
        ran.stdout, "image_embeds f32 [2, 16, 96]\n",
        "{}",
        ran.stderr
    );
    let unused = "`vision_encoder` has no input decoded_pixels, ";
    assert!(ran.stderr.contains(unused), "{}", ran.stderr);
    let found = read(&folder, "embeds").f32(tensors::IMAGE_EMBEDS).unwrap();
    let expected = tiny_golden().f32("image_embeds");
    assert_close("image_embeds", found.view(), expected.view(), 1e-5);

    let line = "run MODEL language_model --inputs GOLDEN --outputs x";
    refused(
        &folder,
        line,
        3,
        "lacks inputs of graph `language_model`: `inputs_embeds` f32 [",
    );
    let line = "run MODEL decoder --inputs GOLDEN --outputs x";
    refused(
        &folder,
        line,
        2,
        "vision_encoder, embed_tokens, language_model",
    );
    let narrow = Array::zeros(vec![1, 3, 64, 32]);
    write(&folder, "narrow", [floats(tensors::PIXEL_VALUES, narrow)]);
    let line = "run MODEL vision_encoder --inputs narrow --outputs x";
    refused(&folder, line, 3, "3, 64, 64], it is f32 [1, 3, 64, 32]");
    assert_eq!(folder.names(), ["embeds", "narrow"]);
}

/// All inputs given, those of the cache too, the decoder does what the library does with it.
#[test]
fn the_language_model_runs_on_a_cache_from_a_file() {
    let folder = Folder::new();
    let model = tiny();
    let mut llm = LanguageModel::open(&model, &SessionOptions::default()).unwrap();
    let prompt = llm.embed_text(&[9, 40, 300, 12].map(TokenId)).unwrap();
    let mut cache = llm.new_cache(1, 8).unwrap();
    let expected = llm.forward(&prompt, &mut cache).unwrap();

    let mut inputs = BTreeMap::from([
        floats(tensors::INPUTS_EMBEDS, prompt.view().to_owned().into_dyn()),
        integers(tensors::POSITION_IDS, arr2(&[[0, 1, 2, 3]]).into_dyn()),
        integers(tensors::SEQLENS_K, arr1(&[3]).into_dyn()),
        integers(tensors::TOTAL_SEQUENCE_LENGTH, arr0(4).into_dyn()),
    ]);
    let config = &model.manifest().language;
    let past = vec![1, config.num_kv_heads, 8, config.head_dim];
    for layer in 0..config.num_layers {
        for name in [tensors::past_key(layer), tensors::past_value(layer)] {
            inputs.insert(name, Output::F32(Array::zeros(past.clone())));
        }
    }
    TensorFile::write(folder.path("step"), &inputs).unwrap();
    let told = folder.said(words(
        "run MODEL language_model --inputs step --outputs after",
    ));
    assert!(told.contains("hidden_states f32 [1, 4, 96]\n"), "{told}");
    assert!(
        told.contains(&format!("present.1.value f32 {past:?}\n")),
        "{told}"
    );
    let found = read(&folder, "after").f32(tensors::HIDDEN_STATES).unwrap();
    assert_close("hidden_states", found.view(), expected.view(), 1e-6);
}

#[test]
fn an_export_is_compared_with_a_golden_file() {
    let folder = Folder::new();
    let told = folder.said(words("validate MODEL --golden GOLDEN"));
    assert!(
        told.ends_with("9 of 9 tensors within tolerance\n"),
        "{told}"
    );
    let json = folder.json(words("validate MODEL --golden GOLDEN --json"));
    assert_eq!(
        (&json["passed"], &json["dtype"]),
        (&true.into(), &"fp32".into())
    );
    assert_eq!(json["rows"].as_array().unwrap().len(), 9);
    assert_eq!(
        json["rows"][0]["graphs"],
        serde_json::json!(["vision_encoder"])
    );

    let ran = folder.run(words("validate MODEL --golden GOLDEN --json --tolerance 0"));
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &json["passed"]), (6, &false.into()));

    let mut embeds = tiny_golden().f32("image_embeds");
    embeds[[0, 2, 7]] += 1.0;
    let pixel_values = tiny_golden().f32("pixel_values");
    let changed = [
        floats("image_embeds", embeds),
        floats("pixel_values", pixel_values),
    ];
    write(&folder, "changed", changed);
    let ran = folder.run(words("validate MODEL --golden changed"));
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("beyond tolerance: image_embeds"),
        "{}",
        ran.stderr
    );
    for part in ["FAIL  image_embeds", " at [0, 2, 7]: ", "vq_tokens"] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
}

#[test]
fn what_is_no_golden_file_is_refused() {
    let folder = Folder::new();
    fs::write(folder.path("text"), "not a safetensors file").unwrap();
    refused(
        &folder,
        "validate MODEL --golden text",
        3,
        "`text` is not a safetensors file",
    );
    refused(
        &folder,
        "validate MODEL --golden no",
        3,
        "cannot read the tensors of `no`",
    );
    refused(&folder, "validate MODEL --bisect", 2, "--compare-with");
    write(&folder, "other", [floats("colour", Array::zeros(vec![1]))]);
    let message = "has no output to compare with; known are image_embeds, ";
    refused(&folder, "validate MODEL --golden other", 3, message);
    for tolerance in ["-1", "NaN", "much"] {
        let line = format!("validate MODEL --golden GOLDEN --tolerance={tolerance}");
        refused(&folder, &line, 2, "a number from 0 on");
    }
}

#[test]
fn a_precision_is_compared_with_another() {
    let folder = Folder::new();
    let line = "validate --dtype fp16 --compare-with --positions 24";
    let told = folder.said(words(line));
    assert!(
        told.contains("nothing is wrong\nfp16 against fp32\n"),
        "{told}"
    );
    assert!(
        told.ends_with("12 of 12 within the limits of fp16\n"),
        "{told}"
    );
    let json = folder.json(words(&format!("{line} --json")));
    assert_eq!(
        (&json["passed"], &json["dtype"], &json["reference_dtype"]),
        (&true.into(), &"fp16".into(), &"fp32".into())
    );
    assert_eq!(json["graphs"][0]["graph"], "vision_encoder");
    assert!(json["graphs"][0]["relative_error"].is_f64());
    let text = &json["distributions"][0];
    assert_eq!(
        (&text["head"], &text["passed"]),
        (&"text".into(), &true.into())
    );
    assert!(text["positions"].as_u64().unwrap() >= 24);
    assert!(text["mean_kl"].as_f64().unwrap() > 0.0);

    fs::write(folder.path("prompts"), "a heron\n\n  two boats \n").unwrap();
    let line = "validate MODEL --compare-with MODEL --positions 8 --prompts prompts";
    let told = folder.said(words(line));
    assert!(told.contains("\nfp32 against fp32\n"), "{told}");
}

/// Copies the tiny export into the folder.
fn copied(folder: &Folder) -> std::path::PathBuf {
    let copy = folder.path("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(tiny_model("released", DType::Fp32)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    copy
}

#[test]
fn an_export_is_checked_without_a_reference() {
    let folder = Folder::new();
    let copy = copied(&folder);
    let told = folder.said(["validate", "copy"]);
    assert!(told.ends_with("; nothing is wrong\n"), "{told}");
    let bisected = "validate copy --compare-with MODEL --bisect --record";
    let told = folder.said(words(bisected));
    assert!(told.contains("ok    language_model "), "{told}");
    let parity = fs::read(copy.join("parity.json")).unwrap();
    let parity: Value = serde_json::from_slice(&parity).unwrap();
    assert_eq!(parity["passed"], true);
    assert_eq!(parity["structure"]["findings"], serde_json::json!([]));
    assert!(parity["bisect"]["graphs"][0]["compared"].as_u64().unwrap() > 10);

    let data = copy.join("lm_head.onnx.data");
    let mut bytes = fs::read(&data).unwrap();
    bytes[99] ^= 4;
    fs::write(&data, bytes).unwrap();
    let ran = folder.run(words("validate copy --golden GOLDEN"));
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    for part in ["`lm_head.onnx.data`", "`language_model.lm_head.weight`"] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    assert!(!ran.stdout.contains("image_embeds"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = Folder::new();
    let message = "were not converted from the same weights";
    refused(&folder, "validate --compare-with MODEL", 3, message);
    fs::write(folder.path("blank"), " \n\n").unwrap();
    let blank = "validate MODEL --compare-with MODEL --prompts blank";
    refused(&folder, blank, 3, "`blank` has no prompt");
    let no = "validate MODEL --compare-with MODEL --prompts no";
    refused(&folder, no, 3, "cannot read `no`");
    for line in [
        "validate MODEL --compare-with MODEL --golden GOLDEN",
        "validate MODEL --compare-with MODEL --tolerance 1",
        "validate MODEL --golden GOLDEN --positions 8",
    ] {
        refused(&folder, line, 2, "cannot be used with");
    }
}

#[test]
fn the_model_may_be_left_out() {
    let folder = Folder::new();
    let told = folder.said(["tokenize", "a red circle"]);
    assert_eq!(
        folder.said(["tokenize", "--decode", &told]),
        "a red circle\n"
    );
}

#[test]
fn every_help_page_has_examples() {
    for command in [
        "preprocess",
        "tokenize",
        "encode",
        "decode",
        "run",
        "validate",
    ] {
        let told = Folder::new().said([command, "--help"]);
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
