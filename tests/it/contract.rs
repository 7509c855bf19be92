//! The contract between writer and reader: what an export promises is checked when it is opened.

use std::fs;
use std::path::{Path, PathBuf};

use janus_runtime::manifest::DType;
use janus_runtime::{
    Error, GraphKind, Input, Manifest, ModelDir, SessionOptions, load_library, tensors,
};
use janus_tests::{data, standard_model, tiny_model};
use ndarray::{Array2, Array3};
use serde_json::{Value, json};

fn tiny() -> ModelDir {
    janus_tests::load_library();
    ModelDir::open(tiny_model("released", DType::Fp32)).unwrap()
}

#[test]
fn every_graph_opens_as_the_manifest_says() {
    let model = tiny();
    for &kind in model.manifest().graphs.keys() {
        let graph = model.graph(kind, &SessionOptions::default()).unwrap();
        assert_eq!(graph.kind(), kind);
        assert_eq!(graph.entry(), &model.manifest().graphs[&kind]);
    }
    let mut read = 0;
    model.verify(|bytes| read += bytes).unwrap();
    assert_eq!(
        read,
        model
            .manifest()
            .files
            .values()
            .map(|file| file.bytes)
            .sum::<u64>()
    );
}

#[test]
fn a_manifest_survives_being_written() {
    let model = tiny();
    let text = model.manifest().to_json().unwrap();
    assert_eq!(
        text,
        fs::read_to_string(model.path().join("manifest.json")).unwrap()
    );
    let again = Manifest::parse(text.as_bytes(), Path::new("manifest.json")).unwrap();
    assert_eq!(&again, model.manifest());
}

