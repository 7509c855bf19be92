//! `janus validate` on graphs that another exporter wrote.

use std::fs;

use janus_runtime::manifest::DType;
use janus_tests::{foreign_export, tiny_model};

use crate::common::Folder;

/// Asserts that a command line fails with an exit code and a message.
fn refused(folder: &Folder, line: &str, code: i32, message: &str) {
    let ran = folder.run(line.split(' '));
    assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
    assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
}

#[test]
fn graphs_of_another_exporter_are_compared() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("other/onnx")).unwrap();
    // As the directories of transformers.js have it.
    fs::write(folder.path("other/config.json"), "{}").unwrap();
    let export = |change: &mut dyn FnMut(&str, &mut [f32])| {
        foreign_export("split/onnx", &folder.path("other/onnx"), change);
    };
    export(&mut |_, _| {});
    let reference = tiny_model("transformers", DType::Fp32);
    let reference = reference.to_str().unwrap();
    let against = ["validate", "other", "--compare-with", reference];

    let told = folder.said(against);
    assert!(
        told.starts_with("layout: transformers.js; prepare_inputs_embeds (fp32), "),
        "{told}"
    );
    assert!(
        told.ends_with("11 of 11 tensors within tolerance\n"),
        "{told}"
    );
    let json = folder.json([&against[..], &["--json", "--dtype", "q4"]].concat());
    assert_eq!(json["passed"], true);
    assert_eq!(
        json["foreign"]["graphs"],
        serde_json::json!([["lm_head_q4", "q4"]])
    );
    assert_eq!(json["rows"][0]["tolerance"], 0.1);
    assert_eq!(json["not_checked"][0]["reason"], "not_there");
    // The structure alone, and where it would run.
    let told = folder.said(["validate", "other"]);
    assert!(
        told.contains("nothing is wrong") && !told.contains("tensors"),
        "{told}"
    );
    let ran = folder.run(["validate", "other", "--provider", "coreml"]);
    assert!(
        ran.code == 6 && ran.stderr.contains("not for coreml"),
        "{ran:?}"
    );

    export(&mut |name, weights| {
        if name == "lm_head.weight" {
            weights.iter_mut().for_each(|value| *value *= 1.01);
        }
    });
    let ran = folder.run(against);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    let beyond = "beyond tolerance: lm_head: logits; lm_head_fp16: logits";
    assert!(ran.stderr.contains(beyond), "{}", ran.stderr);
    folder.said([&against[..], &["--tolerance", "0.2"]].concat());

    fs::remove_file(folder.path("other/onnx/gen_head.onnx")).unwrap();
    let told = folder.said(["validate", "other"]);
    assert!(told.contains("; not there: gen_head\n"), "{told}");
    refused(
        &folder,
        "validate other --golden golden",
        2,
        "another exporter",
    );
    refused(
        &folder,
        "validate other --compare-with",
        2,
        "needs an export",
    );
    fs::write(folder.path("other/onnx/gen_head.onnx"), "no graph").unwrap();
    refused(
        &folder,
        "validate other",
        3,
        "gen_head.onnx` is not an ONNX graph",
    );
}
