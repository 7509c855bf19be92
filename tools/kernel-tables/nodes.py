"""The nodes that probe.py asks for: each operator with inputs of small sizes, as exports have them."""

from dataclasses import dataclass, field
from typing import Callable

import numpy as np

FLOATS = ("f32", "f16", "bf16")
NUMBERS = (*FLOATS, "i32", "i64")
ANY = (*NUMBERS, "bool")


@dataclass
class Input:
    """An input of the graph; of the type that is asked for, where it has none of its own."""

    shape: list[int]
    dtype: str | None = None


@dataclass
class Probe:
    """A node. Inputs are those of the graph, weights, or left out."""

    op_type: str
    types: tuple[str, ...]
    inputs: Callable[[int], list]
    attributes: Callable[[int], dict] = field(default=lambda version: {})
    outputs: int = 1
    domain: str = ""


def unary(names, types=FLOATS, shape=(1, 4, 8, 8)):
    return [Probe(name, types, lambda version: [Input(list(shape))]) for name in names.split()]


def binary(names, types=NUMBERS):
    return [Probe(name, types, lambda version: [Input([2, 4, 8]), Input([8])]) for name in names.split()]


def numbers(*values):
    return np.array(values, np.int64)


def reduction(name, by_input, types=FLOATS):
    """Over the last axis: which one is an attribute, or since a version an input."""
    return Probe(
        name, types,
        lambda version: [Input([2, 4, 8]), *([numbers(-1)] if version >= by_input else [])],
        lambda version: {"keepdims": 1, **({} if version >= by_input else {"axes": [-1]})},
    )


SHAPES = [
    Probe("Cast", ANY, lambda version: [Input([2, 8])], lambda version: {"to": 1}),
    Probe("Reshape", ANY, lambda version: [Input([2, 8]), numbers(4, 4)]),
    Probe("Transpose", ANY, lambda version: [Input([2, 4, 8])], lambda version: {"perm": [0, 2, 1]}),
    Probe("Gather", ANY, lambda version: [Input([16, 8]), Input([2, 3], "i64")]),
    Probe("Concat", ANY, lambda version: [Input([2, 8]), Input([2, 8])], lambda version: {"axis": 1}),
    Probe("Split", ANY, lambda version: [Input([2, 8]), numbers(4, 4)], lambda version: {"axis": 1}, outputs=2),
    Probe("Slice", ANY, lambda version: [Input([2, 8]), numbers(0), numbers(4), numbers(1), numbers(1)]),
    Probe("Expand", ANY, lambda version: [Input([1, 8]), numbers(2, 8)]),
    Probe("Shape", ANY, lambda version: [Input([2, 8])]),
    Probe("Squeeze", ANY, lambda version: [Input([1, 8]), numbers(0)]),
    Probe("Unsqueeze", ANY, lambda version: [Input([2, 8]), numbers(0)]),
    Probe("Identity", ANY, lambda version: [Input([2, 8])]),
    Probe("Flatten", ANY, lambda version: [Input([2, 4, 8])]),
    Probe("Where", ("bool",), lambda version: [Input([2, 8], "bool"), Input([2, 8], "f32"), Input([8], "f32")]),
    Probe("Range", ("i64",), lambda version: [Input([]), Input([]), Input([])]),
    Probe("CumSum", ("f32", "i64"), lambda version: [Input([2, 8]), np.array(1, np.int64)]),
    Probe("Trilu", ("f32", "f16"), lambda version: [Input([8, 8])]),
    Probe("ScatterND", NUMBERS, lambda version: [Input([8, 4]), Input([2, 1], "i64"), Input([2, 4])]),
]

