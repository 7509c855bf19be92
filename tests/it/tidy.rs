//! What lints cannot see: sizes, order, and who may know whom.

use std::fs;
use std::path::{Path, PathBuf};

use janus_runtime::GraphKind;

/// Lines of code, neither blank nor comment nor test module, that a file may have.
const MAX_CODE_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Files below `dir` whose names end with `ending`; build output and hidden folders left out.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, ending));
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn files_are_short_enough_to_be_read() {
    for path in files(&root(), ".rs") {
        let text = read(&path);
        let body = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = body.lines().filter(is_code).count();
        assert!(
            lines <= MAX_CODE_LINES,
            "{} has {lines} lines of code",
            path.display()
        );
    }
}

#[test]
fn crates_say_what_they_are() {
    for manifest in files(&root(), "Cargo.toml") {
        let lib = manifest.with_file_name("src").join("lib.rs");
        if lib.exists() {
            assert!(
                read(&lib).starts_with("//! "),
                "{} begins with `//!`",
                lib.display()
            );
        }
    }
}

#[test]
fn dependencies_are_sorted() {
    for manifest in files(&root(), "Cargo.toml") {
        let text = read(&manifest);
        for section in text.split("\n[").filter(|s| s.contains("dependencies]")) {
            for group in section.split("\n\n") {
                // A list of features stands indented below its dependency.
                let names: Vec<_> = group
                    .lines()
                    .filter(|line| line.starts_with(|c: char| c.is_alphanumeric()))
                    .filter(|line| !line.ends_with(']') || line.contains('='))
                    .filter_map(|line| line.split(['.', '=', ' ']).next())
                    .collect();
                assert!(names.is_sorted(), "{}: {names:?}", manifest.display());
            }
        }
    }
}

#[test]
fn siblings_do_not_know_each_other() {
    let siblings = ["janus-vision", "janus-vq", "janus-flow", "janus-llm"];
    for name in siblings {
        let manifest = read(&root().join(name).join("Cargo.toml"));
        for other in siblings.into_iter().chain(["janus-pipeline"]) {
            let named = manifest
                .lines()
                .any(|line| line.starts_with(&format!("{other}.")));
            assert!(!named, "{name} depends on {other}");
        }
    }
}

#[test]
fn one_manifest_names_ort() {
    let naming: Vec<_> = files(&root(), "Cargo.toml")
        .into_iter()
        .filter(|path| {
            read(path)
                .lines()
                .any(|line| line.starts_with("ort ") || line.starts_with("ort."))
        })
        .map(|path| path.strip_prefix(root()).unwrap().to_owned())
        .collect();
    // The workspace pins the version; one crate uses it.
    assert_eq!(
        naming,
        [
            Path::new("Cargo.toml"),
            Path::new("janus-runtime/Cargo.toml")
        ]
    );
}

#[test]
fn every_graph_is_documented() {
    let docs = read(&root().join("docs/export-format.md"));
    for kind in GraphKind::ALL {
        assert!(docs.contains(&format!("| `{kind}` |")), "{kind} has a row");
    }
}

#[test]
fn no_test_is_switched_off() {
    // Written in two parts so that this file is not its own finding.
    let switch = concat!("#[", "ignore");
    for path in files(&root(), ".rs") {
        assert!(!read(&path).contains(switch), "{}", path.display());
    }
}
