//! `janus demo`, `eval`, `doctor` and `runtime list`: what they write and print.

use std::ffi::OsStr;

use crate::common::Folder;

#[test]
fn the_demo_writes_its_sheet() {
    let folder = Folder::new();
    let told = folder.said(["demo"]);
    assert!(told.ends_with("\njanus-demo.png\n"), "{told}");
    assert_eq!(told.matches("what is in the picture?").count(), 8, "{told}");
    let sheet = image::open(folder.path("janus-demo.png")).unwrap();
    assert!(sheet.width() > 800 && sheet.height() > 800);
    // It is the same every time, and nothing is replaced.
    let again = folder.said(["demo"]);
    assert!(again.ends_with("\njanus-demo-2.png\n"), "{again}");
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert!(read("janus-demo.png") == read("janus-demo-2.png"));
    folder.refused(["demo", "--out", "janus-demo.png"], 5, "exists");
}

/// The small JanusFlow draws what it was asked for and knows what it sees.
#[test]
fn the_demo_draws_by_rectified_flow() {
    let folder = Folder::new();
    let told = folder.said(["demo", "--model", "flow", "--out", "flow.png"]);
    assert!(told.ends_with("\nflow.png\n"), "{told}");
    let sheet = image::open(folder.path("flow.png")).unwrap();
    assert!(sheet.width() > 800 && sheet.height() > 800);
    let (drawn, asked) = told.split_once("asked about scenes").unwrap();
    // A drawing that is wrong says so behind its prompt, an answer behind itself.
    let wrong = |lines: &str| lines.lines().filter(|line| line.ends_with(')')).count();
    assert!(wrong(drawn) <= 3, "{drawn}");
    assert_eq!(wrong(asked), 0, "{asked}");
    folder.refused(["demo", "--model", "vq"], 2, "flow");
}

#[test]
fn an_examination_is_told_as_a_table_and_as_json() {
    let folder = Folder::new();
    let arguments = ["eval", "scenes", "--per-category", "1", "--seed", "4"];
    let table = folder.said(arguments.iter().chain(&["--sheet", "sheet.png"]));
    for words in [
        "held out",
        "drawing",
        "colour attribution",
        "answering",
        "round trip",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(image::open(folder.path("sheet.png")).is_ok());
    let report = folder.json(arguments.iter().chain(&["--json"]));
    assert_eq!(report["seed"], 4);
    assert_eq!(report["drawing"]["overall"]["trained"]["asked"], 6);
    assert!(report["answering"]["overall"]["held_out"]["rate"].is_number());
    assert_eq!(folder.names(), ["sheet.png"]);
}

#[test]
fn a_model_without_an_image_tokenizer_is_examined() {
    let folder = Folder::new();
    let data = |name| janus_tests::data("janusflow-tiny").join(name);
    let (released, vae) = (data("released"), data("sdxl-vae"));
    let convert: [&OsStr; 5] = [
        "convert".as_ref(),
        released.as_ref(),
        "tiny".as_ref(),
        "--vae".as_ref(),
        vae.as_ref(),
    ];
    folder.said(convert);
    let examine = [
        "eval",
        "scenes",
        "tiny",
        "--per-category",
        "1",
        "--steps",
        "2",
    ];
    let table = folder.said(examine.iter().chain(&["--solver", "ab2"]));
    assert!(!table.contains("round trip"), "{table}");
    let report = folder.json(examine.iter().chain(&["--json"]));
    assert!(report["round_trip"].is_null());
    assert_eq!(report["drawing"]["overall"]["trained"]["asked"], 6);

    let steps = ["eval", "scenes", "--steps", "4"];
    folder.refused(steps, 2, "draws by image tokens, which has no --steps");
}

#[test]
fn the_doctor_tells_what_there_is() {
    let folder = Folder::new();
    let report = folder.json(["doctor", "--json"]);
    assert_eq!(report["providers"][0], "CPUExecutionProvider");
    assert!(report["library"]["path"].is_string());
    assert!(report["cache"].is_string());
    assert!(report["models"]["count"].is_u64());
    assert!(report["clients"].as_array().unwrap().len() >= 3);
    let page = folder.said(["doctor"]);
    for words in [
        "library ",
        "version ",
        "providers  CPUExecutionProvider",
        "cache ",
        "client ",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let library = ["doctor", "--runtime-library", "no.so"];
    folder.refused(library, 6, "no ONNX Runtime library that works");
    folder.refused(
        ["text", "hi", "--runtime-library", "no.so"],
        5,
        "`no.so` (as named)",
    );
    std::fs::write(folder.path("no.so"), "not a library").unwrap();
    folder.refused(
        ["text", "hi", "--runtime-library", "no.so"],
        5,
        "cannot load",
    );
}

#[test]
fn libraries_are_listed() {
    let folder = Folder::with_cache("empty");
    let list = folder.json(["runtime", "list", "--json"]);
    let flavours: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|l| &l["flavour"])
        .collect();
    assert_eq!(
        flavours,
        ["cpu", "cuda", "directml", "coreml", "openvino", "webgpu"]
    );
    assert!(folder.said(["runtime", "list"]).contains("webgpu"));
    assert!(folder.names().is_empty());
}
