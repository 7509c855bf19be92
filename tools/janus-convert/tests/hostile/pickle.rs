//! Pickles (B01 to B13, B19, B22).

use std::time::Instant;

use expect_test::{Expect, expect};
use janus_convert::checkpoint::Checkpoint;

use super::pickler::{Tensor, dict, global, ints, pytorch, text};
use super::{PATIENCE, PYTORCH, check, outcome, sparse};

/// Opens a file with this pickle and a storage `0` of 24 bytes.
#[track_caller]
fn check_pickle(pickle: &[u8], expected: &Expect) {
    check(PYTORCH, &pytorch(pickle, &[("0", &[0; 24])]), expected);
}

/// Opens a file with a dictionary of one tensor and a storage `0` of 24 bytes.
#[track_caller]
fn check_tensor(tensor: &Tensor<'_>, expected: &Expect) {
    check_pickle(&dict(&[("a.weight", &tensor.pickle())]), expected);
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn b01_calls_of_what_runs_code() {
    let call = |module, name| join(&[b"\x80\x02", &global(module, name), &text("true"), b"\x85R."]);
    check_pickle(&call("os", "system"), &expect![[""]]);
    check_pickle(&call("posix", "system"), &expect![[""]]);
    check_pickle(&call("builtins", "eval"), &expect![[""]]);
    check_pickle(&call("builtins", "exec"), &expect![[""]]);
    check_pickle(&call("subprocess", "Popen"), &expect![[""]]);
    // Names with dots in them reach attributes of what may be imported.
    check_pickle(&call("torch", "FloatStorage.__init__"), &expect![[""]]);
    check_pickle(&call("torch._utils", "_rebuild_tensor_v2\r"), &expect![[""]]);
}

#[test]
fn b02_other_ways_to_the_same() {
    check_pickle(b"(S'true'\nios\nsystem\n.", &expect![[""]]);
    check_pickle(b"(cos\nsystem\nS'true'\no.", &expect![[""]]);
    check_pickle(b"\x80\x02ccollections\nOrderedDict\n)\x81.", &expect![[""]]);
    check_pickle(b"\x80\x04ccollections\nOrderedDict\n)}\x92.", &expect![[""]]);
    check_pickle(b"\x80\x02\x82\x01.", &expect![[""]]);
    check_pickle(b"\x80\x02\x83\x01\0.", &expect![[""]]);
    check_pickle(b"\x80\x02\x84\x01\0\0\0.", &expect![[""]]);
    // The name is put together on the stack, here from the memo.
    check_pickle(b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\0h\x01\x93.", &expect![[""]]);
    // A state for something that is not a dictionary, which would call its `__setstate__`.
    check_pickle(b"\x80\x02ctorch\nFloatStorage\n}b.", &expect![[""]]);
    check_pickle(b"\x80\x02}K\x01b.", &expect![[""]]);
    check_pickle(b"\x80\x02Ptrue\n.", &expect![[""]]);
}

#[test]
fn b03_arguments_of_the_wrong_kind() {
    let call = |arguments: &[u8]| join(&[&global("torch._utils", "_rebuild_tensor_v2"), arguments, b"R."]);
    check_pickle(&call(b")"), &expect![[""]]);
    check_pickle(&call(b"(NNNNNNt"), &expect![[""]]);
    check_pickle(&call(b"N"), &expect![[""]]);
    check_pickle(&join(&[&global("torch._utils", "_rebuild_parameter"), b"(NNNtR."]), &expect![[""]]);
    check_pickle(&join(&[&global("collections", "OrderedDict"), b"K\x01\x85R."]), &expect![[""]]);
    check_pickle(&join(&[&global("torch", "FloatStorage"), b")R."]), &expect![[""]]);
    check_pickle(b"K\x01)R.", &expect![[""]]);
    check_pickle(b"K\x01Q.", &expect![[""]]);
    check_pickle(b")Q.", &expect![[""]]);
    check_pickle(&join(&[b"(", &text("module"), &text("1"), b"NNNtQ."]), &expect![[""]]);
}

#[test]
fn b04_globals_that_are_harmless_and_not_allowed() {
    check_pickle(b"\x80\x02ccollections\nCounter\n)R.", &expect![[""]]);
    check_pickle(b"\x80\x02cargparse\nNamespace\n)R.", &expect![[""]]);
    check_pickle(&[b"\x80\x02c", &[b'a'; 3000][..], b"\n\xf0\x9f\x92\xa9\n."].concat(), &expect![[""]]);
}

#[test]
fn b05_b06_what_follows() {
    check_pickle(b"\x80\x02cos\nsystem\n\xff\xff\xff", &expect![[""]]);
    let whole = dict(&[("a", &Tensor::default().pickle())]);
    check_pickle(&whole, &expect![[""]]);
    check_pickle(&join(&[&whole, b"\0"]), &expect![[""]]);
    check_pickle(&join(&[&whole, &whole]), &expect![[""]]);
}

#[test]
fn b07_lengths_that_cannot_be() {
    check_pickle(b"\x80\x06N.", &expect![[""]]);
    check_pickle(b"\x8a\x09\0\0\0\0\0\0\0\0\0.", &expect![[""]]);
    check_pickle(&[b"\x8a\xff", &[0xff; 255][..], b"."].concat(), &expect![[""]]);
    check_pickle(b"\x8b\xff\xff\xff\xff.", &expect![[""]]);
    check_pickle(b"\x8b\xff\xff\xff\x7f.", &expect![[""]]);
    check_pickle(b"\x8e\0\0\0\0\0\0\0\x80.", &expect![[""]]);
    check_pickle(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", &expect![[""]]);
    check_pickle(b"\x95\xff\0\0\0\0\0\0\0N.", &expect![[""]]);
    check_pickle(b"X\xff\xff\xff\xff.", &expect![[""]]);
    check_pickle(b"X\x01\0\0\0\xff.", &expect![[""]]);
    check_pickle(b"", &expect![[""]]);
    check_pickle(b"N", &expect![[""]]);
}

#[test]
fn b08_memo_stack_and_marks() {
    check_pickle(b"Np4294967296\n.", &expect![[""]]);
    check_pickle(b"Np-1\n.", &expect![[""]]);
    check_pickle(b"h\x07.", &expect![[""]]);
    check_pickle(b"j\xff\xff\xff\xff.", &expect![[""]]);
    check_pickle(b"q\0.", &expect![[""]]);
    check_pickle(b"t.", &expect![[""]]);
    check_pickle(b"(N(.", &expect![[""]]);
    check_pickle(b"(", &expect![[""]]);
    check_pickle(b"}(NNNu.", &expect![[""]]);
    check_pickle(b"}(Nd.", &expect![[""]]);
    check_pickle(b"0.", &expect![[""]]);
    check_pickle(b"N(0.", &expect![[""]]);
}

/// Every opcode without anything that it could work on.
#[test]
fn b08_every_opcode_on_an_empty_stack() {
    for opcode in 0..=u8::MAX {
        let file = pytorch(&[opcode, b'.'], &[]);
        let said = outcome(sparse(PYTORCH, &file, file.len() as u64).path());
        let expected = if b"()]}.N\x88\x89".contains(&opcode) { "" } else { "the pickle in" };
        assert!(said.contains(expected) && !said.starts_with("accepted"), "{opcode:#x}: {said}");
    }
}

#[test]
fn b09_values_that_hold_themselves_or_too_much() {
    let before = Instant::now();
    // A dictionary in itself, and a list in itself.
    check_pickle(&join(&[b"}q\0", &text("a"), b"h\0s."]), &expect![[""]]);
    check_pickle(b"]q\0h\0a.", &expect![[""]]);
    check_pickle(&join(&[b")", &[0x85; 1_000_000], b"."]), &expect![[""]]);
    // Each tuple holds the one before it twice; a reader that copies would need 2^64 of them.
    let doubling = b"q\0h\0\x860h\0".repeat(64);
    check_pickle(&join(&[b")q\0", &doubling, b"."]), &expect![[""]]);
    check_pickle(&vec![b'N'; 2_000_000], &expect![[""]]);
    check_pickle(&vec![b'('; 2_000_000], &expect![[""]]);
    check_pickle(&b"]0".repeat(2_200_000), &expect![[""]]);
    assert!(before.elapsed() < PATIENCE);
}

#[test]
fn b10_items_for_what_is_no_container() {
    check_pickle(b")K\x01K\x02s.", &expect![[""]]);
    check_pickle(b"](K\x01K\x02u.", &expect![[""]]);
    check_pickle(b"}K\x01a.", &expect![[""]]);
    check_pickle(b"K\x01(K\x01e.", &expect![[""]]);
    check_pickle(&join(&[&Tensor::default().pickle(), &text("a"), b"Ns."]), &expect![[""]]);
}

#[test]
fn b11_storages_of_another_size() {
    let of = |len| Tensor { len, ..Tensor::default() };
    check_tensor(&of(5), &expect![[""]]);
    check_tensor(&of(-1), &expect![[""]]);
    check_tensor(&of(1 << 62), &expect![[""]]);
    check_tensor(&Tensor { class: "HalfStorage", ..of(6) }, &expect![[""]]);
}

#[test]
fn b12_views() {
    let view = |offset, shape, strides| Tensor { offset, shape, strides, ..Tensor::default() };
    check_tensor(&view(0, &[1_000_000_000], &[0]), &expect![[""]]);
    check_tensor(&view(0, &[4, 2], &[1, 2]), &expect![[""]]);
    check_tensor(&view(0, &[2, 3], &[-3, 1]), &expect![[""]]);
    check_tensor(&view(0, &[-2, 3], &[3, 1]), &expect![[""]]);
    check_tensor(&view(1, &[2, 3], &[3, 1]), &expect![[""]]);
    check_tensor(&view(-1, &[2], &[1]), &expect![[""]]);
    check_tensor(&view(7, &[0], &[1]), &expect![[""]]);
    check_tensor(&view(0, &[2, 3], &[1]), &expect![[""]]);
    check_tensor(&view(0, &[1 << 62, 1 << 62], &[1, 1]), &expect![[""]]);
    check_tensor(&view(0, &[2, 2], &[i64::MAX, 1]), &expect![[""]]);
    check_tensor(&view(0, &[1; 9], &[1; 9]), &expect![[""]]);
    check_tensor(&view(0, &[0, 1 << 62], &[1, 1]), &expect![[""]]);
}

/// Transposed, shared and overlapping views are read as PyTorch reads them.
#[test]
fn b12_b13_views_that_are_read() {
    let view = |offset, shape, strides| Tensor { offset, shape, strides, ..Tensor::default() }.pickle();
    let pickle = dict(&[
        ("whole", &view(0, &[2, 3], &[3, 1])),
        ("tied", &view(0, &[2, 3], &[3, 1])),
        ("transposed", &view(0, &[3, 2], &[1, 3])),
        ("column", &view(1, &[2], &[3])),
        ("overlapping", &view(0, &[2, 2], &[1, 1])),
        ("scalar", &view(5, &[], &[])),
        ("flat", &view(2, &[1, 4], &[77, 1])),
    ]);
    let stored = (0..6).flat_map(|v| (v as f32).to_le_bytes()).collect::<Vec<_>>();
    let file = pytorch(&pickle, &[("0", &stored)]);
    let dir = sparse(PYTORCH, &file, file.len() as u64);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    for (name, shape, expected) in [
        ("whole", &[2, 3][..], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]),
        ("tied", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("transposed", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        ("column", &[2], &[1.0, 4.0]),
        ("overlapping", &[2, 2], &[0.0, 1.0, 1.0, 2.0]),
        ("scalar", &[], &[5.0]),
        ("flat", &[1, 4], &[2.0, 3.0, 4.0, 5.0]),
    ] {
        let tensor = checkpoint.root().tensor(name, shape).unwrap();
        assert_eq!(tensor.read_f32().unwrap(), expected, "{name}");
        let mut last = [0.0];
        tensor.read_f32_range(tensor.len() - 1, &mut last).unwrap();
        assert_eq!(last, expected[expected.len() - 1..], "{name}");
    }
}

#[test]
fn b13_a_storage_that_is_not_there() {
    check_tensor(&Tensor { key: "1", ..Tensor::default() }, &expect![[""]]);
    check_tensor(&Tensor { key: "../0", ..Tensor::default() }, &expect![[""]]);
}

#[test]
fn b19_tensors_of_other_kinds() {
    let named = |module, name| dict(&[("a", &global(module, name))]);
    check_pickle(&named("torch._utils", "_rebuild_sparse_tensor"), &expect![[""]]);
    check_pickle(&named("torch._utils", "_rebuild_qtensor"), &expect![[""]]);
    check_pickle(&named("torch._utils", "_rebuild_nested_tensor"), &expect![[""]]);
    check_pickle(&named("torch._utils", "_rebuild_meta_tensor_no_storage"), &expect![[""]]);
    check_pickle(&named("torch._utils", "_rebuild_tensor_v3"), &expect![[""]]);
    check_pickle(&named("torch", "ComplexFloatStorage"), &expect![[""]]);
}

#[test]
fn b22_numbers_in_digits() {
    let digits = vec![b'9'; 1 << 20];
    check_pickle(&join(&[b"L", &digits, b"L\n."]), &expect![[""]]);
    check_pickle(&join(&[b"I", &digits[..100], b"\n."]), &expect![[""]]);
    check_pickle(&join(&[b"I12", b"\n."]), &expect![[""]]);
    check_pickle(b"Vnot \\u0061scii\n.", &expect![[""]]);
    check_pickle(b"S'no end\n.", &expect![[""]]);
}

#[test]
fn dictionaries_that_are_none() {
    let tensor = Tensor::default().pickle();
    check_pickle(b"N.", &expect![[""]]);
    check_pickle(b"].", &expect![[""]]);
    check_pickle(&dict(&[]), &expect![[""]]);
    check_pickle(&dict(&[("a", b"N")]), &expect![[""]]);
    check_pickle(&dict(&[("epoch", b"K\x03")]), &expect![[""]]);
    check_pickle(&dict(&[("state_dict", b"}")]), &expect![[""]]);
    check_pickle(&dict(&[("", &tensor)]), &expect![[""]]);
    check_pickle(&dict(&[("a", &tensor), ("a", &tensor)]), &expect![[""]]);
    check_pickle(&join(&[b"}K\x01", &tensor, b"s."]), &expect![[""]]);
    check_pickle(&dict(&[("a", &ints(&[1, 2]))]), &expect![[""]]);
}

/// The ways in which `torch.save` spells a dictionary, in every protocol that it has had.
#[test]
fn dictionaries_that_are_read() {
    let tensor = Tensor::default().pickle();
    let parameter = join(&[&global("torch._utils", "_rebuild_parameter"), b"(", &tensor, b"\x88}tR"]);
    check_pickle(&dict(&[("a", &parameter)]), &expect![[""]]);
    let ordered = global("collections", "OrderedDict");
    let metadata = join(&[b"}", &text("_metadata"), &ordered, b")Rsb."]);
    check_pickle(&join(&[&ordered, b")R", &text("a"), &tensor, b"s", &metadata]), &expect![[""]]);
    // Protocol 4: a frame, short texts, globals by name on the stack.
    let framed = join(&[b"}\x94\x8c\x01a\x94", &tensor, b"s."]);
    let length = (framed.len() as u64).to_le_bytes();
    check_pickle(&join(&[b"\x80\x04\x95", &length, &framed]), &expect![[""]]);
}
