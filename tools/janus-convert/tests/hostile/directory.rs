//! What is in the directory (B20, B21).

use std::fs;

use expect_test::expect;
use janus_convert::checkpoint::{Checkpoint, Container};

use super::pickler::pytorch;
use super::safetensors::{file, header_of};
use super::{PYTORCH, SAFETENSORS, accepted, check, check_dir, message, sparse};

#[test]
fn nothing() {
    let dir = tempfile::tempdir().unwrap();
    check_dir(
        dir.path(),
        &expect![[
            r#"Malformed: no weights in `…`: expected model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.safetensors, pytorch_model.bin, pytorch_model.bin.index.json, diffusion_pytorch_model.bin"#
        ]],
    );
    check_dir(
        &dir.path().join("."),
        &expect![[
            r#"Malformed: no weights in `…/.`: expected model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.safetensors, pytorch_model.bin, pytorch_model.bin.index.json, diffusion_pytorch_model.bin"#
        ]],
    );
}

#[test]
fn b20_something_else_under_that_name() {
    let gguf = b"GGUF\x03\0\0\0\0\0\0\0";
    check(
        PYTORCH,
        &file(&header_of(&["a"]), 1),
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a safetensors file, not a PyTorch archive; give it the name that fits"#
        ]],
    );
    check(
        PYTORCH,
        gguf,
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a GGUF file, not a PyTorch archive; get the weights as safetensors or as a PyTorch file"#
        ]],
    );
    check(
        PYTORCH,
        b"\x89HDF\r\n\x1a\n",
        &expect![[
            r#"Malformed: `pytorch_model.bin` is an HDF5 file, not a PyTorch archive; get the weights as safetensors or as a PyTorch file"#
        ]],
    );
    check(
        PYTORCH,
        b"\x93NUMPY\x01\0",
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a NumPy array, not a PyTorch archive; get the weights as safetensors or as a PyTorch file"#
        ]],
    );
    check(
        PYTORCH,
        b"\x1f\x8b\x08",
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a gzip archive, not a PyTorch archive; unpack it"#
        ]],
    );
    check(
        PYTORCH,
        b"<html>",
        &expect![[
            r#"Malformed: `pytorch_model.bin` is an HTML page, not a PyTorch archive; download it again"#
        ]],
    );
    check(
        PYTORCH,
        b"version https://git-lfs.invalid/spec/v1\n",
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a Git LFS pointer, not a PyTorch archive; run `git lfs pull` to get the file itself"#
        ]],
    );
    check(
        PYTORCH,
        b"",
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
    check(
        PYTORCH,
        &[0; 4096],
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
}

#[test]
fn b18_files_of_other_times() {
    check(
        PYTORCH,
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a PyTorch file from before version 1.6, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"#
        ]],
    );
    check(
        PYTORCH,
        b"\x80\x02}q\0.",
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a bare pickle, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"#
        ]],
    );
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    check(
        PYTORCH,
        &tar,
        &expect![[
            r#"Malformed: `pytorch_model.bin` is a tar archive, not a PyTorch archive; load it with the library that wrote it and save its `state_dict()` again"#
        ]],
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
        &expect![[
            r#"accepted: 1 tensors; `model.safetensors` is read; `pytorch_model.bin` in the same directory is not"#
        ]],
    );
    let pickled = Checkpoint::open_container(dir.path(), Container::PyTorch).unwrap();
    expect![[r#"accepted: 416 tensors"#]].assert_eq(&accepted(&pickled));
}

/// What the other cases leave out of the messages.
#[test]
fn whole_messages() {
    let whole = |name, content: &[u8]| {
        let dir = sparse(name, content, content.len() as u64);
        message(&Checkpoint::open(dir.path()).unwrap_err())
    };
    expect![[r#"`model.safetensors` is not a usable safetensors file: the file has 0 of the 8 bytes that the length of its header takes"#]].assert_eq(&whole(SAFETENSORS, b""));
    expect![[r#"`model.safetensors.index.json` is not a usable list of shards: it is not what it should be: missing field `weight_map` at line 1 column 2"#]].assert_eq(&whole("model.safetensors.index.json", b"{}"));
    expect![[r#"`pytorch_model.bin` is not a usable PyTorch archive: it does not end with a zip directory: it is truncated, or something was appended to it"#]].assert_eq(&whole(PYTORCH, b""));
    expect![[r#"the pickle in `pytorch_model.bin` cannot be read: at byte 0: the pickle asks for global `os.system`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"#]].assert_eq(&whole(PYTORCH, &pytorch(b"cos\nsystem\n.", &[])));
    expect![[r#"`pytorch_model.bin` does not hold a usable dictionary of tensors: it holds a list, not a dictionary"#]].assert_eq(&whole(PYTORCH, &pytorch(b"].", &[])));
}
