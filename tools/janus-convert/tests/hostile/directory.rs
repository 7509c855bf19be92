//! What is in the directory (B20, B21).

use std::fs;

use expect_test::expect;
use janus_convert::checkpoint::{Checkpoint, Container};

use super::safetensors::{file, header_of};
use super::{PYTORCH, SAFETENSORS, accepted, check, check_dir};

#[test]
fn nothing() {
    let dir = tempfile::tempdir().unwrap();
    check_dir(dir.path(), &expect![[""]]);
    check_dir(&dir.path().join("."), &expect![[""]]);
}

#[test]
fn b20_something_else_under_that_name() {
    let gguf = b"GGUF\x03\0\0\0\0\0\0\0";
    check(PYTORCH, &file(&header_of(&["a"]), 1), &expect![[""]]);
    check(PYTORCH, gguf, &expect![[""]]);
    check(PYTORCH, b"\x89HDF\r\n\x1a\n", &expect![[""]]);
    check(PYTORCH, b"\x93NUMPY\x01\0", &expect![[""]]);
    check(PYTORCH, b"\x1f\x8b\x08", &expect![[""]]);
    check(PYTORCH, b"<html>", &expect![[""]]);
    check(PYTORCH, b"version https://git-lfs.invalid/spec/v1\n", &expect![[""]]);
    check(PYTORCH, b"", &expect![[""]]);
    check(PYTORCH, &[0; 4096], &expect![[""]]);
}

#[test]
fn b18_files_of_other_times() {
    check(PYTORCH, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", &expect![[""]]);
    check(PYTORCH, b"\x80\x02}q\0.", &expect![[""]]);
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    check(PYTORCH, &tar, &expect![[""]]);
}

#[test]
fn b21_both_containers() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(SAFETENSORS), file(&header_of(&["a"]), 1)).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/janus-tiny/released-bin");
    fs::copy(format!("{fixture}/{PYTORCH}"), dir.path().join(PYTORCH)).unwrap();
    check_dir(dir.path(), &expect![[""]]);
    let pickled = Checkpoint::open_container(dir.path(), Container::PyTorch).unwrap();
    expect![[""]].assert_eq(&accepted(&pickled));
}
