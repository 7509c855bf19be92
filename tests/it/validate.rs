//! The correctness gate: exports of every form of the tiny checkpoint against what the official
//! code computed from it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use janus_runtime::manifest::DType;
use janus_runtime::{ModelDir, Output, SessionOptions};
use janus_tests::{data, load_library, tiny_flow, tiny_model};
use janus_validate::{Reason, Report, Result, TensorFile, validate};
use ndarray::Array;

const FORMS: [&str; 3] = ["released", "released-bin", "transformers"];
const OUTPUTS: [&str; 9] = [
    "image_embeds",
    "text_inputs_embeds",
    "text_logits",
    "text_forced_logits",
    "image_forced_logits_cond",
    "image_forced_logits_uncond",
    "image_forced_logits_cfg5",
    "decoded_pixels",
    "vq_tokens",
];

fn check(form: &str, dtype: DType, golden: &Path) -> Result<Report> {
    load_library();
    let model = ModelDir::open(tiny_model(form, dtype)).unwrap();
    validate(&model, &SessionOptions::default(), golden, None)
}

fn golden() -> PathBuf {
    data("janus-tiny/golden.safetensors")
}

/// The golden file's tensors, to be changed.
fn tensors() -> BTreeMap<String, Output> {
    let file = TensorFile::read(golden()).unwrap();
    let read = |name: String| {
        let tensor = match file.f32(&name) {
            Ok(floats) => Output::F32(floats),
            Err(_) => Output::I64(file.i64(&name).unwrap()),
        };
        (name, tensor)
    };
    file.names().into_iter().map(read).collect()
}

/// What an export of the tiny checkpoint makes of another golden file.
fn check_changed(tensors: &BTreeMap<String, Output>) -> Result<Report> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.safetensors");
    TensorFile::write(&path, tensors).unwrap();
    check("released", DType::Fp32, &path)
}

fn assert_passes(dtype: DType, tolerance: f64) {
    for form in FORMS {
        let report = check(form, dtype, &golden()).unwrap();
        assert!(report.passed(), "{form} in {dtype}\n{report}");
        let names: Vec<_> = report.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, OUTPUTS);
        assert_eq!(report.not_checked, []);
        for row in &report.rows {
            let exact = row.name == "vq_tokens";
            assert_eq!(row.tolerance, if exact { 0.0 } else { tolerance });
            assert_eq!(row.differing, exact.then_some(0));
        }
    }
}

#[test]
fn every_form_computes_what_the_official_code_does() {
    assert_passes(DType::Fp32, 1e-5);
}

fn check_flow(dtype: DType) -> Report {
    load_library();
    let model = ModelDir::open(tiny_flow(dtype)).unwrap();
    let golden = data("janusflow-tiny/golden.safetensors");
    validate(&model, &SessionOptions::default(), &golden, None).unwrap()
}

#[test]
fn a_flow_computes_what_the_official_code_does() {
    let report = check_flow(DType::Fp32);
    assert!(report.passed(), "{report}");
    let names: Vec<_> = report.rows.iter().map(|row| row.name.as_str()).collect();
    let expected = [
        "text_inputs_embeds",
        "text_logits",
        "enc_tokens_step1",
        "t_emb_step1",
        "velocities",
        "z1",
        "vae_pixels",
        "vae_latent_pixels",
    ];
    assert_eq!(names, expected);
    assert!(report.rows.iter().all(|row| row.tolerance == 1e-5));
    for dtype in [DType::Fp16, DType::Q8] {
        let report = check_flow(dtype);
        assert!(report.passed(), "{dtype}\n{report}");
    }
}

#[test]
fn sixteen_bits_stay_close_to_it() {
    assert_passes(DType::Fp16, 5e-3);
}

#[test]
fn eight_bits_stay_near_it() {
    assert_passes(DType::Q8, 5e-2);
}

/// Random weights of two layers have nothing that would make up for four bits: 30 % under guidance.
#[test]
fn four_bits_are_recognisable() {
    for dtype in [DType::Q4, DType::Q4f16] {
        load_library();
        let model = ModelDir::open(tiny_model("released", dtype)).unwrap();
        let options = SessionOptions::default();
        let report = validate(&model, &options, &golden(), Some(0.35)).unwrap();
        assert!(report.passed(), "{dtype}\n{report}");
    }
}

#[test]
fn a_changed_value_is_found() {
    let mut tensors = tensors();
    let Some(Output::F32(embeds)) = tensors.get_mut("image_embeds") else {
        panic!()
    };
    embeds[[1, 3, 5]] += 0.5;
    let Some(Output::I64(tokens)) = tensors.get_mut("vq_tokens") else {
        panic!()
    };
    tokens[[0, 7]] += 1;

    let report = check_changed(&tensors).unwrap();
    let failed: Vec<_> = report.rows.iter().filter(|row| !row.passed).collect();
    let [embeds, tokens] = &failed[..] else {
        panic!("{report}")
    };
    assert_eq!(embeds.name, "image_embeds");
    assert_eq!(embeds.max_abs.at, [1, 3, 5]);
    assert!((embeds.max_abs.value - 0.5).abs() < 1e-4);
    assert_eq!(embeds.graphs, ["vision_encoder"]);
    assert_eq!(tokens.name, "vq_tokens");
    assert_eq!(
        (&tokens.max_abs.at[..], tokens.differing),
        (&[0, 7][..], Some(1))
    );

    let table = report.to_string();
    assert!(table.contains("FAIL  image_embeds"), "{table}");
    assert!(table.contains("at [1, 3, 5]: "), "{table}");
    assert!(table.contains("computed by vision_encoder"), "{table}");
    assert!(
        table.ends_with("7 of 9 tensors within tolerance"),
        "{table}"
    );
}

