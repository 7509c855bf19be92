//! The command line itself: help pages, and what is told of a wrong one.

use crate::common::Folder;
use serde_json::Value;

const COMMANDS: [&str; 18] = [
    "demo",
    "text",
    "chat",
    "image",
    "inspect",
    "convert",
    "synth",
    "validate",
    "eval",
    "bench",
    "preprocess",
    "tokenize",
    "encode",
    "decode",
    "run",
    "serve",
    "runtime",
    "doctor",
];

#[test]
fn every_command_has_help() {
    let folder = Folder::new();
    let overview = folder.said(["--help"]);
    for command in COMMANDS {
        assert!(overview.contains(&format!("  {command} ")), "{command}");
        let page = folder.said([command, "--help"]);
        assert!(page.contains(&format!("Usage: janus {command}")), "{page}");
        assert!(page.contains("--cache <DIR>"), "{page}");
        let short = folder.said([command, "-h"]);
        assert!(short.len() < page.len(), "{short}");
    }
    for page in [
        ["eval", "scenes"],
        ["runtime", "install"],
        ["runtime", "list"],
    ] {
        assert!(
            folder
                .said([page[0], page[1], "--help"])
                .contains("Usage: ")
        );
    }
    assert_eq!(
        folder.said(["--version"]),
        format!("janus {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("models")).unwrap();
    folder.refused(["draw"], 2, "draw");
    folder.refused(["text"], 2, "QUESTION is missing");
    folder.refused(
        ["text", "models"],
        2,
        "`models` is a directory; QUESTION is missing",
    );
    folder.refused(["image", "models"], 2, "PROMPT is missing");
    folder.refused(["image", "a", "b", "c"], 2, "'c'");
    folder.refused(["image", "x", "--images", "0"], 2, "1 to 64");
    folder.refused(["image", "x", "--images", "65"], 2, "1 to 64");
    folder.refused(["image", "x", "--guidance", "nan"], 2, "finite");
    folder.refused(
        ["image", "x", "--temperature", "-1"],
        2,
        "temperature is -1",
    );
    folder.refused(["image", "x", "--top-p", "1.5"], 2, "top-p is 1.5");
    folder.refused(["image", "x", "--top-k", "0"], 2, "top-k is 0");
    folder.refused(
        ["image", "x", "--out", "x.jpg"],
        2,
        "`x.jpg` should end in .png",
    );
    folder.refused(["image", "x", "--preview-every", "0"], 2, "--preview-every");
    folder.refused(["text", "x", "--max-tokens", "0"], 2, "max_new_tokens is 0");
    folder.refused(
        ["text", "x", "--on", "gpu"],
        2,
        "`gpu` is not an execution provider",
    );
    folder.refused(["text", "x", "--threads", "0"], 2, "--threads");
    folder.refused(["convert", "a", "b", "--dtype", "int3"], 2, "int3");
    folder.refused(
        ["eval", "scenes", "--per-category", "0"],
        2,
        "--per-category",
    );
    folder.refused(["synth", "--like", "janus-2", "x"], 2, "janus-pro-1b");
    folder.refused(["runtime", "install", "gpu"], 2, "`gpu` is not a flavour");
    folder.refused(["inspect", "--quiet", "--verbose"], 2, "--quiet");
    assert_eq!(folder.names(), ["models"]);
}

#[test]
fn errors_are_told_in_json_where_that_is_asked_for() {
    let folder = Folder::new();
    for (arguments, exit, code, message) in [
        (
            vec!["--error-format", "json", "draw"],
            2,
            "usage",
            "unrecognized subcommand 'draw'",
        ),
        (
            vec!["text", "--error-format=json", "nowhere", "hi"],
            3,
            "malformed",
            "cannot read `nowhere`",
        ),
        (
            vec!["text", "hi", "--on", "cuda", "--error-format", "json"],
            5,
            "system",
            "no execution provider `cuda:0`",
        ),
    ] {
        let ran = folder.run(&arguments);
        assert_eq!(ran.code, exit, "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        let told: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(told["code"], code);
        assert_eq!(told["exit"], exit);
        let error = told["error"].as_str().unwrap();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn hints_name_what_helps() {
    let folder = Folder::new();
    let hint = "hint: `janus runtime install --flavour cuda`";
    folder.refused(["text", "hi", "--on", "tensorrt:1"], 5, hint);
    std::fs::write(folder.path("there.png"), "").unwrap();
    folder.refused(
        ["image", "x", "--out", "there.png"],
        5,
        "hint: --force replaces it",
    );
}
