//! Safetensors files (A).

use std::fmt::Write;

use expect_test::{Expect, expect};
use janus_convert::checkpoint::Checkpoint;

use super::{SAFETENSORS, check, check_sparse, message, sparse};

/// A file with this header and this many bytes of data.
pub(super) fn file(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

/// A header of one-byte tensors.
pub(super) fn header_of(names: &[&str]) -> String {
    let mut header = String::from("{");
    for (i, name) in names.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let name = serde_json::to_string(name).unwrap();
        let end = i + 1;
        write!(header, r#"{comma}{name}:{{"dtype":"U8","shape":[1],"data_offsets":[{i},{end}]}}"#).unwrap();
    }
    header + "}"
}

#[track_caller]
fn check_header(header: &str, data: usize, expected: &Expect) {
    check(SAFETENSORS, &file(header, data), expected);
}

#[test]
fn a01_shorter_than_a_length() {
    check(SAFETENSORS, b"", &expect![[""]]);
    check(SAFETENSORS, b"\x01", &expect![[""]]);
    check(SAFETENSORS, b"\x01\x02\x03\x04\x05\x06\x07", &expect![[""]]);
}

#[test]
fn a02_a_header_that_ends_after_the_file() {
    let file = |length: u64| [&length.to_le_bytes()[..], &[b'{'; 12]].concat();
    check(SAFETENSORS, &file(u64::MAX), &expect![[""]]);
    check(SAFETENSORS, &file(1 << 63), &expect![[""]]);
    check(SAFETENSORS, &file(20), &expect![[""]]);
    check(SAFETENSORS, &file(13), &expect![[""]]);
}

#[test]
fn a03_a_header_above_the_limits() {
    let start = |length: u64| length.to_le_bytes();
    check_sparse(SAFETENSORS, &start(100_000_001), 500_000_000, &expect![[""]]);
    check_sparse(SAFETENSORS, &start(100_000_000), 100_000_008, &expect![[""]]);
}

#[test]
fn a04_no_tensors() {
    check_header("{}", 0, &expect![[""]]);
    check_header("    ", 0, &expect![[""]]);
    check_header(r#"{"__metadata__":{"format":"pt"}}"#, 0, &expect![[""]]);
}

#[test]
fn a05_not_text() {
    let file = |header: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header].concat();
    check(SAFETENSORS, &file(b"{\"a\xff\":1}"), &expect![[""]]);
    check(SAFETENSORS, &file(b"\xef\xbb\xbf{}"), &expect![[""]]);
}

#[test]
fn a06_json_that_is_not_what_it_should_be() {
    let with = |offset: &str| {
        format!(r#"{{"a.b":{{"dtype":"U8","shape":[1],"data_offsets":[0,{offset}]}}}}"#)
    };
    check_header(r#"{"a.b":{"dtype":"U8","sha"#, 0, &expect![[""]]);
    check_header(&with("NaN"), 1, &expect![[""]]);
    check_header(&with("1e999"), 1, &expect![[""]]);
    check_header(&with("-1"), 1, &expect![[""]]);
    check_header(&with("1.5"), 1, &expect![[""]]);
    check_header(&with("\"0\""), 1, &expect![[""]]);
    check_header(r#"{"a":{"dtype":"U8","shape":[1]}}"#, 1, &expect![[""]]);
    check_header(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}"#, 1, &expect![[""]]);
    check_header(r#"{"a":7}"#, 1, &expect![[""]]);
    check_header(&(with("1") + "x"), 1, &expect![[""]]);
}

#[test]
fn a07_metadata_of_another_kind() {
    let nested = "[".repeat(100_000);
    check_header(&format!(r#"{{"__metadata__":{{"a":{nested}"#), 0, &expect![[""]]);
    check_header(r#"{"__metadata__":{"a":1}}"#, 0, &expect![[""]]);
}

#[test]
fn a08_a_name_that_is_there_twice() {
    check_header(&header_of(&["a", "a"]), 2, &expect![[""]]);
    let same = r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    check_header(&format!("{{{same},{same}}}"), 1, &expect![[""]]);
    let field = r#"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    check_header(field, 1, &expect![[""]]);
}

#[test]
fn a09_metadata_twice_or_as_a_tensor() {
    check_header(r#"{"__metadata__":{},"__metadata__":{}}"#, 0, &expect![[""]]);
    check_header(&header_of(&["__metadata__"]), 1, &expect![[""]]);
}

#[test]
fn a10_offsets() {
    let two = |a: (u64, u64), b: (u64, u64)| {
        let tensor = |(begin, end): (u64, u64)| {
            let len = end.saturating_sub(begin);
            format!(r#"{{"dtype":"U8","shape":[{len}],"data_offsets":[{begin},{end}]}}"#)
        };
        format!(r#"{{"a":{},"b":{}}}"#, tensor(a), tensor(b))
    };
    check_header(&two((0, 3), (2, 4)), 4, &expect![[""]]);
    check_header(&two((0, 4), (0, 4)), 4, &expect![[""]]);
    check_header(&two((0, 2), (3, 4)), 4, &expect![[""]]);
    check_header(&two((1, 2), (2, 4)), 4, &expect![[""]]);
    check_header(&two((0, 2), (2, 1)), 2, &expect![[""]]);
    check_header(&two((0, 2), (2, 5)), 4, &expect![[""]]);
    check_header(&two((2, 4), (0, 2)), 4, &expect![[""]]);
}

#[test]
fn a11_bytes_after_the_last_tensor() {
    check_header(&header_of(&["a"]), 23, &expect![[""]]);
}

#[test]
fn a12_truncated() {
    let header = r#"{"a":{"dtype":"F32","shape":[2048],"data_offsets":[0,8192]}}"#;
    check_header(header, 8191, &expect![[""]]);
    check_header(header, 4096, &expect![[""]]);
}

#[test]
fn a13_a_shape_that_cannot_be() {
    let with = |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#);
    check_header(&with("[4294967296,4294967296]"), 0, &expect![[""]]);
    check_header(&with("[18446744073709551615,2]"), 0, &expect![[""]]);
    check_header(&with("[18446744073709551616]"), 0, &expect![[""]]);
    check_header(&with("[-1]"), 0, &expect![[""]]);
    check_header(&with(&format!("[{}1]", "1,".repeat(999))), 4, &expect![[""]]);
}

#[test]
fn a14_a_tensor_without_values() {
    let with = |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#);
    check_header(&with("[0,4611686018427387904]"), 0, &expect![[""]]);
    check_header(&with("[4611686018427387904,4611686018427387904,0]"), 0, &expect![[""]]);
    let dir = sparse(SAFETENSORS, &file(&with("[0,4611686018427387904]"), 0), 73);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let empty = checkpoint.root().tensor("a", &[0, 1 << 62]).unwrap();
    assert!(empty.is_empty() && empty.read_f32().unwrap().is_empty());
}

#[test]
fn a15_a_type_that_is_not_read() {
    let with = |dtype: &str| format!(r#"{{"a":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,1]}}}}"#);
    check_header(&with("F128"), 1, &expect![[""]]);
    check_header(&with("F4"), 1, &expect![[""]]);
}

#[test]
fn a16_a_shape_of_another_size_than_the_offsets() {
    let with = |end: u64| format!(r#"{{"a":{{"dtype":"F32","shape":[2,3],"data_offsets":[0,{end}]}}}}"#);
    check_header(&with(23), 23, &expect![[""]]);
    check_header(&with(25), 25, &expect![[""]]);
}

#[test]
fn a17_more_tensors_than_any_model_has() {
    let names = (0..100_001).map(|i| i.to_string()).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let start = file(&header_of(&names), 0);
    check_sparse(SAFETENSORS, &start, start.len() as u64 * 5, &expect![[""]]);
}

#[test]
fn a18_names() {
    let long = "x".repeat(1 << 20);
    check_header(&header_of(&[""]), 1, &expect![[""]]);
    check_header(&header_of(&[&long[..1025]]), 1, &expect![[""]]);
    check_sparse(SAFETENSORS, &file(&header_of(&[&long]), 0), 8 << 20, &expect![[""]]);
    // Any other name is a name: it is never used as a path, and only printed in disguise.
    let odd = ["../../etc/x", "\0", "a\nb", "\u{1b}[31m", "\u{200f}", "é", "e\u{301}"];
    check_header(&header_of(&odd), 7, &expect![[""]]);
    let dir = sparse(SAFETENSORS, &file(&header_of(&odd[..4]), 4), 8 + 4 + header_of(&odd[..4]).len() as u64);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let unused = checkpoint.expect_all_used(&[]).unwrap_err();
    expect![[""]].assert_eq(&message(&unused));
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
        checkpoint.root().tensor(name, &[len]).unwrap().read_f32().unwrap();
    }
    let doubtful = checkpoint.doubtful().iter().map(ToString::to_string).collect::<Vec<_>>();
    expect![[""]].assert_eq(&doubtful.join("; "));
}

#[test]
fn a24_weights_that_are_no_weights() {
    let header = r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[2,1],"data_offsets":[8,10]}}"#;
    let dir = sparse(SAFETENSORS, &file(header, 10), header.len() as u64 + 18);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let said = |name, shape: &[usize]| message(&checkpoint.root().tensor(name, shape).unwrap_err());
    expect![[""]].assert_eq(&said("a", &[1]));
    expect![[""]].assert_eq(&said("b", &[2, 1]));
    expect![[""]].assert_eq(&said("b", &[1, 2]));
    expect![[""]].assert_eq(&said("c", &[1]));
}

#[test]
fn a25_something_else_under_that_name() {
    check(SAFETENSORS, b"version https://git-lfs.invalid/spec/v1\noid sha256:00\nsize 1\n", &expect![[""]]);
    check(SAFETENSORS, b"\n <!DOCTYPE html><title>404</title>", &expect![[""]]);
    check(SAFETENSORS, b"<HTML><body>Too many requests", &expect![[""]]);
    check(SAFETENSORS, b"PK\x03\x04................", &expect![[""]]);
    check(SAFETENSORS, b"GGUF\x03\0\0\0\0\0\0\0", &expect![[""]]);
}

#[test]
fn a26_a_file_larger_than_memory() {
    let size = 64u64 << 30;
    let header = format!(r#"{{"a":{{"dtype":"BF16","shape":[{}],"data_offsets":[0,{size}]}}}}"#, size / 2);
    let dir = sparse(SAFETENSORS, &file(&header, 0), 8 + header.len() as u64 + size);
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
    let dir = sparse(SAFETENSORS, &file(header, 4096), 8 + header.len() as u64 + 4096);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let file = std::fs::File::options().write(true).open(dir.path().join(SAFETENSORS)).unwrap();
    file.set_len(1000).unwrap();
    let error = checkpoint.root().tensor("a", &[1024]).unwrap().read_f32().unwrap_err();
    expect![[""]].assert_eq(&message(&error));
}
