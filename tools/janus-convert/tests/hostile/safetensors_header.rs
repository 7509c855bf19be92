//! Safetensors headers (A01 to A09).

use expect_test::expect;

use super::safetensors::header_of;
use super::{SAFETENSORS, check, check_header, check_sparse};

#[test]
fn a01_shorter_than_a_length() {
    check(
        SAFETENSORS,
        b"",
        &expect![[
            r#"Malformed: the file has 0 of the 8 bytes that the length of its header takes"#
        ]],
    );
    check(
        SAFETENSORS,
        b"\x01",
        &expect![[
            r#"Malformed: the file has 1 of the 8 bytes that the length of its header takes"#
        ]],
    );
    check(
        SAFETENSORS,
        b"\x01\x02\x03\x04\x05\x06\x07",
        &expect![[
            r#"Malformed: the file has 7 of the 8 bytes that the length of its header takes"#
        ]],
    );
}

#[test]
fn a02_a_header_that_ends_after_the_file() {
    let file = |length: u64| [&length.to_le_bytes()[..], &[b'{'; 12]].concat();
    check(
        SAFETENSORS,
        &file(u64::MAX),
        &expect![[
            r#"Malformed: the header should have 18446744073709551615 bytes, but the file has 20 in all"#
        ]],
    );
    check(
        SAFETENSORS,
        &file(1 << 63),
        &expect![[
            r#"Malformed: the header should have 9223372036854775808 bytes, but the file has 20 in all"#
        ]],
    );
    check(
        SAFETENSORS,
        &file(20),
        &expect![[r#"Malformed: the header should have 20 bytes, but the file has 20 in all"#]],
    );
    check(
        SAFETENSORS,
        &file(13),
        &expect![[r#"Malformed: the header should have 13 bytes, but the file has 20 in all"#]],
    );
}

#[test]
fn a03_a_header_above_the_limits() {
    let start = |length: u64| length.to_le_bytes();
    check_sparse(
        SAFETENSORS,
        &start(100_000_001),
        500_000_000,
        &expect![[r#"Refused: the header has 100000001 bytes; the limit is 100000000"#]],
    );
    check_sparse(
        SAFETENSORS,
        &start(100_000_000),
        100_000_008,
        &expect![[
            r#"Refused: the header has 100000000 of the file's 100000008 bytes; the limit is a quarter"#
        ]],
    );
}

#[test]
fn a04_no_tensors() {
    check_header(
        "{}",
        0,
        &expect![[r#"Malformed: the header names no tensors"#]],
    );
    check_header(
        "    ",
        0,
        &expect![[
            r#"Malformed: the header is not what it should be: EOF while parsing a value at line 1 column 4"#
        ]],
    );
    check_header(
        r#"{"__metadata__":{"format":"pt"}}"#,
        0,
        &expect![[r#"Malformed: the header names no tensors"#]],
    );
}

#[test]
fn a05_not_text() {
    let file = |header: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header].concat();
    check(
        SAFETENSORS,
        &file(b"{\"a\xff\":1}"),
        &expect![[
            r#"Malformed: the header is not UTF-8 at byte 11: invalid utf-8 sequence of 1 bytes from index 3"#
        ]],
    );
    check(
        SAFETENSORS,
        &file(b"\xef\xbb\xbf{}"),
        &expect![[
            r#"Malformed: the header is not what it should be: expected value at line 1 column 1"#
        ]],
    );
}

#[test]
fn a06_json_that_is_not_what_it_should_be() {
    let with = |offset: &str| {
        format!(r#"{{"a.b":{{"dtype":"U8","shape":[1],"data_offsets":[0,{offset}]}}}}"#)
    };
    check_header(
        r#"{"a.b":{"dtype":"U8","sha"#,
        0,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a.b`: EOF while parsing a string at line 1 column 25"#
        ]],
    );
    check_header(
        &with("NaN"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a.b`: data_offsets: expected value at line 1 column 52"#
        ]],
    );
    check_header(
        &with("1e999"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a.b`: data_offsets: number out of range at line 1 column 56"#
        ]],
    );
    check_header(
        &with("-1"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a.b`: data_offsets: invalid value: integer `-1`, expected u64 at line 1 column 53"#
        ]],
    );
    check_header(
        &with("1.5"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a.b`: data_offsets: invalid type: floating point `1.5`, expected u64 at line 1 column 54"#
        ]],
    );
    check_header(
        &with("\"0\""),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a.b`: data_offsets: invalid type: string "0", expected u64 at line 1 column 54"#
        ]],
    );
    check_header(
        r#"{"a":{"dtype":"U8","shape":[1]}}"#,
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: missing field `data_offsets` at line 1 column 31"#
        ]],
    );
    check_header(
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}"#,
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: unknown field `more`, expected one of `dtype`, `shape`, `data_offsets` at line 1 column 58"#
        ]],
    );
    check_header(
        r#"{"a":7}"#,
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: invalid type: integer `7`, expected an object with `dtype`, `shape` and `data_offsets` at line 1 column 6"#
        ]],
    );
    check_header(
        &(with("1") + "x"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: trailing characters at line 1 column 56"#
        ]],
    );
}

#[test]
fn a07_metadata_of_another_kind() {
    let nested = "[".repeat(100_000);
    check_header(
        &format!(r#"{{"__metadata__":{{"a":{nested}"#),
        0,
        &expect![[
            r#"Malformed: the header is not what it should be: __metadata__: invalid type: sequence, expected a string at line 1 column 21"#
        ]],
    );
    check_header(
        r#"{"__metadata__":{"a":1}}"#,
        0,
        &expect![[
            r#"Malformed: the header is not what it should be: __metadata__: invalid type: integer `1`, expected a string at line 1 column 22"#
        ]],
    );
}

#[test]
fn a08_a_name_that_is_there_twice() {
    check_header(
        &header_of(&["a", "a"]),
        2,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: the name is there twice at line 1 column 105"#
        ]],
    );
    let same = r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    check_header(
        &format!("{{{same},{same}}}"),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: the name is there twice at line 1 column 105"#
        ]],
    );
    let field = r#"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    check_header(
        field,
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: tensor `a`: duplicate field `dtype` at line 1 column 26"#
        ]],
    );
}

#[test]
fn a09_metadata_twice_or_as_a_tensor() {
    check_header(
        r#"{"__metadata__":{},"__metadata__":{}}"#,
        0,
        &expect![[
            r#"Malformed: the header is not what it should be: __metadata__: the name is there twice at line 1 column 37"#
        ]],
    );
    check_header(
        &header_of(&["__metadata__"]),
        1,
        &expect![[
            r#"Malformed: the header is not what it should be: __metadata__: invalid type: sequence, expected a string at line 1 column 38"#
        ]],
    );
}
