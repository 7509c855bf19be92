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
    check_pickle(
        &call("os", "system"),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `os.system`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        &call("posix", "system"),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `posix.system`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        &call("builtins", "eval"),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `builtins.eval`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        &call("builtins", "exec"),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `builtins.exec`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        &call("subprocess", "Popen"),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `subprocess.Popen`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    // Names with dots in them reach attributes of what may be imported.
    check_pickle(
        &call("torch", "FloatStorage.__init__"),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `torch.FloatStorage.__init__`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        &call("torch._utils", "_rebuild_tensor_v2\r"),
        &expect![[
            r#"Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `torch._utils._rebuild_tensor_v2\r`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"#
        ]],
    );
}

#[test]
fn b02_other_ways_to_the_same() {
    check_pickle(
        b"(S'true'\nios\nsystem\n.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 9: opcode INST makes an object of a class of the pickle's choice, which is never done"
        ],
    );
    check_pickle(
        b"(cos\nsystem\nS'true'\no.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 1: the pickle asks for global `os.system`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 28: opcode NEWOBJ makes an object of a class of the pickle's choice, which is never done"
        ],
    );
    check_pickle(
        b"\x80\x04ccollections\nOrderedDict\n)}\x92.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 29: opcode NEWOBJ_EX makes an object of a class of the pickle's choice, which is never done"
        ],
    );
    check_pickle(
        b"\x80\x02\x82\x01.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: opcode EXT1 makes an object of a class of the pickle's choice, which is never done"
        ],
    );
    check_pickle(
        b"\x80\x02\x83\x01\0.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: opcode EXT2 makes an object of a class of the pickle's choice, which is never done"
        ],
    );
    check_pickle(
        b"\x80\x02\x84\x01\0\0\0.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: opcode EXT4 makes an object of a class of the pickle's choice, which is never done"
        ],
    );
    // The name is put together on the stack, here from the memo.
    check_pickle(
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\0h\x01\x93.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 20: the pickle asks for global `os.system`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    // A state for something that is not a dictionary, which would call its `__setstate__`.
    check_pickle(
        b"\x80\x02ctorch\nFloatStorage\n}b.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 23: a global stands where a dictionary should be"
        ],
    );
    check_pickle(
        b"\x80\x02}K\x01b.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 5: an integer stands where a dictionary should be"
        ],
    );
    check_pickle(
        b"\x80\x02Ptrue\n.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 2: opcode PERSID has no place in a dictionary of tensors"
        ],
    );
}

#[test]
fn b03_arguments_of_the_wrong_kind() {
    let call = |arguments: &[u8]| {
        join(&[
            &global("torch._utils", "_rebuild_tensor_v2"),
            arguments,
            b"R.",
        ])
    };
    check_pickle(
        &call(b")"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 34: `_rebuild_tensor_v2` takes 6 or 7 arguments, not 0"
        ],
    );
    check_pickle(
        &call(b"(NNNNNNt"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 41: nothing stands where a storage should be"
        ],
    );
    check_pickle(
        &call(b"N"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 34: nothing stands where a tuple should be"
        ],
    );
    check_pickle(
        &join(&[&global("torch._utils", "_rebuild_parameter"), b"(NNNtR."]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 38: nothing stands where a tensor should be"
        ],
    );
    check_pickle(
        &join(&[&global("collections", "OrderedDict"), b"K\x01\x85R."]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 28: `OrderedDict` takes no arguments, not 1"
        ],
    );
    check_pickle(
        &join(&[&global("torch", "FloatStorage"), b")R."]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 21: a global stands where a function should be"
        ],
    );
    check_pickle(
        b"K\x01)R.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 3: an integer stands where a global should be"
        ],
    );
    check_pickle(
        b"K\x01Q.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 2: an integer stands where a tuple should be"
        ],
    );
    check_pickle(
        b")Q.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 1: `storage` takes 5 arguments, not 0"
        ],
    );
    check_pickle(
        &join(&[b"(", &text("module"), &text("1"), b"NNNtQ."]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 22: a text stands where the word `storage` should be"
        ],
    );
}

#[test]
fn b04_globals_that_are_harmless_and_not_allowed() {
    check_pickle(
        b"\x80\x02ccollections\nCounter\n)R.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `collections.Counter`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        b"\x80\x02cargparse\nNamespace\n)R.",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `argparse.Namespace`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    check_pickle(
        &[b"\x80\x02c", &[b'a'; 3000][..], b"\n\xf0\x9f\x92\xa9\n."].concat(),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the text is not plain UTF-8"
        ],
    );
}

