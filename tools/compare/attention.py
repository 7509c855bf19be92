"""What attention over a cache takes on the CPU, by what the cache holds: a figure behind docs/performance.md.

    python attention.py [--rows 2] [--past 300]

24 layers of 16 heads of 128, as Janus-Pro-1B has them, one position a row; keys and values in 32 bits and in 8 with
a scale per channel, in turns. Needs requirements-operators.txt.
"""

import argparse
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

LAYERS, HEADS, WIDTH, CAPACITY = 24, 16, 128, 1024
CACHE = {"past_key": "present_key", "past_value": "present_value"}
TURNS = 30


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=2)
    p.add_argument("--past", type=int, default=300)
    p.add_argument("--threads", type=int, default=2)
    arguments = p.parse_args()
    steps = {name: step(dtype, arguments) for name, dtype in {"32 bits": np.float32, "8 bits": np.int8}.items()}
    times = {name: [] for name in steps}
    for _ in range(TURNS):
        for name, (session, bindings) in steps.items():
            begun = time.perf_counter()
            for binding in bindings:
                session.run_with_iobinding(binding)
            times[name].append(1e3 * (time.perf_counter() - begun))
    for name, spent in times.items():
        print(f"{name:8} {np.median(spent):6.2f} ms (least {min(spent):.2f})")


def step(dtype, arguments):
    """A session of one layer, bound to the memory of each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(graph(dtype, arguments.rows), options, ["CPUExecutionProvider"])
    return session, [bind(session, dtype, arguments) for _ in range(LAYERS)]


def graph(dtype, rows):
    of = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    states = {name: [rows, 1, HEADS * WIDTH] for name in ("query", "key", "value")}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in states.items()]
    cache = [rows, HEADS, CAPACITY, WIDTH]
    inputs += [helper.make_tensor_value_info(name, of, cache) for name in CACHE]
    inputs += [helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, [rows])]
    inputs += [helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, [])]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, states["query"])]
    outputs += [helper.make_tensor_value_info(name, of, cache) for name in CACHE.values()]
    names, settings, scales = [value.name for value in inputs], {"num_heads": HEADS, "kv_num_heads": HEADS}, []
    if dtype == np.int8:
        names += [""] * 5 + ["key_scale", "value_scale"]
        settings |= {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
        shape, same = [1, HEADS, 1, WIDTH], np.full(HEADS * WIDTH, 0.02, np.float32)
        scales = [helper.make_tensor(name, TensorProto.FLOAT, shape, same) for name in names[-2:]]
    node = helper.make_node(
        "GroupQueryAttention", names, [value.name for value in outputs], domain="com.microsoft", **settings
    )
    made = helper.make_graph([node], "attention", inputs, outputs, scales)
    versions = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=versions, ir_version=10).SerializeToString()


def bind(session, dtype, arguments):
    binding, value = session.io_binding(), onnxruntime.OrtValue.ortvalue_from_numpy
    rows = arguments.rows
    for name in ("query", "key", "value"):
        binding.bind_ortvalue_input(name, value(np.random.randn(rows, 1, HEADS * WIDTH).astype(np.float32)))
    for past, present in CACHE.items():
        numbers = np.random.randn(rows, HEADS, CAPACITY, WIDTH).astype(np.float32)
        memory = value(numbers if dtype == np.float32 else (numbers / 0.02).clip(-127, 127).astype(dtype))
        binding.bind_ortvalue_input(past, memory)
        binding.bind_ortvalue_output(present, memory)
    binding.bind_ortvalue_input("seqlens_k", value(np.full(rows, arguments.past, np.int32)))
    binding.bind_ortvalue_input("total_sequence_length", value(np.array(arguments.past + 1, np.int32)))
    binding.bind_output("output")
    return binding


if __name__ == "__main__":
    main()
