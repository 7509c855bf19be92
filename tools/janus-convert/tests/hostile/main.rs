//! Checkpoints that are damaged, or made to do damage: each must be refused for the right reason, in the same words every
//! time, at little cost. The numbers of the cases are those of the threat model.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod archive;
mod archive_ends;
mod directory;
mod pickle_calls;
mod pickle_opcodes;
mod pickle_tensors;
mod pickler;
mod random;
mod reading;
mod safetensors;
mod safetensors_header;
mod safetensors_tensors;
mod seeds;
mod shards;
mod zip;

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use expect_test::Expect;
use janus_convert::checkpoint::{Checkpoint, CheckpointError};
use tempfile::TempDir;

const SAFETENSORS: &str = "model.safetensors";
const PYTORCH: &str = "pytorch_model.bin";

/// No case may take longer, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Opens a directory with this one file and compares what is said of it.
#[track_caller]
fn check(name: &str, content: &[u8], expected: &Expect) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    check_dir(dir.path(), expected);
}

/// Opens a safetensors file with this header and this many bytes of data, and compares what is said of it.
#[track_caller]
fn check_header(header: &str, data: usize, expected: &Expect) {
    check(SAFETENSORS, &safetensors::file(header, data), expected);
}

/// Opens a PyTorch file with this pickle and a storage `0` of 24 bytes, and compares what is said of it.
#[track_caller]
fn check_pickle(pickle: &[u8], expected: &Expect) {
    check(
        PYTORCH,
        &pickler::pytorch(pickle, &[("0", &[0; 24])]),
        expected,
    );
}

/// Opens a file that goes on with zeros up to `size`, and compares what is said of it.
#[track_caller]
fn check_sparse(name: &str, start: &[u8], size: u64, expected: &Expect) {
    let dir = sparse(name, start, size);
    check_dir(dir.path(), expected);
}

/// A directory with one file that goes on with zeros up to `size`.
fn sparse(name: &str, start: &[u8], size: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, start).unwrap();
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(size)
        .unwrap();
    dir
}

/// Opens a directory twice and compares what is said of it.
#[track_caller]
fn check_dir(dir: &Path, expected: &Expect) {
    let before = Instant::now();
    let first = outcome(dir);
    assert!(
        before.elapsed() < PATIENCE,
        "it took {:?}",
        before.elapsed()
    );
    assert_eq!(first, outcome(dir), "the second time it was something else");
    assert!(first.len() <= 2048, "{} bytes are too many", first.len());
    assert!(
        !first.contains(char::is_control),
        "control characters in {first:?}"
    );
    expected.assert_eq(&first);
}

/// What comes of opening a directory: the kind of fault and its causes, or what there is.
fn outcome(dir: &Path) -> String {
    match Checkpoint::open(dir) {
        Ok(checkpoint) => accepted(&checkpoint),
        Err(error) => {
            let place = dir.canonicalize().unwrap().display().to_string();
            shortened(&format!("{:?}: {}", error.fault(), message(&error))).replace(&place, "…")
        }
    }
}

/// A message without what many of them have in common. `whole_messages` has it.
fn shortened(message: &str) -> String {
    const COMMON: [(&str, &str); 5] = [
        ("`model.safetensors` is not a usable safetensors file: ", ""),
        (
            "`model.safetensors.index.json` is not a usable list of shards: ",
            "list: ",
        ),
        (
            "`pytorch_model.bin` is not a usable PyTorch archive: ",
            "archive: ",
        ),
        (
            "the pickle in `pytorch_model.bin` cannot be read: ",
            "pickle: ",
        ),
        (
            "`pytorch_model.bin` does not hold a usable dictionary of tensors: ",
            "dictionary: ",
        ),
    ];
    let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    let message = COMMON.iter().fold(message.to_owned(), replace);
    match message.split_once("; allowed are ") {
        Some((message, _)) => message.to_owned(),
        None => message,
    }
}

fn accepted(checkpoint: &Checkpoint) -> String {
    let mut text = format!("accepted: {} tensors", checkpoint.len());
    for note in checkpoint.notes() {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}

/// An error with all its causes.
fn message(error: &CheckpointError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