#[test]
fn b05_b06_what_follows() {
    check_pickle(
        b"\x80\x02cos\nsystem\n\xff\xff\xff",
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 2: the pickle asks for global `os.system`; allowed are collections.OrderedDict, torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.DoubleStorage, torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, torch.IntStorage, torch.ShortStorage, torch.CharStorage, torch.ByteStorage, torch.BoolStorage"
        ],
    );
    let whole = dict(&[("a", &Tensor::default().pickle())]);
    check_pickle(&whole, &expect!["accepted: 1 tensors"]);
    check_pickle(
        &join(&[&whole, b"\0"]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 161: 1 bytes follow the end of the pickle"
        ],
    );
    check_pickle(
        &join(&[&whole, &whole]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 161: 162 bytes follow the end of the pickle"
        ],
    );
}

#[test]
fn b07_lengths_that_cannot_be() {
    check_pickle(
        b"\x80\x06N.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: protocol 6 is not one of 0 to 5"
        ],
    );
    check_pickle(
        b"\x8a\x09\0\0\0\0\0\0\0\0\0.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the number is not one that 64 bits hold"
        ],
    );
    check_pickle(
        &[b"\x8a\xff", &[0xff; 255][..], b"."].concat(),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the number is not one that 64 bits hold"
        ],
    );
    check_pickle(
        b"\x8b\xff\xff\xff\xff.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the number is not one that 64 bits hold"
        ],
    );
    check_pickle(
        b"\x8b\xff\xff\xff\x7f.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the number is not one that 64 bits hold"
        ],
    );
    check_pickle(
        b"\x8e\0\0\0\0\0\0\0\x80.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the pickle ends in the middle of something"
        ],
    );
    check_pickle(
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the pickle ends in the middle of something"
        ],
    );
    check_pickle(
        b"\x95\xff\0\0\0\0\0\0\0N.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the pickle ends in the middle of something"
        ],
    );
    check_pickle(
        b"X\xff\xff\xff\xff.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the pickle ends in the middle of something"
        ],
    );
    check_pickle(
        b"X\x01\0\0\0\xff.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the text is not plain UTF-8"
        ],
    );
    check_pickle(
        b"",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the pickle ends in the middle of something"
        ],
    );
    check_pickle(
        b"N",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 1: the pickle ends in the middle of something"
        ],
    );
}

#[test]
fn b08_memo_stack_and_marks() {
    check_pickle(
        b"Np4294967296\n.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 1: the number is not one that 64 bits hold"
        ],
    );
    check_pickle(
        b"Np-1\n.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 1: the number is not one that 64 bits hold"
        ],
    );
    check_pickle(
        b"h\x07.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: memo entry 7 was never made"
        ],
    );
    check_pickle(
        b"j\xff\xff\xff\xff.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: memo entry 4294967295 was never made"
        ],
    );
    check_pickle(
        b"q\0.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: there are too few values on the stack"
        ],
    );
    check_pickle(
        b"t.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: there is no mark on the stack"
        ],
    );
    check_pickle(
        b"(N(.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 3: there are too few values on the stack"
        ],
    );
    check_pickle(
        b"(",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 1: the pickle ends in the middle of something"
        ],
    );
    check_pickle(
        b"}(NNNu.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 5: there are too few values on the stack"
        ],
    );
    check_pickle(
        b"}(Nd.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 3: there are too few values on the stack"
        ],
    );
    check_pickle(
        b"0.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: there are too few values on the stack"
        ],
    );
    check_pickle(
        b"N(0.",
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds nothing, not a dictionary"
        ],
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
            "the pickle in"
        };
        assert!(
            said.contains(expected) && !said.starts_with("accepted"),
            "{opcode:#x}: {said}"
        );
    }
}

#[test]
fn b09_values_that_hold_themselves_or_too_much() {
    let before = Instant::now();
    // A dictionary in itself, and a list in itself.
    check_pickle(
        &join(&[b"}q\0", &text("a"), b"h\0s."]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: `a` is a dictionary, not a tensor"
        ],
    );
    check_pickle(
        b"]q\0h\0a.",
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds a list, not a dictionary"
        ],
    );
    check_pickle(
        &join(&[b")", &[0x85; 1_000_000], b"."]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds a tuple, not a dictionary"
        ],
    );
    // Each tuple holds the one before it twice; a reader that copies would need 2^64 of them.
    let doubling = b"q\0h\0\x860h\0".repeat(64);
    check_pickle(
        &join(&[b")q\0", &doubling, b"."]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds a tuple, not a dictionary"
        ],
    );
    check_pickle(
        &vec![b'N'; 2_000_000],
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 1048576: more than 1048576 values on the stack"
        ],
    );
    check_pickle(
        &vec![b'('; 2_000_000],
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 1048576: more than 1048576 values on the stack"
        ],
    );
    check_pickle(
        &b"]0".repeat(2_200_000),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 4194304: more than 2097152 objects"
        ],
    );
    assert!(before.elapsed() < PATIENCE);
}

