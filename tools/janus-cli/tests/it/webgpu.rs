//! WebGPU, over whatever driver for Vulkan there is: one in software does.

use std::path::Path;

use janus_install::{Flavour, Request};
use safetensors::SafeTensors;

use crate::common::{Folder, on_record};

/// Exit code: the system lacks something.
const SYSTEM: i32 = 5;
/// SwiftShader as Debian's `chromium-common` has it. Dawn does not take every version of Mesa's driver.
const SOFTWARE: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";
/// Where the loader looks for drivers, in its older and its newer spelling.
const DRIVERS: [&str; 2] = ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"];

/// The library with WebGPU, fetched if it is not there.
fn webgpu() -> String {
    let request = Request::from_env().flavour(Flavour::WebGpu);
    let library = janus_install::ensure(&request, &|_| {}).unwrap();
    library.path.to_str().unwrap().to_owned()
}

/// A folder whose commands use the driver in software, if it is there and nobody chose one.
fn folder() -> Folder {
    let chosen = DRIVERS.iter().any(|name| std::env::var_os(name).is_some());
    match Path::new(SOFTWARE) {
        driver if driver.exists() && !chosen => Folder::new().set(DRIVERS[0], driver),
        _ => Folder::new(),
    }
}

#[test]
fn without_a_driver_nothing_runs() {
    let folder = Folder::new();
    let none = folder.path("none.json");
    let folder = DRIVERS.iter().fold(folder, |it, name| it.set(name, &none));
    let library = webgpu();
    let on = ["--on", "webgpu", "--runtime-library", &library];
    let draw = ["image", "a red circle", "--out", "it.png"];
    let refused = folder.run(draw.iter().chain(&on));
    assert_eq!(refused.code, SYSTEM, "{}", refused.stderr);
    for words in ["on `webgpu`", "No supported adapters", "driver for Vulkan"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert!(!folder.path("it.png").exists());
}

/// The numbers of the official code for what answers: pictures seen, prompts, steps after them. Those of
/// drawn pictures would take a driver in software minutes.
fn answers(folder: &Folder) -> String {
    let bytes = std::fs::read(janus_tests::data("janus-tiny/golden.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let drawing = ["image_forced", "image_prompt", "decoded", "vq_"];
    let is_wanted = |name: &str| !drawing.iter().any(|it| name.starts_with(it));
    let wanted = all
        .tensors()
        .into_iter()
        .filter(|(name, _)| is_wanted(name));
    let path = folder.path("golden.safetensors");
    safetensors::serialize_to_file(wanted, None, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Every node is there, by the table and by the library's record, and the numbers are the official code's.
/// Where there is no driver that Dawn takes, the error says so.
#[test]
fn webgpu_computes_what_the_official_code_does() {
    let folder = folder();
    let library = webgpu();
    let on = ["--on", "webgpu", "--runtime-library", &library, "--json"];
    let released = janus_tests::data("janus-tiny/released");
    let released = released.to_str().unwrap();
    folder.said(["convert", released, "tiny", "--target", "webgpu"]);
    let opened = folder.run(["doctor", "tiny"].iter().chain(&on));
    if opened.code == SYSTEM {
        assert!(
            opened.stderr.contains("No supported adapters"),
            "{opened:?}"
        );
        return;
    }
    on_record(&folder, "tiny", "WebGpuExecutionProvider", &on);
    let golden = answers(&folder);
    let report = folder.json(["validate", "tiny", "--golden", &golden].iter().chain(&on));
    assert_eq!(report["passed"], true, "{report}");
    // Two of the vision encoder, and two of the transformer in each of two sizes of cache.
    assert_eq!(report["rows"].as_array().unwrap().len(), 6, "{report}");
}
