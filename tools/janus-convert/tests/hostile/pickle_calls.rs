//! What a pickle asks for (B01 to B06).

use expect_test::expect;

use super::check_pickle;
use super::pickler::{Tensor, dict, global, join, text};

#[test]
fn b01_calls_of_what_runs_code() {
    let call = |module, name| join(&[b"\x80\x02", &global(module, name), &text("true"), b"\x85R."]);
    check_pickle(
        &call("os", "system"),
        &expect![[r#"Refused: pickle: at byte 2: the pickle asks for global `os.system`"#]],
    );
    check_pickle(
        &call("posix", "system"),
        &expect![[r#"Refused: pickle: at byte 2: the pickle asks for global `posix.system`"#]],
    );
    check_pickle(
        &call("builtins", "eval"),
        &expect![[r#"Refused: pickle: at byte 2: the pickle asks for global `builtins.eval`"#]],
    );
    check_pickle(
        &call("builtins", "exec"),
        &expect![[r#"Refused: pickle: at byte 2: the pickle asks for global `builtins.exec`"#]],
    );
    check_pickle(
        &call("subprocess", "Popen"),
        &expect![[r#"Refused: pickle: at byte 2: the pickle asks for global `subprocess.Popen`"#]],
    );
    // Names with dots in them reach attributes of what may be imported.
    check_pickle(
        &call("torch", "FloatStorage.__init__"),
        &expect![[
            r#"Refused: pickle: at byte 2: the pickle asks for global `torch.FloatStorage.__init__`"#
        ]],
    );
    check_pickle(
        &call("torch._utils", "_rebuild_tensor_v2\r"),
        &expect![[
            r#"Refused: pickle: at byte 2: the pickle asks for global `torch._utils._rebuild_tensor_v2\r`"#
        ]],
    );
}

#[test]
fn b02_other_ways_to_the_same() {
    check_pickle(
        b"(S'true'\nios\nsystem\n.",
        &expect![[
            r#"Refused: pickle: at byte 9: opcode INST makes an object of a class of the pickle's choice, which is never done"#
        ]],
    );
    check_pickle(
        b"(cos\nsystem\nS'true'\no.",
        &expect![[r#"Refused: pickle: at byte 1: the pickle asks for global `os.system`"#]],
    );
    check_pickle(
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        &expect![[
            r#"Refused: pickle: at byte 28: opcode NEWOBJ makes an object of a class of the pickle's choice, which is never done"#
        ]],
    );
    check_pickle(
        b"\x80\x04ccollections\nOrderedDict\n)}\x92.",
        &expect![[
            r#"Refused: pickle: at byte 29: opcode NEWOBJ_EX makes an object of a class of the pickle's choice, which is never done"#
        ]],
    );
    check_pickle(
        b"\x80\x02\x82\x01.",
        &expect![[
            r#"Refused: pickle: at byte 2: opcode EXT1 makes an object of a class of the pickle's choice, which is never done"#
        ]],
    );
    check_pickle(
        b"\x80\x02\x83\x01\0.",
        &expect![[
            r#"Refused: pickle: at byte 2: opcode EXT2 makes an object of a class of the pickle's choice, which is never done"#
        ]],
    );
    check_pickle(
        b"\x80\x02\x84\x01\0\0\0.",
        &expect![[
            r#"Refused: pickle: at byte 2: opcode EXT4 makes an object of a class of the pickle's choice, which is never done"#
        ]],
    );
    // The name is put together on the stack, here from the memo.
    check_pickle(
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\0h\x01\x93.",
        &expect![[r#"Refused: pickle: at byte 20: the pickle asks for global `os.system`"#]],
    );
    // A state for something that is not a dictionary, which would call its `__setstate__`.
    check_pickle(
        b"\x80\x02ctorch\nFloatStorage\n}b.",
        &expect![[
            r#"Malformed: pickle: at byte 23: a global stands where a dictionary should be"#
        ]],
    );
    check_pickle(
        b"\x80\x02}K\x01b.",
        &expect![[
            r#"Malformed: pickle: at byte 5: an integer stands where a dictionary should be"#
        ]],
    );
    check_pickle(
        b"\x80\x02Ptrue\n.",
        &expect![[
            r#"Malformed: pickle: at byte 2: opcode PERSID has no place in a dictionary of tensors"#
        ]],
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
        &expect![[
            r#"Malformed: pickle: at byte 34: `_rebuild_tensor_v2` takes 6 or 7 arguments, not 0"#
        ]],
    );
    check_pickle(
        &call(b"(NNNNNNt"),
        &expect![[r#"Malformed: pickle: at byte 41: `None` stands where a storage should be"#]],
    );
    check_pickle(
        &call(b"N"),
        &expect![[r#"Malformed: pickle: at byte 34: `None` stands where a tuple should be"#]],
    );
    check_pickle(
        &join(&[&global("torch._utils", "_rebuild_parameter"), b"(NNNtR."]),
        &expect![[r#"Malformed: pickle: at byte 38: `None` stands where a tensor should be"#]],
    );
    check_pickle(
        &join(&[&global("collections", "OrderedDict"), b"K\x01\x85R."]),
        &expect![[r#"Malformed: pickle: at byte 28: `OrderedDict` takes no arguments, not 1"#]],
    );
    check_pickle(
        &join(&[&global("torch", "FloatStorage"), b")R."]),
        &expect![[r#"Malformed: pickle: at byte 21: a global stands where a function should be"#]],
    );
    check_pickle(
        b"K\x01)R.",
        &expect![[r#"Malformed: pickle: at byte 3: an integer stands where a global should be"#]],
    );
    check_pickle(
        b"K\x01Q.",
        &expect![[r#"Malformed: pickle: at byte 2: an integer stands where a tuple should be"#]],
    );
    check_pickle(
        b")Q.",
        &expect![[r#"Malformed: pickle: at byte 1: `storage` takes 5 arguments, not 0"#]],
    );
    check_pickle(
        &join(&[b"(", &text("module"), &text("1"), b"NNNtQ."]),
        &expect![[
            r#"Malformed: pickle: at byte 22: a text stands where the word `storage` should be"#
        ]],
    );
}

#[test]
fn b04_globals_that_are_harmless_and_not_allowed() {
    check_pickle(
        b"\x80\x02ccollections\nCounter\n)R.",
        &expect![[
            r#"Refused: pickle: at byte 2: the pickle asks for global `collections.Counter`"#
        ]],
    );
    check_pickle(
        b"\x80\x02cargparse\nNamespace\n)R.",
        &expect![[
            r#"Refused: pickle: at byte 2: the pickle asks for global `argparse.Namespace`"#
        ]],
    );
    check_pickle(
        &[b"\x80\x02c", &[b'a'; 3000][..], b"\n\xf0\x9f\x92\xa9\n."].concat(),
        &expect![[r#"Malformed: pickle: at byte 2: the text is not UTF-8, or has escapes in it"#]],
    );
}

#[test]
fn b05_b06_what_follows() {
    check_pickle(
        b"\x80\x02cos\nsystem\n\xff\xff\xff",
        &expect![[r#"Refused: pickle: at byte 2: the pickle asks for global `os.system`"#]],
    );
    let whole = dict(&[("a", &Tensor::default().pickle())]);
    check_pickle(&whole, &expect![[r#"accepted: 1 tensors"#]]);
    check_pickle(
        &join(&[&whole, b"\0"]),
        &expect![[r#"Malformed: pickle: at byte 161: 1 bytes follow the end of the pickle"#]],
    );
    check_pickle(
        &join(&[&whole, &whole]),
        &expect![[r#"Malformed: pickle: at byte 161: 162 bytes follow the end of the pickle"#]],
    );
}
