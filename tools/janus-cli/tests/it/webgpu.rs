//! WebGPU, over whatever driver for Vulkan there is: one in software does.

use std::collections::BTreeMap;
use std::path::Path;

use janus_install::seam::{Client, Fetch, Installer, Registry, SOURCES, Source};
use janus_install::{Flavour, Options, Platform, Request};
use safetensors::SafeTensors;

use crate::common::{Folder, on_record};

/// Exit code: the system lacks something.
const SYSTEM: i32 = 5;
/// Exit code: what was given is not what it should be.
const MALFORMED: i32 = 3;
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

/// The library of the node package, fetched if it is not there: no attention of the other one may be
/// captured over drivers whose subgroups have four lanes.
fn newer() -> String {
    let node = |source: &&Source| source.packages[0].registry == Registry::Node;
    let sources: Vec<_> = SOURCES.iter().filter(node).copied().collect();
    let clients = Client::all();
    let clients: Vec<_> = clients.iter().map(|it| it as &dyn Fetch).collect();
    let installer = Installer {
        platform: Platform::current().unwrap(),
        sources: &sources,
        clients: &clients,
    };
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-cache");
    let options = Options {
        cache: &cache,
        progress: &|_| {},
    };
    let library = installer.install(Flavour::WebGpu, &options).unwrap();
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

/// The tiny Janus for a target, as `tiny`.
fn tiny(folder: &Folder, target: &str) {
    let released = janus_tests::data("janus-tiny/released");
    let released = released.to_str().unwrap();
    folder.said(["convert", released, "tiny", "--target", target]);
}

/// Every node is there, by the table and by the library's record, and the numbers are the official code's.
/// Where there is no driver that Dawn takes, the error says so.
#[test]
fn webgpu_computes_what_the_official_code_does() {
    let folder = folder();
    let library = webgpu();
    let on = ["--on", "webgpu", "--runtime-library", &library, "--json"];
    tiny(&folder, "webgpu");
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

/// How often each captured graph was replayed, by its number, as the library tells it.
fn replays(log: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let replays = log.lines().filter(|it| it.contains("Replaying the capt"));
    for line in replays {
        let (_, number) = line.rsplit_once("graph annotation id: ").unwrap();
        *found.entry(number.to_owned()).or_default() += 1;
    }
    found
}

/// Two answers, a picture and an answer about it, each in a cache of its own, are the same with steps
/// that are captured, and the steps are replayed: caches of one size take turns with one graph.
#[test]
fn captured_steps_are_replayed_and_give_the_same() {
    let folder = folder();
    let library = newer();
    tiny(&folder, "cpu");
    let lines = "what is this?\nand now?\n/draw a red circle\nso?\n";
    let talk = |captured: &str| {
        let chat = ["chat", "tiny", "--max-tokens", "6", "--on", "webgpu"];
        let how = ["--runtime-library", &library, "--allow-fallback"];
        let setting = ["--verbose", "--provider-option", captured];
        folder.pipe(chat.iter().chain(&how).chain(&setting), lines)
    };
    let picture = |name: &str| std::fs::read(folder.path(name)).unwrap();

    let plain = talk("enableGraphCapture=0");
    if plain.code == SYSTEM {
        assert!(plain.stderr.contains("No supported adapters"), "{plain:?}");
        return;
    }
    assert_eq!(plain.code, 0, "{}", plain.stderr);
    assert_eq!(replays(&plain.stderr), BTreeMap::new());
    let captured = talk("enableGraphCapture=1");
    assert_eq!(captured.code, 0, "{}", captured.stderr);
    let said = captured
        .stdout
        .replace("janus-chat-0-2.png", "janus-chat-0.png");
    assert_eq!(said, plain.stdout);
    assert_eq!(picture("janus-chat-0-2.png"), picture("janus-chat-0.png"));
    // Three answers of six tokens in one row, sixteen image tokens in two: the first step of each size is
    // captured, every other one replayed.
    let expected = [("1".to_owned(), 17), ("2".to_owned(), 15)];
    assert_eq!(replays(&captured.stderr), BTreeMap::from(expected));
}

/// What cannot be captured is refused, and so is a setting that nobody could tell from another.
#[test]
fn what_cannot_be_captured_is_refused() {
    let folder = folder();
    let library = webgpu();
    tiny(&folder, "webgpu");
    for (setting, code, message) in [
        ("enableGraphCapture=1", SYSTEM, "cannot be captured"),
        ("enableGraphCapture=true", MALFORMED, "there are 0, 1"),
    ] {
        let ask = ["text", "tiny", "what?", "--on", "webgpu"];
        let how = ["--runtime-library", &library, "--provider-option", setting];
        let refused = folder.run(ask.iter().chain(&how));
        assert_eq!(refused.code, code, "{}", refused.stderr);
        let no_driver = refused.stderr.contains("No supported adapters");
        assert!(no_driver || refused.stderr.contains(message), "{refused:?}");
    }
}