/// Changes a manifest at a JSON pointer and tells what the reader says.
fn said(pointer: &str, value: Value) -> String {
    let text = fs::read(tiny().path().join("manifest.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&text).unwrap();
    *json
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("{pointer}")) = value;
    answer(&json)
}

/// What the reader says of a manifest.
fn answer(json: &Value) -> String {
    let text = serde_json::to_vec(json).unwrap();
    match Manifest::parse(&text, Path::new("m")) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

#[test]
fn a_changed_manifest_is_refused_by_name() {
    let entry = json!({ "bytes": 1, "sha256": "" });
    for (pointer, value, expected) in [
        (
            "/format_version",
            json!(1),
            "manifest `m` has format 1; this build reads 2",
        ),
        (
            "/language/num_layers",
            json!(0),
            "manifest `m`: `language.num_layers` is 0; it should be 1 to 1024",
        ),
        (
            "/language/num_kv_heads",
            json!(3),
            "manifest `m`: `language.num_kv_heads` is 3; it should be a divisor of \
             language.num_heads = 4",
        ),
        (
            "/language/hidden_size",
            json!(1_u64 << 40),
            "manifest `m`: `language.hidden_size` is 1099511627776; it should be 1 to 262144",
        ),
        (
            "/vision/num_tokens",
            json!(15),
            "manifest `m`: `vision.num_tokens` is 15; it should be (image_size / patch_size)² = 16",
        ),
        (
            "/vision/image_std",
            json!([0.5, 0.0, 0.5]),
            "manifest `m`: `vision.image_std` is [0.5, 0.0, 0.5]; it should be above 0",
        ),
        (
            "/tokens/pad",
            json!(640),
            "manifest `m`: `tokens.pad` is 640; it should be below language.vocab_size = 640",
        ),
        (
            "/files",
            json!({ "../x": entry }),
            "manifest `m`: file `../x` is not inside the directory",
        ),
        (
            "/files",
            json!({ "/x": entry }),
            "manifest `m`: file `/x` is not inside the directory",
        ),
        (
            "/files",
            json!({}),
            "manifest `m`: `vision_encoder.onnx` of graph `vision_encoder` is not listed in `files`",
        ),
        (
            "/graphs",
            json!({}),
            "manifest `m` has no graph `vision_encoder`",
        ),
    ] {
        assert_eq!(said(pointer, value), expected, "{pointer}");
    }
    for (pointer, value) in [
        ("/language/num_layers", json!(-1)),
        ("/language/num_layers", json!("2")),
        ("/family", json!("llama")),
        ("/graphs/lm_head/inputs/0/shape/1", json!(1.5)),
        (
            "/chat",
            json!({ "user": "U", "assistant": "A", "system_prompt": "", "extra": 1 }),
        ),
    ] {
        assert!(
            said(pointer, value).starts_with("cannot parse the manifest `m`: "),
            "{pointer}"
        );
    }
}

/// Smaller caches of fixed sizes have two graphs each; an export without any, as they were before, is
/// whole too.
#[test]
fn buckets_are_checked_and_may_be_absent() {
    let path = standard_model(&data("janus-tiny/released"), None, "tiny");
    let text = fs::read(path.join("manifest.json")).unwrap();
    let whole: Value = serde_json::from_slice(&text).unwrap();
    let said = |renamed: &[(&str, Option<&str>)]| {
        let mut json = whole.clone();
        let graphs = json["graphs"].as_object_mut().unwrap();
        for (from, to) in renamed {
            let entry = graphs.remove(*from).unwrap();
            to.map(|to| graphs.insert(to.to_owned(), entry));
        }
        answer(&json)
    };
    let [decoder, prefill] = ["language_model_256", "prefill_256"];
    for (renamed, expected) in [
        (vec![], "accepted"),
        (vec![(decoder, None), (prefill, None)], "accepted"),
        (
            vec![(prefill, None)],
            "manifest `m` has no graph `prefill_256`",
        ),
        (
            vec![(decoder, None)],
            "manifest `m` has no graph `language_model_256`",
        ),
        (
            vec![(decoder, Some("language_model_512"))],
            "manifest `m`: `graphs` is language_model_512; it should be buckets below \
             language.context_length = 512",
        ),
    ] {
        assert_eq!(said(&renamed), expected, "{renamed:?}");
    }
    let unknown = said(&[(decoder, Some("language_model_0256"))]);
    assert!(
        unknown.contains("no graph is called `language_model_0256`"),
        "{unknown}"
    );
    let mut fused = whole.clone();
    fused["converter"]["operators"] = json!("fused");
    let expected = "manifest `m`: `graphs` is language_model_256; it should be no buckets where \
                    converter.operators are fused";
    assert_eq!(answer(&fused), expected);
}

/// A copy of the tiny export that can be spoilt.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let model = tiny();
    let folder = tempfile::tempdir().unwrap();
    for name in model
        .manifest()
        .files
        .keys()
        .map(String::as_str)
        .chain(["manifest.json"])
    {
        fs::copy(model.path().join(name), folder.path().join(name)).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn damage_is_found() {
    let (_folder, path) = copy();
    fs::remove_file(path.join("lm_head.onnx.data")).unwrap();
    assert!(matches!(ModelDir::open(&path), Err(Error::ReadFile { .. })));

    let (_folder, path) = copy();
    fs::write(path.join("lm_head.onnx"), b"short").unwrap();
    assert!(matches!(
        ModelDir::open(&path),
        Err(Error::FileSize { found: 5, .. })
    ));

    // One changed bit: in a graph when it is opened, in weights when all is read.
    for (file, opened) in [("lm_head.onnx", false), ("lm_head.onnx.data", true)] {
        let (_folder, path) = copy();
        let mut bytes = fs::read(path.join(file)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path.join(file), bytes).unwrap();
        let model = ModelDir::open(&path).unwrap();
        let graph = model.graph(GraphKind::LmHead, &SessionOptions::default());
        assert_eq!(graph.is_ok(), opened, "{file}");
        assert!(
            matches!(model.verify(|_| ()), Err(Error::FileHash { .. })),
            "{file}"
        );
    }
    assert!(matches!(
        ModelDir::open("/nowhere"),
        Err(Error::ReadManifest { .. })
    ));
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let model = tiny();
    let mut head = model
        .graph(GraphKind::LmHead, &SessionOptions::default())
        .unwrap();
    let wide = Array2::<f32>::zeros((1, 97));
    let deep = Array3::<f32>::zeros((1, 1, 96));
    let whole = Array2::<i64>::zeros((1, 96));
    for (input, expected) in [
        (Input::from(wide.view()), "it is f32 [1, 97]"),
        (Input::from(deep.view()), "it is f32 [1, 1, 96]"),
        (Input::from(whole.view()), "it is i64 [1, 96]"),
    ] {
        let error = head.run(&[(tensors::HIDDEN_STATES, input)]).unwrap_err();
        let prefix = "graph `lm_head`: input `hidden_states` should be f32 [batch, 96], ";
        assert_eq!(error.to_string(), format!("{prefix}{expected}"));
    }
    let right = Array2::<f32>::zeros((1, 96));
    let error = head
        .run(&[("logits", Input::from(right.view()))])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "graph `lm_head` has no tensor `logits`; it has hidden_states"
    );
    let mut outputs = head
        .run(&[(tensors::HIDDEN_STATES, Input::from(right.view()))])
        .unwrap();
    assert!(outputs.take_i64(tensors::LOGITS).is_err());
}

/// A view that is not laid out row by row is brought into order, not misread.
#[test]
fn transposed_inputs_are_read_right() {
    let model = tiny();
    let mut head = model
        .graph(GraphKind::GenHead, &SessionOptions::default())
        .unwrap();
    let plain = Array2::from_shape_fn((3, 96), |(row, i)| ((row * 96 + i) as f32).sin());
    let transposed = plain.t().as_standard_layout().into_owned();
    let mut run = |view| {
        let mut outputs = head
            .run(&[(tensors::HIDDEN_STATES, Input::from(view))])
            .unwrap();
        outputs.take_f32(tensors::LOGITS).unwrap()
    };
    assert_eq!(run(plain.view()), run(transposed.t()));
}

#[test]
fn a_process_has_one_library() {
    janus_tests::load_library();
    let error = load_library(Path::new("/other/libonnxruntime.so"), &Default::default());
    assert!(matches!(error, Err(Error::LibraryInUse { .. })));
    assert!(
        janus_runtime::library_providers()
            .unwrap()
            .contains(&"CPUExecutionProvider")
    );
}

#[test]
fn a_provider_that_the_library_lacks_is_an_error() {
    let model = tiny();
    let options = SessionOptions::on("cuda:1".parse().unwrap());
    let error = model.graph(GraphKind::LmHead, &options).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has no execution provider `cuda:1`"),
        "{error}"
    );
}

/// Settings are looked at before the library is asked for the provider.
#[test]
fn a_setting_with_a_wrong_value_is_named_with_those_there_are() {
    let options = SessionOptions {
        settings: [("MLComputeUnits".to_owned(), "gpu".to_owned())].into(),
        ..SessionOptions::on("coreml".parse().unwrap())
    };
    let error = tiny().graph(GraphKind::LmHead, &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`coreml` has no value `gpu` for `MLComputeUnits`; there are ALL, CPUAndGPU, \
         CPUAndNeuralEngine, CPUOnly"
    );
}
