//! Where graphs run: what was asked for, or an error that names what does not.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use crate::common::on_record;
use crate::common::{Folder, texts};

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

/// The embedded model is written for the provider that is asked for. OpenVINO's processor device draws
/// what the CPU draws, and runs every node of it.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn openvino_draws_and_answers_as_the_cpu_does() {
    let folder = Folder::new();
    let library = openvino();
    let on = ["--on", "openvino", "--runtime-library", &library];
    let draw = ["image", "a red circle", "--out", "it.png"];
    folder.said(draw.iter().chain(&on));
    folder.said(["image", "a red circle", "--out", "cpu.png"]);
    // The same tokens; a pixel between two levels may be rounded to either.
    let [it, cpu] = ["it.png", "cpu.png"].map(|name| folder.path(name));
    assert_eq!(texts(&it), texts(&cpu));
    let [it, cpu] = [it, cpu].map(|path| image::open(path).unwrap().to_rgb8().into_raw());
    assert_eq!(it.len(), cpu.len());
    assert!(it.iter().zip(&cpu).all(|(a, b)| a.abs_diff(*b) <= 1));

    let ask = ["text", "--image", "cpu.png", "what colour is the circle?"];
    let answer = folder.said(ask.iter().chain(&on));
    assert_eq!(answer, folder.said(ask));

    let bench = ["bench", "--stage", "load", "--repeats", "1", "--json"];
    let report = folder.json(bench.iter().chain(&on));
    for (graph, providers) in report["nodes"].as_object().unwrap() {
        let names: Vec<_> = providers.as_object().unwrap().keys().collect();
        assert_eq!(names, ["OpenVINOExecutionProvider"], "{graph}");
    }
}

/// What the official code computed, on OpenVINO's processor device; every node of it is there.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn openvino_computes_what_the_official_code_does() {
    let folder = Folder::new();
    let library = openvino();
    let on = ["--on", "openvino", "--runtime-library", &library, "--json"];
    let data = |name: &str| janus_tests::data(name).to_str().unwrap().to_owned();
    let vae = data("janusflow-tiny/sdxl-vae");
    for (family, more) in [
        ("janus-tiny", vec![]),
        ("janusflow-tiny", vec!["--vae", &vae]),
    ] {
        let released = data(&format!("{family}/released"));
        let convert = ["convert", &released, family, "--target", "openvino"];
        folder.said(convert.iter().chain(&more));
        let golden = data(&format!("{family}/golden.safetensors"));
        let report = folder.json(["validate", family, "--golden", &golden].iter().chain(&on));
        assert_eq!(report["passed"], true, "{report}");
        on_record(&folder, family, "OpenVINOExecutionProvider", &on);
    }
}

/// OpenVINO has no kernel for the attention operators of the CPU's graphs.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn nodes_that_a_provider_leaves_are_an_error_unless_that_is_allowed() {
    let folder = Folder::new();
    let library = openvino();
    let model = janus_tests::demo_model();
    let model = model.to_str().unwrap();
    let on = ["--on", "openvino", "--runtime-library", &library];
    let draw = ["image", model, "a red circle", "--out", "it.png"];
    let refused = folder.run(draw.iter().chain(&on));
    assert_eq!(refused.code, SYSTEM, "{}", refused.stderr);
    for words in [
        "graph `language_model` is not all on `openvino`",
        "com.microsoft.GroupQueryAttention (4)",
        "--allow-fallback",
    ] {
        let told = &refused.stderr;
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!folder.path("it.png").exists());

    let allowed = folder.run(draw.iter().chain(&on).chain(&["--allow-fallback"]));
    assert_eq!(allowed.code, 0, "{}", allowed.stderr);
    let warning = "WARN graph `language_model` is not all on `openvino`";
    assert!(allowed.stderr.contains(warning), "{}", allowed.stderr);
    assert!(folder.path("it.png").exists());

    let doctor = ["doctor", model];
    let told = folder.run(doctor.iter().chain(&on));
    assert_eq!(told.code, CHECK, "{}", told.stderr);
    let graph = "vq_decoder: OpenVINO ";
    assert!(told.stdout.contains(graph), "{}", told.stdout);
}