#[test]
fn b10_items_for_what_is_no_container() {
    check_pickle(
        b")K\x01K\x02s.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 5: a tuple stands where a dictionary should be"
        ],
    );
    check_pickle(
        b"](K\x01K\x02u.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 6: a list stands where a dictionary should be"
        ],
    );
    check_pickle(
        b"}K\x01a.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 3: a dictionary stands where a list should be"
        ],
    );
    check_pickle(
        b"K\x01(K\x01e.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 5: an integer stands where a list should be"
        ],
    );
    check_pickle(
        &join(&[&Tensor::default().pickle(), &text("a"), b"Ns."]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 158: a tensor stands where a dictionary should be"
        ],
    );
}

#[test]
fn b11_storages_of_another_size() {
    let of = |len| Tensor {
        len,
        ..Tensor::default()
    };
    check_tensor(
        &of(5),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: its storage `0` has 24 bytes; 5 values of type F32 are not that many"
        ],
    );
    check_tensor(
        &of(-1),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: its storage `0` has 24 bytes; -1 values of type F32 are not that many"
        ],
    );
    check_tensor(
        &of(1 << 62),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: its storage `0` has 24 bytes; 4611686018427387904 values of type F32 are not that many"
        ],
    );
    check_tensor(
        &Tensor {
            class: "HalfStorage",
            ..of(6)
        },
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: its storage `0` has 24 bytes; 6 values of type F16 are not that many"
        ],
    );
}

