//! Where graphs run: what was asked for, or an error that names what does not.

use crate::common::Folder;

/// Exit codes: the system lacks something; a check failed.
const SYSTEM: i32 = 5;
const CHECK: i32 = 6;

#[test]
fn the_doctor_finds_every_node_on_the_cpu() {
    let folder = Folder::new();
    let model = janus_tests::demo_model();
    let model = model.to_str().unwrap();
    let report = folder.json(["doctor", model, "--json"]);
    let placements = report["placements"].as_array().unwrap();
    assert_eq!(placements.len(), 8);
    for placed in placements {
        let providers = placed["placement"].as_object().unwrap();
        let names: Vec<_> = providers.keys().collect();
        assert_eq!(names, ["CPUExecutionProvider"], "{placed}");
        assert_eq!(placed["strays"], 0);
    }
    let page = folder.said(["doctor", model]);
    assert!(page.contains("nodes      language_model: CPU "), "{page}");
}

#[test]
fn a_measurement_tells_where_the_nodes_are() {
    let folder = Folder::new();
    let words = ["bench", "--stage", "vq", "--repeats", "1", "--json"];
    let report = folder.json(words);
    let nodes = report["nodes"]["vq_decoder"]["CPUExecutionProvider"].as_u64();
    assert!(nodes.unwrap() > 50, "{}", report["nodes"]);
    assert!(report["nodes"]["language_model"].is_null());
}

/// The library with OpenVINO, fetched if it is not there.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn openvino() -> String {
    use janus_install::{Flavour, Request};
    let request = Request::from_env().flavour(Flavour::OpenVino);
    let library = janus_install::ensure(&request, &|_| {}).unwrap();
    library.path.to_str().unwrap().to_owned()
}

/// OpenVINO has no kernel for the attention operators that the CPU's graphs have. Its library is a
/// package for Linux on x64.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn nodes_that_a_provider_leaves_are_an_error_unless_that_is_allowed() {
    let folder = Folder::new();
    let library = openvino();
    let on = ["--on", "openvino", "--runtime-library", &library];
    let draw = ["image", "a red circle", "--out", "it.png"];
    let refused = folder.run(draw.iter().chain(&on));
    assert_eq!(refused.code, SYSTEM, "{}", refused.stderr);
    for words in [
        "graph `language_model` is not all on `openvino`",
        "com.microsoft.GroupQueryAttention (4)",
        "hint: --allow-fallback",
    ] {
        assert!(
            refused.stderr.contains(words),
            "{words}: {}",
            refused.stderr
        );
    }
    assert!(!folder.path("it.png").exists());

    let allowed = folder.run(draw.iter().chain(&on).chain(&["--allow-fallback"]));
    assert_eq!(allowed.code, 0, "{}", allowed.stderr);
    let warning = "WARN graph `language_model` is not all on `openvino`";
    assert!(allowed.stderr.contains(warning), "{}", allowed.stderr);
    folder.said(["image", "a red circle", "--out", "cpu.png"]);
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(read("it.png"), read("cpu.png"));

    let model = janus_tests::demo_model();
    let doctor = ["doctor", model.to_str().unwrap()];
    let told = folder.run(doctor.iter().chain(&on));
    assert_eq!(told.code, CHECK, "{}", told.stderr);
    assert!(
        told.stdout.contains("vq_decoder: OpenVINO "),
        "{}",
        told.stdout
    );
}
