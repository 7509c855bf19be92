//! Tensors and dictionaries of a pickle (B11 to B13, B19).

use expect_test::{Expect, expect};
use janus_convert::checkpoint::Checkpoint;

use super::pickler::{Tensor, dict, global, ints, join, pytorch, text};
use super::{PYTORCH, check_pickle, sparse};

/// Opens a file with a dictionary of one tensor and a storage `0` of 24 bytes.
#[track_caller]
fn check_tensor(tensor: &Tensor<'_>, expected: &Expect) {
    check_pickle(&dict(&[("a.weight", &tensor.pickle())]), expected);
}

#[test]
fn b11_storages_of_another_size() {
    let of = |len| Tensor {
        len,
        ..Tensor::default()
    };
    check_tensor(
        &of(5),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: its storage `0` has 24 bytes; 5 values of type F32 are not that many"#
        ]],
    );
    check_tensor(
        &of(-1),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: its storage `0` has 24 bytes; -1 values of type F32 are not that many"#
        ]],
    );
    check_tensor(
        &of(1 << 62),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: its storage `0` has 24 bytes; 4611686018427387904 values of type F32 are not that many"#
        ]],
    );
    check_tensor(
        &Tensor {
            class: "HalfStorage",
            ..of(6)
        },
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: its storage `0` has 24 bytes; 6 values of type F16 are not that many"#
        ]],
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
        &expect![[
            r#"Refused: dictionary: tensor `a.weight` of shape [1000000000] repeats the 6 values of its storage; that much is not read"#
        ]],
    );
    check_tensor(
        &view(0, &[4, 2], &[1, 2]),
        &expect![[
            r#"Refused: dictionary: tensor `a.weight` of shape [4, 2] repeats the 6 values of its storage; that much is not read"#
        ]],
    );
    check_tensor(
        &view(0, &[2, 3], &[-3, 1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [2, 3] with strides [-3, 1] from value 0 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(0, &[-2, 3], &[3, 1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [-2, 3] with strides [3, 1] from value 0 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(1, &[2, 3], &[3, 1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [2, 3] with strides [3, 1] from value 1 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(-1, &[2], &[1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [2] with strides [1] from value -1 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(7, &[0], &[1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [0] with strides [1] from value 7 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(0, &[2, 3], &[1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [2, 3] with strides [1] from value 0 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(0, &[1 << 62, 1 << 62], &[1, 1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [4611686018427387904, 4611686018427387904] with strides [1, 1] from value 0 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(0, &[2, 2], &[i64::MAX, 1]),
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: shape [2, 2] with strides [9223372036854775807, 1] from value 0 is not a view of 6 values"#
        ]],
    );
    check_tensor(
        &view(0, &[1; 9], &[1; 9]),
        &expect![[r#"Refused: pickle: at byte 306: more than 8 dimensions"#]],
    );
    check_tensor(
        &view(0, &[0, 1 << 62], &[1, 1]),
        &expect![[r#"accepted: 1 tensors"#]],
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
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: its storage `1` is not in the archive"#
        ]],
    );
    check_tensor(
        &Tensor {
            key: "../0",
            ..Tensor::default()
        },
        &expect![[
            r#"Malformed: dictionary: tensor `a.weight`: its storage `../0` is not in the archive"#
        ]],
    );
}

#[test]
fn b19_tensors_of_other_kinds() {
    let named = |module, name| dict(&[("a", &global(module, name))]);
    check_pickle(
        &named("torch._utils", "_rebuild_sparse_tensor"),
        &expect![[
            r#"Malformed: pickle: at byte 9: `torch._utils._rebuild_sparse_tensor` stands for sparse tensors, which are not supported"#
        ]],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_qtensor"),
        &expect![[
            r#"Malformed: pickle: at byte 9: `torch._utils._rebuild_qtensor` stands for quantized tensors, which are not supported"#
        ]],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_nested_tensor"),
        &expect![[
            r#"Malformed: pickle: at byte 9: `torch._utils._rebuild_nested_tensor` stands for nested tensors, which are not supported"#
        ]],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_meta_tensor_no_storage"),
        &expect![[
            r#"Malformed: pickle: at byte 9: `torch._utils._rebuild_meta_tensor_no_storage` stands for tensors without values, which are not supported"#
        ]],
    );
    check_pickle(
        &named("torch._utils", "_rebuild_tensor_v3"),
        &expect![[
            r#"Malformed: pickle: at byte 9: `torch._utils._rebuild_tensor_v3` stands for tensors of a type without a storage class, such as float8, which are not supported"#
        ]],
    );
    check_pickle(
        &named("torch", "ComplexFloatStorage"),
        &expect![[
            r#"Malformed: pickle: at byte 9: `torch.ComplexFloatStorage` stands for complex numbers, which are not supported"#
        ]],
    );
}

#[test]
fn dictionaries_that_are_none() {
    let tensor = Tensor::default().pickle();
    check_pickle(
        b"N.",
        &expect![[r#"Malformed: dictionary: it holds `None`, not a dictionary"#]],
    );
    check_pickle(
        b"].",
        &expect![[r#"Malformed: dictionary: it holds a list, not a dictionary"#]],
    );
    check_pickle(
        &dict(&[]),
        &expect![[r#"Malformed: dictionary: it holds no tensors"#]],
    );
    check_pickle(
        &dict(&[("a", b"N")]),
        &expect![[r#"Malformed: dictionary: `a` is `None`, not a tensor"#]],
    );
    check_pickle(
        &dict(&[("epoch", b"K\x03")]),
        &expect![[r#"Malformed: dictionary: `epoch` is an integer, not a tensor"#]],
    );
    check_pickle(
        &dict(&[("state_dict", b"}")]),
        &expect![[r#"Malformed: dictionary: `state_dict` is a dictionary, not a tensor"#]],
    );
    check_pickle(
        &dict(&[("", &tensor)]),
        &expect![[r#"Malformed: dictionary: tensor ``: a name has 1 to 1024 bytes"#]],
    );
    check_pickle(
        &dict(&[("a", &tensor), ("a", &tensor)]),
        &expect![[r#"Malformed: dictionary: tensor `a` is there twice"#]],
    );
    check_pickle(
        &join(&[b"}K\x01", &tensor, b"s."]),
        &expect![[
            r#"Malformed: dictionary: an integer is a key of the dictionary; keys are texts"#
        ]],
    );
    check_pickle(
        &dict(&[("a", &ints(&[1, 2]))]),
        &expect![[r#"Malformed: dictionary: `a` is a tuple, not a tensor"#]],
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
    check_pickle(
        &dict(&[("a", &parameter)]),
        &expect![[r#"accepted: 1 tensors"#]],
    );
    let ordered = global("collections", "OrderedDict");
    let metadata = join(&[b"}", &text("_metadata"), &ordered, b")Rsb."]);
    check_pickle(
        &join(&[&ordered, b")R", &text("a"), &tensor, b"s", &metadata]),
        &expect![[r#"accepted: 1 tensors"#]],
    );
    // Protocol 4: a frame, short texts, globals by name on the stack.
    let framed = join(&[b"}\x94\x8c\x01a\x94", &tensor, b"s."]);
    let length = (framed.len() as u64).to_le_bytes();
    check_pickle(
        &join(&[b"\x80\x04\x95", &length, &framed]),
        &expect![[r#"accepted: 1 tensors"#]],
    );
}
