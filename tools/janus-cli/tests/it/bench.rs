//! `janus bench`: what it measures and how it tells. How long anything takes is nobody's business
//! here.

use serde_json::Value;

use crate::common::Folder;

const QUICK: [&str; 2] = ["--repeats", "1"];

/// Measurements of a report by their names, in order.
fn measurements(report: &Value) -> Vec<(&str, &Value)> {
    let stages = report["stages"].as_array().unwrap().iter();
    stages
        .flat_map(|stage| stage["measurements"].as_array().unwrap())
        .map(|measurement| (measurement["name"].as_str().unwrap(), measurement))
        .collect()
}

fn is_positive(number: &Value) -> bool {
    number.as_f64().is_some_and(|n| n.is_finite() && n > 0.0)
}

#[test]
fn every_stage_is_measured() {
    let folder = Folder::new();
    let report = folder.json(["bench", "--json"].iter().chain(&QUICK));
    let stages = report["stages"].as_array().unwrap().iter();
    let stages: Vec<_> = stages.map(|s| s["stage"].as_str().unwrap()).collect();
    let all = "load vision prefill decode heads embeddings sampling image vq";
    assert_eq!(stages.join(" "), all);

    let measured = measurements(&report);
    for (name, measurement) in &measured {
        assert_eq!(measurement["time"]["runs"], 1, "{name}");
        for field in ["median", "p10", "p90"] {
            assert!(is_positive(&measurement["time"][field]), "{name}.{field}");
        }
        for (field, of) in [
            ("tokens_per_second", "tokens"),
            ("bytes_per_second", "bytes"),
            ("operations_per_second", "operations"),
            ("bandwidth_share", "bytes"),
        ] {
            assert_eq!(
                is_positive(&measurement[field]),
                is_positive(&measurement[of]),
                "{name}.{field}"
            );
        }
    }
    for name in [
        "load.language_model",
        "load.tokenizer",
        "vision.encode",
        "prefill.64",
        "decode.1",
        "decode.2.decoder",
        "decode.8.image_head",
        "heads.text.1",
        "heads.image.8",
        "embeddings.text",
        "sampling.guided",
        "image.prompt",
        "image.step.sampling",
        "vq.decode",
    ] {
        assert!(measured.iter().any(|(n, _)| *n == name), "{name}");
    }
    is_told_of_the_demo_model(&report);
}

fn is_told_of_the_demo_model(report: &Value) {
    let setting = &report["setting"];
    assert_eq!(setting["model"], "janus-demo");
    assert_eq!(setting["dtype"], "fp32");
    assert_eq!(setting["provider"], "cpu");
    assert!(is_positive(&setting["threads"]));
    assert_eq!(report["machine"]["janus"], env!("CARGO_PKG_VERSION"));
    assert!(is_positive(
        &report["machine"]["read_bandwidth"]["bytes_per_second"]["median"]
    ));
    // Its context ends before 620 positions, and its pictures have 36 tokens.
    assert_eq!(report["limits"][0]["stage"], "prefill");
    assert_eq!(report["limits"][0]["wanted"], 620);
    assert_eq!(report["picture"]["tokens"], 36);
    assert_eq!(report["picture"]["extrapolated"], true);
    assert!(is_positive(&report["picture"]["seconds"]));
}

#[test]
fn a_whole_picture_is_drawn_where_that_is_asked_for() {
    let folder = Folder::new();
    let arguments = ["bench", "--stage", "image", "--full", "--json"];
    let report = folder.json(arguments.iter().chain(&QUICK));
    assert_eq!(report["picture"]["extrapolated"], false);
    let measured = measurements(&report);
    let of = |name: &str| measured.iter().find(|(n, _)| *n == name).unwrap().1;
    assert_eq!(of("image.picture")["tokens"], 36);
    assert_eq!(of("image.picture.tokens")["tokens"], 35);
    assert_eq!(
        report["picture"]["seconds"],
        of("image.picture")["time"]["median"]
    );
}

#[test]
fn a_table_has_the_stages_that_were_asked_for() {
    let folder = Folder::new();
    let arguments = ["bench", "--stage", "vq,decode", "--head", "text"];
    let table = folder.said(arguments.iter().chain(&["--seconds", "0.1"]));
    for words in [
        "model      janus-demo, janus-pro in fp32",
        "threads read",
        "\ndecode",
        "\n  2 rows ",
        "\n    text head ",
        "\nvq",
        "decode: 255 positions in the place of 300",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(!table.contains("vision"), "{table}");
    assert!(!table.contains("picture of 36 tokens"), "{table}");
}

#[test]
fn two_settings_are_compared_in_turns() {
    let folder = Folder::new();
    let arguments = ["bench", "--compare-threads", "1", "--threads", "2"];
    let arguments = arguments.iter().chain(&["--stage", "sampling,heads"]);
    let arguments: Vec<_> = arguments.chain(&["--repeats", "2"]).collect();
    let comparison = folder.json(arguments.iter().chain(&[&"--json"]));
    assert_eq!(comparison["model"]["threads"], 2);
    assert_eq!(comparison["other"]["threads"], 1);
    let stages = comparison["stages"].as_array().unwrap();
    assert_eq!(stages[0]["stage"], "heads");
    assert_eq!(stages[1]["stage"], "sampling");
    for pairing in stages
        .iter()
        .flat_map(|s| s["pairings"].as_array().unwrap())
    {
        assert_eq!(pairing["ratio"]["runs"], 2);
        assert!(is_positive(&pairing["ratio"]["median"]), "{pairing}");
        assert!(is_positive(&pairing["ratio_of_medians"]), "{pairing}");
    }
    let table = folder.said(&arguments);
    assert!(table.contains("B/A of pairs"), "{table}");
    assert!(table.contains("cpu, 1 thread,"), "{table}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = Folder::new();
    let refused = |arguments, code, message| folder.refused::<3>(arguments, code, message);
    refused(
        ["bench", "--stage", "decoder"],
        2,
        "there are load, vision,",
    );
    refused(["bench", "--seconds", "0"], 2, "a number above 0");
    refused(["bench", "--seconds", "inf"], 2, "a number above 0");
    refused(["bench", "--repeats", "0"], 2, "--repeats");
    refused(["bench", "--head", "vision"], 2, "text or image");
    refused(["bench", "--compare-threads", "0"], 2, "--compare-threads");
    refused(
        ["bench", "--compare", "nowhere"],
        3,
        "cannot read `nowhere`",
    );
    refused(
        ["bench", "--compare-on", "cuda"],
        3,
        "no execution provider `cuda:0`",
    );
    folder.refused(["bench", "nowhere"], 3, "cannot read `nowhere`");
}

/// The other side of a comparison says why it cannot go on.
#[test]
fn a_failure_of_the_other_side_is_told() {
    let folder = Folder::new();
    let exported = folder.json(["inspect", "--json"]);
    let model = exported["path"].as_str().unwrap();
    std::fs::create_dir(folder.path("broken")).unwrap();
    for name in crate::common::names(model.as_ref()) {
        let from = std::path::Path::new(model).join(&name);
        std::fs::copy(from, folder.path("broken").join(&name)).unwrap();
    }
    let graph = folder.path("broken").join("vq_decoder.onnx");
    let bytes = std::fs::read(&graph).unwrap().len();
    std::fs::write(&graph, vec![0; bytes]).unwrap();
    folder.refused(
        ["bench", "--compare", "broken", "--stage", "vq"],
        3,
        "cannot measure stage `vq`: `broken`: ",
    );
}
