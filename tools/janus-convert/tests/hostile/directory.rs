//! What is in the directory (B20, B21).

use std::fs;

use expect_test::expect;
use janus_convert::checkpoint::{Checkpoint, Container};

use super::safetensors::{file, header_of};
use super::{PYTORCH, SAFETENSORS, accepted, check, check_dir};

#[test]
fn nothing() {
    let dir = tempfile::tempdir().unwrap();
    check_dir(
        dir.path(),
        &expect![
            "Malformed: no weights in `…`: expected model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.safetensors, pytorch_model.bin, pytorch_model.bin.index.json, diffusion_pytorch_model.bin"
        ],
    );
    check_dir(
        &dir.path().join("."),
        &expect![
            "Malformed: no weights in `…/.`: expected model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.safetensors, pytorch_model.bin, pytorch_model.bin.index.json, diffusion_pytorch_model.bin"
        ],
    );
}

#[test]
fn b20_something_else_under_that_name() {
    let gguf = b"GGUF\x03\0\0\0\0\0\0\0";
    check(
        PYTORCH,
        &file(&header_of(&["a"]), 1),
        &expect![
            "Malformed: `pytorch_model.bin` is a safetensors file, not a PyTorch archive; give it the name that fits"
        ],
    );
    check(
        PYTORCH,
        gguf,
        &expect![
            "Malformed: `pytorch_model.bin` is a GGUF file, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"
        ],
    );
    check(
        PYTORCH,
        b"\x89HDF\r\n\x1a\n",
        &expect![
            "Malformed: `pytorch_model.bin` is an HDF5 file, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"
        ],
    );
    check(
        PYTORCH,
        b"\x93NUMPY\x01\0",
        &expect![
            "Malformed: `pytorch_model.bin` is a NumPy array, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"
        ],
    );
    check(
        PYTORCH,
        b"\x1f\x8b\x08",
        &expect![
            "Malformed: `pytorch_model.bin` is a gzip archive, not a PyTorch archive; unpack it"
        ],
    );
    check(
        PYTORCH,
        b"<html>",
        &expect![
            "Malformed: `pytorch_model.bin` is an HTML page, not a PyTorch archive; download it again"
        ],
    );
    check(
        PYTORCH,
        b"version https://git-lfs.invalid/spec/v1\n",
        &expect![
            "Malformed: `pytorch_model.bin` is a Git LFS pointer, not a PyTorch archive; run `git lfs pull` to get the file itself"
        ],
    );
    check(
        PYTORCH,
        b"",
        &expect![
            "Malformed: `pytorch_model.bin` is not a usable PyTorch archive: it does not end with a zip directory: it is truncated, or something was appended to it"
        ],
    );
    check(
        PYTORCH,
        &[0; 4096],
        &expect![
            "Malformed: `pytorch_model.bin` is not a usable PyTorch archive: it does not end with a zip directory: it is truncated, or something was appended to it"
        ],
    );
}

#[test]
fn b18_files_of_other_times() {
    check(
        PYTORCH,
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        &expect![
            "Malformed: `pytorch_model.bin` is a PyTorch file from before version 1.6, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"
        ],
    );
    check(
        PYTORCH,
        b"\x80\x02}q\0.",
        &expect![
            "Malformed: `pytorch_model.bin` is a bare pickle, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"
        ],
    );
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    check(
        PYTORCH,
        &tar,
        &expect![
            "Malformed: `pytorch_model.bin` is a tar archive, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"
        ],
    );
}

#[test]
fn b21_both_containers() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(SAFETENSORS), file(&header_of(&["a"]), 1)).unwrap();
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/janus-tiny/released-bin"
    );
    fs::copy(format!("{fixture}/{PYTORCH}"), dir.path().join(PYTORCH)).unwrap();
    check_dir(
        dir.path(),
        &expect![
            "accepted: 1 tensors; `model.safetensors` is read; `pytorch_model.bin` in the same directory is not"
        ],
    );
    let pickled = Checkpoint::open_container(dir.path(), Container::PyTorch).unwrap();
    expect!["accepted: 416 tensors"].assert_eq(&accepted(&pickled));
}