#[test]
fn what_is_missing_or_unknown_is_listed() {
    let mut tensors = tensors();
    for name in ["decoded_pixels", "text_forced_ids", "pixel_values"] {
        tensors.remove(name);
    }
    for name in ["z0", "velocities", "vae_pixels", "colour"] {
        tensors.insert(name.to_owned(), Output::I64(Array::zeros(vec![1])));
    }
    let report = check_changed(&tensors).unwrap();
    assert!(report.passed());
    let needs = |name: &str| Reason::Needs(name.to_owned());
    let expected = [
        ("image_embeds", needs("pixel_values")),
        ("text_inputs_embeds", needs("pixel_values")),
        ("text_logits", needs("pixel_values")),
        ("text_forced_logits", needs("text_forced_ids")),
        ("decoded_pixels", Reason::Absent),
        ("velocities", Reason::OtherDrawing),
        ("vae_pixels", Reason::OtherDrawing),
        ("colour", Reason::Unknown),
    ]
    .map(|(name, reason)| (name.to_owned(), reason));
    let listed: Vec<_> = report
        .not_checked
        .into_iter()
        .map(|it| (it.name, it.reason))
        .collect();
    assert_eq!(listed, expected);
    assert_eq!(report.rows.len(), 4);
}

/// A prompt without a picture needs none.
#[test]
fn text_alone_is_checked_alone() {
    let all = tensors();
    let Output::I64(ids) = &all["text_forced_ids"] else {
        panic!()
    };
    let hidden = 96;
    let embeds = Array::zeros(vec![1, ids.len(), hidden]);
    let text = BTreeMap::from([
        ("text_input_ids".to_owned(), Output::I64(ids.clone())),
        ("text_inputs_embeds".to_owned(), Output::F32(embeds)),
    ]);
    let report = check_changed(&text).unwrap();
    assert_eq!(report.rows[0].shape, [1, ids.len(), hidden]);
    assert_eq!(report.rows[0].relative_error, f64::INFINITY);
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let zeros = |shape: &[usize]| Output::F32(Array::zeros(shape));
    let ids = |shape: &[usize], id: i64| Output::I64(Array::from_elem(shape, id));
    // The picture's placeholders are at 6 to 21.
    let without_placeholder = |at: usize| {
        let Some(Output::I64(mut prompt)) = tensors().remove("text_input_ids") else {
            panic!()
        };
        prompt[[0, at]] = 9;
        Output::I64(prompt)
    };
    for (name, tensor, message) in [
        (
            "pixel_values",
            zeros(&[2, 3, 64, 32]),
            "`pixel_values` has shape [2, 3, 64, 32]; expected [n, 3, 64, 64]",
        ),
        (
            "pixel_values",
            zeros(&[0, 3, 64, 64]),
            "has shape [0, 3, 64, 64]; expected [n, 3, 64, 64]",
        ),
        (
            "pixel_values",
            ids(&[2, 3, 64, 64], 0),
            "`pixel_values` has elements of type i64; expected f32, f16 or bf16",
        ),
        (
            "text_input_ids",
            ids(&[2, 5], 5),
            "`text_input_ids` has shape [2, 5]; expected [1, positions]",
        ),
        (
            "text_input_ids",
            ids(&[1, 2], -3),
            "`text_input_ids` has -3 at 0; expected an index, 0 or more",
        ),
        (
            "text_input_ids",
            ids(&[1, 2], 640),
            "token id 640 is outside of the vocabulary of 640",
        ),
        (
            "text_input_ids",
            without_placeholder(6),
            "`text_input_ids` has 15 picture placeholders; expected none, or 16 in a row",
        ),
        (
            "text_input_ids",
            without_placeholder(9),
            "has 15 picture placeholders, not in a row; expected none, or 16 in a row",
        ),
        (
            "image_forced_tokens",
            ids(&[2, 15], 0),
            "`image_forced_tokens` has shape [2, 15]; expected [n, 16]",
        ),
        (
            "image_prompt_ids",
            ids(&[1, 9], 0),
            "`image_prompt_ids` has shape [1, 9]; expected [positions]",
        ),
        (
            "vq_pixels",
            zeros(&[2, 64, 64]),
            "`vq_pixels` has shape [2, 64, 64]; expected [n, 3, 64, 64]",
        ),
        (
            "text_logits",
            zeros(&[1, 30, 641]),
            "`text_logits` has shape [1, 30, 641]; expected [1, 30, 640], the model's",
        ),
    ] {
        let mut tensors = tensors();
        tensors.insert(name.to_owned(), tensor);
        let error = check_changed(&tensors).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_file_without_a_known_output_is_refused() {
    let only = |name: &str| BTreeMap::from([(name.to_owned(), Output::I64(Array::zeros(vec![1])))]);
    for tensors in [
        only("colour"),
        only("vq_pixels"),
        only("vq_tokens"),
        BTreeMap::new(),
    ] {
        let error = check_changed(&tensors).unwrap_err().to_string();
        assert!(
            error.contains("no output to compare with; known are image_embeds, "),
            "{error}"
        );
        let found = tensors.keys().next().map_or("none", String::as_str);
        assert!(error.ends_with(&format!("it has {found}")), "{error}");
    }
}