SUMS = [
    Probe("MatMul", NUMBERS, lambda version: [Input([2, 4, 8]), Input([8, 16])]),
    Probe("Gemm", FLOATS, lambda version: [Input([4, 8]), Input([8, 16]), Input([16])]),
    Probe("Conv", FLOATS, lambda version: [Input([1, 4, 8, 8]), Input([8, 4, 3, 3]), Input([8])], lambda version: {"pads": [1] * 4}),
    Probe("Resize", FLOATS, lambda version: [Input([1, 4, 8, 8]), None, np.array([1, 1, 2, 2], np.float32)],
          lambda version: {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    Probe("DepthToSpace", FLOATS, lambda version: [Input([1, 8, 4, 4])], lambda version: {"blocksize": 2}),
    Probe("LayerNormalization", FLOATS, lambda version: [Input([2, 4, 8]), Input([8]), Input([8])]),
    Probe("SimplifiedLayerNormalization", FLOATS, lambda version: [Input([2, 4, 8]), Input([8])]),
    Probe("InstanceNormalization", FLOATS, lambda version: [Input([2, 4, 8]), Input([4]), Input([4])]),
    Probe("ArgMax", ("f32", "f16"), lambda version: [Input([2, 8])], lambda version: {"axis": -1}),
    Probe("Equal", ("f32", "i32", "i64", "bool"), lambda version: [Input([2, 8]), Input([8])]),
    *[Probe(name, NUMBERS, lambda version: [Input([2, 8]), Input([8])]) for name in ("Less", "LessOrEqual", "Greater")],
    Probe("Not", ("bool",), lambda version: [Input([2, 8])]),
    Probe("And", ("bool",), lambda version: [Input([2, 8]), Input([8])]),
    Probe("Clip", FLOATS, lambda version: [Input([2, 8]), Input([]), Input([])]),
    Probe("DynamicQuantizeLinear", ("f32",), lambda version: [Input([4, 8])], outputs=3),
    Probe("MatMulInteger", ("u8", "i8"), lambda version: [Input([4, 8]), Input([8, 16], "i8")]),
    Probe("DequantizeLinear", ("u8", "i8"), lambda version: [Input([4, 8]), Input([], "f32")]),
    Probe("QuantizeLinear", ("f32", "f16"), lambda version: [Input([4, 8]), Input([])], outputs=1),
]

HEADS = {"num_heads": 2}
OWN = [
    Probe("MultiHeadAttention", FLOATS, lambda version: [Input([1, 4, 32])] * 3, lambda version: HEADS),
    Probe("GroupQueryAttention", FLOATS,
          lambda version: [Input([1, 4, 96]), None, None, Input([1, 2, 8, 16]), Input([1, 2, 8, 16]), Input([1], "i32"),
                           Input([], "i32"), Input([8, 8]), Input([8, 8])],
          lambda version: {**HEADS, "kv_num_heads": 2, "do_rotary": 1}, outputs=3),
    Probe("MatMulNBits", ("f32", "f16"), lambda version: [Input([4, 32]), np.zeros((8, 1, 16), np.uint8), Input([8])],
          lambda version: {"K": 32, "N": 8, "bits": 4, "block_size": 32}),
    Probe("MatMulIntegerToFloat", ("u8", "i8"),
          lambda version: [Input([4, 8]), Input([8, 16], "i8"), Input([], "f32"), Input([16], "f32")]),
    Probe("SkipSimplifiedLayerNormalization", FLOATS, lambda version: [Input([1, 4, 8]), Input([1, 4, 8]), Input([8])]),
    Probe("SkipLayerNormalization", FLOATS, lambda version: [Input([1, 4, 8]), Input([1, 4, 8]), Input([8]), Input([8])]),
    Probe("RotaryEmbedding", FLOATS,
          lambda version: [Input([1, 2, 4, 16]), Input([1, 4], "i64"), Input([8, 8]), Input([8, 8])]),
    *unary("QuickGelu FastGelu Gelu", shape=(1, 4, 8)),
    Probe("GatherBlockQuantized", ("u8",),
          lambda version: [np.zeros((16, 16), np.uint8), Input([2, 3], "i64"), Input([16, 1], "f32")],
          lambda version: {"bits": 4, "block_size": 32, "gather_axis": 0, "quantize_axis": 1}),
]
for probe in OWN:
    probe.domain = "com.microsoft"

PROBES = [
    *unary("Abs Sigmoid Softmax Erf Sqrt Tanh Sin Cos Exp Log Reciprocal Relu Gelu"),
    *unary("Neg", NUMBERS),
    *binary("Add Sub Mul Div"),
    *binary("Pow Min Max", FLOATS),
    reduction("ReduceMean", 18), reduction("ReduceSum", 13, NUMBERS), reduction("ReduceMax", 18), reduction("ReduceL2", 18),
    *SHAPES,
    *SUMS,
    *OWN,
]