#[test]
fn b12_views() {
    let view = |offset, shape, strides| Tensor {
        offset,
        shape,
        strides,
        ..Tensor::default()
    };
    check_tensor(
        &view(0, &[1_000_000_000], &[0]),
        &expect![
            "Refused: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight` of shape [1000000000] repeats the 6 values of its storage; that much is not read"
        ],
    );
    check_tensor(
        &view(0, &[4, 2], &[1, 2]),
        &expect![
            "Refused: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight` of shape [4, 2] repeats the 6 values of its storage; that much is not read"
        ],
    );
    check_tensor(
        &view(0, &[2, 3], &[-3, 1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [2, 3] with strides [-3, 1] from value 0 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(0, &[-2, 3], &[3, 1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [-2, 3] with strides [3, 1] from value 0 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(1, &[2, 3], &[3, 1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [2, 3] with strides [3, 1] from value 1 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(-1, &[2], &[1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [2] with strides [1] from value -1 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(7, &[0], &[1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [0] with strides [1] from value 7 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(0, &[2, 3], &[1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [2, 3] with strides [1] from value 0 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(0, &[1 << 62, 1 << 62], &[1, 1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [4611686018427387904, 4611686018427387904] with strides [1, 1] from value 0 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(0, &[2, 2], &[i64::MAX, 1]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: shape [2, 2] with strides [9223372036854775807, 1] from value 0 is not a view of 6 values"
        ],
    );
    check_tensor(
        &view(0, &[1; 9], &[1; 9]),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 306: more than 8 dimensions"
        ],
    );
    check_tensor(
        &view(0, &[0, 1 << 62], &[1, 1]),
        &expect!["accepted: 1 tensors"],
    );
}

/// Transposed, shared and overlapping views are read as PyTorch reads them.
#[test]
fn b12_b13_views_that_are_read() {
    let view = |offset, shape, strides| {
        Tensor {
            offset,
            shape,
            strides,
            ..Tensor::default()
        }
        .pickle()
    };
    let pickle = dict(&[
        ("whole", &view(0, &[2, 3], &[3, 1])),
        ("tied", &view(0, &[2, 3], &[3, 1])),
        ("transposed", &view(0, &[3, 2], &[1, 3])),
        ("column", &view(1, &[2], &[3])),
        ("overlapping", &view(0, &[2, 2], &[1, 1])),
        ("scalar", &view(5, &[], &[])),
        ("flat", &view(2, &[1, 4], &[77, 1])),
    ]);
    let stored = (0..6)
        .flat_map(|v| (v as f32).to_le_bytes())
        .collect::<Vec<_>>();
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
    check_tensor(
        &Tensor {
            key: "1",
            ..Tensor::default()
        },
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: its storage `1` is not in the archive"
        ],
    );
    check_tensor(
        &Tensor {
            key: "../0",
            ..Tensor::default()
        },
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a.weight`: its storage `../0` is not in the archive"
        ],
    );
}

#[test]
fn b19_tensors_of_other_kinds() {
    let named = |module, name| dict(&[("a", &global(module, name))]);
    check_pickle(
        &named("torch._utils", "_rebuild_sparse_tensor"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 9: `torch._utils._rebuild_sparse_tensor` stands for sparse tensors, which are not supported"
        ],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_qtensor"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 9: `torch._utils._rebuild_qtensor` stands for quantized tensors, which are not supported"
        ],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_nested_tensor"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 9: `torch._utils._rebuild_nested_tensor` stands for nested tensors, which are not supported"
        ],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_meta_tensor_no_storage"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 9: `torch._utils._rebuild_meta_tensor_no_storage` stands for tensors without values, which are not supported"
        ],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_tensor_v3"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 9: `torch._utils._rebuild_tensor_v3` stands for tensors of a type without a storage class, such as float8, which are not supported"
        ],
    );
    check_pickle(
        &named("torch", "ComplexFloatStorage"),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 9: `torch.ComplexFloatStorage` stands for complex numbers, which are not supported"
        ],
    );
}

#[test]
fn b22_numbers_in_digits() {
    let digits = vec![b'9'; 1 << 20];
    check_pickle(
        &join(&[b"L", &digits, b"L\n."]),
        &expect![
            "Refused: the pickle in `pytorch_model.bin` cannot be read: at byte 0: more than 4096 bytes in a line"
        ],
    );
    check_pickle(
        &join(&[b"I", &digits[..100], b"\n."]),
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the number is not one that 64 bits hold"
        ],
    );
    check_pickle(
        &join(&[b"I12", b"\n."]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds an integer, not a dictionary"
        ],
    );
    check_pickle(
        b"Vnot \\u0061scii\n.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the text is not plain UTF-8"
        ],
    );
    check_pickle(
        b"S'no end\n.",
        &expect![
            "Malformed: the pickle in `pytorch_model.bin` cannot be read: at byte 0: the text is not plain UTF-8"
        ],
    );
}

#[test]
fn dictionaries_that_are_none() {
    let tensor = Tensor::default().pickle();
    check_pickle(
        b"N.",
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds nothing, not a dictionary"
        ],
    );
    check_pickle(
        b"].",
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds a list, not a dictionary"
        ],
    );
    check_pickle(
        &dict(&[]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: it holds no tensors"
        ],
    );
    check_pickle(
        &dict(&[("a", b"N")]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: `a` is nothing, not a tensor"
        ],
    );
    check_pickle(
        &dict(&[("epoch", b"K\x03")]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: `epoch` is an integer, not a tensor"
        ],
    );
    check_pickle(
        &dict(&[("state_dict", b"}")]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: `state_dict` is a dictionary, not a tensor"
        ],
    );
    check_pickle(
        &dict(&[("", &tensor)]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor ``: a name has 1 to 1024 bytes"
        ],
    );
    check_pickle(
        &dict(&[("a", &tensor), ("a", &tensor)]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: tensor `a` is there twice"
        ],
    );
    check_pickle(
        &join(&[b"}K\x01", &tensor, b"s."]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: an integer is a key of the dictionary; keys are texts"
        ],
    );
    check_pickle(
        &dict(&[("a", &ints(&[1, 2]))]),
        &expect![
            "Malformed: `pytorch_model.bin` does not hold a usable dictionary of tensors: `a` is a tuple, not a tensor"
        ],
    );
}

/// The ways in which `torch.save` spells a dictionary, in every protocol that it has had.
#[test]
fn dictionaries_that_are_read() {
    let tensor = Tensor::default().pickle();
    let parameter = join(&[
        &global("torch._utils", "_rebuild_parameter"),
        b"(",
        &tensor,
        b"\x88}tR",
    ]);
    check_pickle(&dict(&[("a", &parameter)]), &expect!["accepted: 1 tensors"]);
    let ordered = global("collections", "OrderedDict");
    let metadata = join(&[b"}", &text("_metadata"), &ordered, b")Rsb."]);
    check_pickle(
        &join(&[&ordered, b")R", &text("a"), &tensor, b"s", &metadata]),
        &expect!["accepted: 1 tensors"],
    );
    // Protocol 4: a frame, short texts, globals by name on the stack.
    let framed = join(&[b"}\x94\x8c\x01a\x94", &tensor, b"s."]);
    let length = (framed.len() as u64).to_le_bytes();
    check_pickle(
        &join(&[b"\x80\x04\x95", &length, &framed]),
        &expect!["accepted: 1 tensors"],
    );
}
