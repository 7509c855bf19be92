//! Opcodes that cannot be carried out (B07 to B10, B22).

use expect_test::expect;

use super::pickler::{Tensor, join, pytorch, text};
use super::{PYTORCH, check_pickle, outcome, sparse};

#[test]
fn b07_lengths_that_cannot_be() {
    check_pickle(
        b"\x80\x06N.",
        &expect![[r#"Malformed: pickle: at byte 0: protocol 6 is not one of 0 to 5"#]],
    );
    check_pickle(
        b"\x8a\x09\0\0\0\0\0\0\0\0\0.",
        &expect![[r#"Malformed: pickle: at byte 0: the number is out of range"#]],
    );
    check_pickle(
        &[b"\x8a\xff", &[0xff; 255][..], b"."].concat(),
        &expect![[r#"Malformed: pickle: at byte 0: the number is out of range"#]],
    );
    check_pickle(
        b"\x8b\xff\xff\xff\xff.",
        &expect![[r#"Malformed: pickle: at byte 0: the number is out of range"#]],
    );
    check_pickle(
        b"\x8b\xff\xff\xff\x7f.",
        &expect![[r#"Malformed: pickle: at byte 0: the number is out of range"#]],
    );
    check_pickle(
        b"\x8e\0\0\0\0\0\0\0\x80.",
        &expect![[r#"Malformed: pickle: at byte 0: the pickle ends in the middle of something"#]],
    );
    check_pickle(
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        &expect![[r#"Malformed: pickle: at byte 0: the pickle ends in the middle of something"#]],
    );
    check_pickle(
        b"\x95\xff\0\0\0\0\0\0\0N.",
        &expect![[r#"Malformed: pickle: at byte 0: the pickle ends in the middle of something"#]],
    );
    check_pickle(
        b"X\xff\xff\xff\xff.",
        &expect![[r#"Malformed: pickle: at byte 0: the pickle ends in the middle of something"#]],
    );
    check_pickle(
        b"X\x01\0\0\0\xff.",
        &expect![[r#"Malformed: pickle: at byte 0: the text is not UTF-8, or has escapes in it"#]],
    );
    check_pickle(
        b"",
        &expect![[r#"Malformed: pickle: at byte 0: the pickle ends in the middle of something"#]],
    );
    check_pickle(
        b"N",
        &expect![[r#"Malformed: pickle: at byte 1: the pickle ends in the middle of something"#]],
    );
}

#[test]
fn b08_memo_stack_and_marks() {
    check_pickle(
        b"Np4294967296\n.",
        &expect![[r#"Malformed: pickle: at byte 1: the number is out of range"#]],
    );
    check_pickle(
        b"Np-1\n.",
        &expect![[r#"Malformed: pickle: at byte 1: the number is out of range"#]],
    );
    check_pickle(
        b"h\x07.",
        &expect![[r#"Malformed: pickle: at byte 0: memo entry 7 was never made"#]],
    );
    check_pickle(
        b"j\xff\xff\xff\xff.",
        &expect![[r#"Malformed: pickle: at byte 0: memo entry 4294967295 was never made"#]],
    );
    check_pickle(
        b"q\0.",
        &expect![[r#"Malformed: pickle: at byte 0: there are too few values on the stack"#]],
    );
    check_pickle(
        b"t.",
        &expect![[r#"Malformed: pickle: at byte 0: there is no mark on the stack"#]],
    );
    check_pickle(
        b"(N(.",
        &expect![[r#"Malformed: pickle: at byte 3: there are too few values on the stack"#]],
    );
    check_pickle(
        b"(",
        &expect![[r#"Malformed: pickle: at byte 1: the pickle ends in the middle of something"#]],
    );
    check_pickle(
        b"}(NNNu.",
        &expect![[r#"Malformed: pickle: at byte 5: there are too few values on the stack"#]],
    );
    check_pickle(
        b"}(Nd.",
        &expect![[r#"Malformed: pickle: at byte 3: there are too few values on the stack"#]],
    );
    check_pickle(
        b"0.",
        &expect![[r#"Malformed: pickle: at byte 0: there are too few values on the stack"#]],
    );
    check_pickle(
        b"N(0.",
        &expect![[r#"Malformed: dictionary: it holds `None`, not a dictionary"#]],
    );
}

/// Every opcode without anything that it could work on.
#[test]
fn b08_every_opcode_on_an_empty_stack() {
    for opcode in 0..=u8::MAX {
        let file = pytorch(&[opcode, b'.'], &[]);
        let said = outcome(sparse(PYTORCH, &file, file.len() as u64).path());
        let expected = if b"()]}.N\x88\x89".contains(&opcode) {
            ""
        } else {
            ": pickle: "
        };
        assert!(
            said.contains(expected) && !said.starts_with("accepted"),
            "{opcode:#x}: {said}"
        );
    }
}

#[test]
fn b09_values_that_hold_themselves_or_too_much() {
    // A dictionary in itself, and a list in itself.
    check_pickle(
        &join(&[b"}q\0", &text("a"), b"h\0s."]),
        &expect![[r#"Malformed: dictionary: `a` is a dictionary, not a tensor"#]],
    );
    check_pickle(
        b"]q\0h\0a.",
        &expect![[r#"Malformed: dictionary: it holds a list, not a dictionary"#]],
    );
    check_pickle(
        &join(&[b")", &[0x85; 1_000_000], b"."]),
        &expect![[r#"Malformed: dictionary: it holds a tuple, not a dictionary"#]],
    );
    // Each tuple holds the one before it twice; a reader that copies would need 2^64 of them.
    let doubling = b"q\0h\0\x860h\0".repeat(64);
    check_pickle(
        &join(&[b")q\0", &doubling, b"."]),
        &expect![[r#"Malformed: dictionary: it holds a tuple, not a dictionary"#]],
    );
    check_pickle(
        &vec![b'N'; 5_000_000],
        &expect![[r#"Refused: pickle: at byte 4194304: more than 4194304 values"#]],
    );
    check_pickle(
        &vec![b'('; 5_000_000],
        &expect![[r#"Refused: pickle: at byte 4194304: more than 4194304 values"#]],
    );
    check_pickle(
        &b"]0".repeat(2_200_000),
        &expect![[r#"Refused: pickle: at byte 2097152: more than 1048576 objects"#]],
    );
    // A list that grows without the stack ever being high.
    let batch = join(&[b"(", &[b'N'; 1000], b"e"]);
    check_pickle(
        &join(&[b"]", &batch.repeat(5000)]),
        &expect![[r#"Refused: pickle: at byte 4198494: more than 4194304 values"#]],
    );
}

#[test]
fn b10_items_for_what_is_no_container() {
    check_pickle(
        b")K\x01K\x02s.",
        &expect![[r#"Malformed: pickle: at byte 5: a tuple stands where a dictionary should be"#]],
    );
    check_pickle(
        b"](K\x01K\x02u.",
        &expect![[r#"Malformed: pickle: at byte 6: a list stands where a dictionary should be"#]],
    );
    check_pickle(
        b"}K\x01a.",
        &expect![[r#"Malformed: pickle: at byte 3: a dictionary stands where a list should be"#]],
    );
    check_pickle(
        b"K\x01(K\x01e.",
        &expect![[r#"Malformed: pickle: at byte 5: an integer stands where a list should be"#]],
    );
    check_pickle(
        &join(&[&Tensor::default().pickle(), &text("a"), b"Ns."]),
        &expect![[
            r#"Malformed: pickle: at byte 158: a tensor stands where a dictionary should be"#
        ]],
    );
}

#[test]
fn b22_numbers_in_digits() {
    let digits = vec![b'9'; 1 << 20];
    check_pickle(
        &join(&[b"L", &digits, b"L\n."]),
        &expect![[r#"Refused: pickle: at byte 0: more than 4096 bytes in a line"#]],
    );
    check_pickle(
        &join(&[b"I", &digits[..100], b"\n."]),
        &expect![[r#"Malformed: pickle: at byte 0: the number is out of range"#]],
    );
    check_pickle(
        &join(&[b"I12", b"\n."]),
        &expect![[r#"Malformed: dictionary: it holds an integer, not a dictionary"#]],
    );
    check_pickle(
        b"Vnot \\u0061scii\n.",
        &expect![[r#"Malformed: pickle: at byte 0: the text is not UTF-8, or has escapes in it"#]],
    );
    check_pickle(
        b"S'no end\n.",
        &expect![[r#"Malformed: pickle: at byte 0: the text is not UTF-8, or has escapes in it"#]],
    );
}
