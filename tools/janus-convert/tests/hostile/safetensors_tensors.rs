//! Tensors of safetensors files (A10 to A26).

use expect_test::expect;
use janus_convert::checkpoint::Checkpoint;

use super::safetensors::{file, header_of};
use super::{SAFETENSORS, check, check_header, check_sparse, message, sparse};

#[test]
fn a10_offsets() {
    let two = |a: (u64, u64), b: (u64, u64)| {
        let tensor = |(begin, end): (u64, u64)| {
            let len = end.saturating_sub(begin);
            format!(r#"{{"dtype":"U8","shape":[{len}],"data_offsets":[{begin},{end}]}}"#)
        };
        format!(r#"{{"a":{},"b":{}}}"#, tensor(a), tensor(b))
    };
    check_header(
        &two((0, 3), (2, 4)),
        4,
        &expect![[
            r#"Malformed: tensor `b` begins at byte 2 of the data, within the tensor before it, which ends at 3"#
        ]],
    );
    check_header(
        &two((0, 4), (0, 4)),
        4,
        &expect![[
            r#"Malformed: tensor `b` begins at byte 0 of the data, within the tensor before it, which ends at 4"#
        ]],
    );
    check_header(
        &two((0, 2), (3, 4)),
        4,
        &expect![[r#"Malformed: bytes 2..3 of the data, before tensor `b`, belong to no tensor"#]],
    );
    check_header(
        &two((1, 2), (2, 4)),
        4,
        &expect![[r#"Malformed: bytes 0..1 of the data, before tensor `a`, belong to no tensor"#]],
    );
    check_header(
        &two((0, 2), (2, 1)),
        2,
        &expect![[
            r#"Malformed: tensor `b` of type U8 and shape [0] takes 0 bytes; its offsets 2..1 are the wrong way round"#
        ]],
    );
    check_header(
        &two((0, 2), (2, 5)),
        4,
        &expect![[
            r#"Malformed: the file is truncated: its header needs 118 bytes, and it has 117"#
        ]],
    );
    check_header(
        &two((2, 4), (0, 2)),
        4,
        &expect![[r#"accepted: 2 tensors"#]],
    );
}

#[test]
fn a11_bytes_after_the_last_tensor() {
    check_header(
        &header_of(&["a"]),
        23,
        &expect![[r#"Malformed: 22 bytes after the last tensor belong to no tensor"#]],
    );
}

#[test]
fn a12_truncated() {
    let header = r#"{"a":{"dtype":"F32","shape":[2048],"data_offsets":[0,8192]}}"#;
    check_header(
        header,
        8191,
        &expect![[
            r#"Malformed: the file is truncated: its header needs 8260 bytes, and it has 8259"#
        ]],
    );
    check_header(
        header,
        4096,
        &expect![[
            r#"Malformed: the file is truncated: its header needs 8260 bytes, and it has 4164"#
        ]],
    );
}

#[test]
fn a13_a_shape_that_cannot_be() {
    let with =
        |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#);
    check_header(
        &with("[4294967296,4294967296]"),
        0,
        &expect![[
            r#"Malformed: tensor `a` of type F32 and shape [4294967296, 4294967296] takes more bytes than can be counted; its offsets 0..0 are 0 apart"#
        ]],
    );
    check_header(
        &with("[18446744073709551615,2]"),
        0,
        &expect![[
            r#"Malformed: tensor `a` of type F32 and shape [18446744073709551615, 2] takes more bytes than can be counted; its offsets 0..0 are 0 apart"#
        ]],
    );
    check_header(
        &with("[18446744073709551616]"),
        0,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: shape: invalid type: floating point `1.8446744073709552e+19`, expected usize at line 1 column 49"#
        ]],
    );
    check_header(
        &with("[-1]"),
        0,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: shape: invalid value: integer `-1`, expected usize at line 1 column 31"#
        ]],
    );
    check_header(
        &with(&format!("[{}1]", "1,".repeat(999))),
        4,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: shape: invalid length 9, expected at most 8 dimensions at line 1 column 47"#
        ]],
    );
}

#[test]
fn a14_a_tensor_without_values() {
    let with =
        |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#);
    check_header(
        &with("[0,4611686018427387904]"),
        0,
        &expect![[r#"accepted: 1 tensors"#]],
    );
    check_header(
        &with("[4611686018427387904,4611686018427387904,0]"),
        0,
        &expect![[r#"accepted: 1 tensors"#]],
    );
    let dir = sparse(SAFETENSORS, &file(&with("[0,4611686018427387904]"), 0), 82);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let empty = checkpoint.root().tensor("a", &[0, 1 << 62]).unwrap();
    assert!(empty.is_empty() && empty.read_f32().unwrap().is_empty());
}

#[test]
fn a15_a_type_that_is_not_read() {
    let with =
        |dtype: &str| format!(r#"{{"a":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,1]}}}}"#);
    check_header(
        &with("F128"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: dtype: `F128` is not one of F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL at line 1 column 20"#
        ]],
    );
    check_header(
        &with("F4"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: dtype: `F4` is not one of F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL at line 1 column 18"#
        ]],
    );
}

#[test]
fn a16_a_shape_of_another_size_than_the_offsets() {
    let with =
        |end: u64| format!(r#"{{"a":{{"dtype":"F32","shape":[2,3],"data_offsets":[0,{end}]}}}}"#);
    check_header(
        &with(23),
        23,
        &expect![[
            r#"Malformed: tensor `a` of type F32 and shape [2, 3] takes 24 bytes; its offsets 0..23 are 23 apart"#
        ]],
    );
    check_header(
        &with(25),
        25,
        &expect![[
            r#"Malformed: tensor `a` of type F32 and shape [2, 3] takes 24 bytes; its offsets 0..25 are 25 apart"#
        ]],
    );
}

#[test]
fn a17_more_tensors_than_any_model_has() {
    let names = (0..100_001).map(|i| i.to_string()).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let start = file(&header_of(&names), 0);
    check_sparse(
        SAFETENSORS,
        &start,
        start.len() as u64 * 5,
        &expect![[r#"Refused: the header names more than 100000 tensors"#]],
    );
}

#[test]
fn a18_names() {
    let long = "x".repeat(1 << 20);
    check_header(
        &header_of(&[""]),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor ``: a name has 1 to 1024 bytes at line 1 column 3"#
        ]],
    );
    check_header(
        &header_of(&[&long[..1025]]),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` and 905 bytes more: a name has 1 to 1024 bytes at line 1 column 1028"#
        ]],
    );
    check_sparse(
        SAFETENSORS,
        &file(&header_of(&[&long]), 0),
        8 << 20,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` and 1048456 bytes more: a name has 1 to 1024 bytes at line 1 column 1048579"#
        ]],
    );
    // Any other name is a name: it is never used as a path, and only printed in disguise.
    let odd = [
        "../../etc/x",
        "\0",
        "a\nb",
        "\u{1b}[31m",
        "\u{200f}",
        "é",
        "e\u{301}",
    ];
    check_header(&header_of(&odd), 7, &expect![[r#"accepted: 7 tensors"#]]);
    let dir = sparse(
        SAFETENSORS,
        &file(&header_of(&odd[..4]), 4),
        8 + 4 + header_of(&odd[..4]).len() as u64,
    );
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let unused = checkpoint.expect_all_used(&[]).unwrap_err();
    expect![[
        r#"4 tensors of the checkpoint were not used: `\0`, `\u{1b}[31m`, `../../etc/x`, `a\nb`"#
    ]]
    .assert_eq(&message(&unused));
}

#[test]
fn a19_a20_values_that_look_like_damage() {
    let header = r#"{"norm.weight":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},"a.weight":{"dtype":"F32","shape":[3],"data_offsets":[6,18]},"b.bias":{"dtype":"F16","shape":[2],"data_offsets":[18,22]}}"#;
    let mut file = file(header, 0);
    file.extend_from_slice(&[0; 6]);
    for value in [f32::NAN, f32::NEG_INFINITY, f32::from_bits(1)] {
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.extend_from_slice(&[0; 4]);
    let dir = sparse(SAFETENSORS, &file, file.len() as u64);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert!(checkpoint.doubtful().is_empty(), "nothing was read yet");
    for (name, len) in [("norm.weight", 3), ("a.weight", 3), ("b.bias", 2)] {
        checkpoint
            .root()
            .tensor(name, &[len])
            .unwrap()
            .read_f32()
            .unwrap();
    }
    let doubtful = checkpoint
        .doubtful()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    expect![[r#"tensor `a.weight` has 2 values that are not finite; every value of tensor `norm.weight` is 0"#]].assert_eq(&doubtful.join("; "));
}

#[test]
fn a24_weights_that_are_no_weights() {
    let header = r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[2,1],"data_offsets":[8,10]}}"#;
    let dir = sparse(SAFETENSORS, &file(header, 10), header.len() as u64 + 18);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let said = |name, shape: &[usize]| message(&checkpoint.root().tensor(name, shape).unwrap_err());
    expect![[r#"tensor `a` has type F64; weights are F32, F16 or BF16"#]]
        .assert_eq(&said("a", &[1]));
    expect![[r#"tensor `b` has type I8; weights are F32, F16 or BF16"#]]
        .assert_eq(&said("b", &[2, 1]));
    expect![[r#"tensor `b` has shape [2, 1]; it should be [1, 2]"#]].assert_eq(&said("b", &[1, 2]));
    expect![[r#"tensor `c` is missing"#]].assert_eq(&said("c", &[1]));
}

#[test]
fn a25_something_else_under_that_name() {
    check(
        SAFETENSORS,
        b"version https://git-lfs.invalid/spec/v1\noid sha256:00\nsize 1\n",
        &expect![[
            r#"Malformed: `model.safetensors` is a Git LFS pointer, not a safetensors file; run `git lfs pull` to get the file itself"#
        ]],
    );
    check(
        SAFETENSORS,
        b"\n <!DOCTYPE html><title>404</title>",
        &expect![[
            r#"Malformed: `model.safetensors` is an HTML page, not a safetensors file; download it again"#
        ]],
    );
    check(
        SAFETENSORS,
        b"<HTML><body>Too many requests",
        &expect![[
            r#"Malformed: `model.safetensors` is an HTML page, not a safetensors file; download it again"#
        ]],
    );
    check(
        SAFETENSORS,
        b"PK\x03\x04................",
        &expect![[
            r#"Malformed: `model.safetensors` is a PyTorch archive, not a safetensors file; give it the name that fits"#
        ]],
    );
    check(
        SAFETENSORS,
        b"GGUF\x03\0\0\0\0\0\0\0",
        &expect![[
            r#"Malformed: `model.safetensors` is a GGUF file, not a safetensors file; get the weights as safetensors or as a PyTorch file"#
        ]],
    );
}

/// The length of a header may begin like a file of another kind: 640 like a pickle, 35615 like a gzip archive.
#[test]
fn a25_something_else_only_by_its_first_bytes() {
    let padded = |len: usize| format!("{:len$}", header_of(&["a"]));
    check_header(&padded(640), 1, &expect![[r#"accepted: 1 tensors"#]]);
    check_header(&padded(0x8b1f), 1, &expect![[r#"accepted: 1 tensors"#]]);
}

/// Not where a long file takes as much of the disk.
#[cfg(unix)]
#[test]
fn a26_a_file_larger_than_memory() {
    let size = 64u64 << 30;
    let header = format!(
        r#"{{"a":{{"dtype":"BF16","shape":[{}],"data_offsets":[0,{size}]}}}}"#,
        size / 2
    );
    let dir = sparse(
        SAFETENSORS,
        &file(&header, 0),
        8 + header.len() as u64 + size,
    );
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let len = (size / 2) as usize;
    let tensor = checkpoint.root().tensor("a", &[len]).unwrap();
    let mut last = [1.0; 8];
    tensor.read_f32_range(len - 8, &mut last).unwrap();
    assert_eq!(last, [0.0; 8]);
}

#[test]
fn a_file_that_shrinks_while_it_is_read() {
    let header = r#"{"a":{"dtype":"F32","shape":[1024],"data_offsets":[0,4096]}}"#;
    let dir = sparse(
        SAFETENSORS,
        &file(header, 4096),
        8 + header.len() as u64 + 4096,
    );
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(dir.path().join(SAFETENSORS))
        .unwrap();
    file.set_len(1000).unwrap();
    let error = checkpoint
        .root()
        .tensor("a", &[1024])
        .unwrap()
        .read_f32()
        .unwrap_err();
    expect![[r#"cannot read `model.safetensors` at byte 68: failed to fill whole buffer"#]]
        .assert_eq(&message(&error));
}
