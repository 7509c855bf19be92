"""What ONNX Runtime's own operators take on the CPU: the figures behind docs/performance.md.

    python operators.py products                 one 2048 × 5632 product, by the format of its weights and by rows
    python operators.py step EXPORT              the operators of a decode step of two rows at 300 positions
    python operators.py prefill EXPORT GRAPH     those of 620 positions, by `language_model` or by `prefill`

Needs requirements-operators.txt. EXPORT is what `janus convert` wrote.
"""

import argparse
import collections
import json
import os
import pathlib
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

IN, OUT = 2048, 5632
ROWS = [1, 2, 4, 8, 16, 64, 620]
COPIES = 8  # of the weights, in turns, so that they come from memory
MICROSOFT = "com.microsoft"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["products", "step", "prefill"])
    p.add_argument("export", nargs="?", type=pathlib.Path)
    p.add_argument("graph", nargs="?", default="language_model")
    p.add_argument("--threads", type=int, default=2)
    arguments = p.parse_args()
    if arguments.what == "products":
        products(arguments.threads)
    elif arguments.export is None:
        p.error("which EXPORT?")
    elif arguments.what == "step":
        profile(arguments.export, "language_model", arguments.threads, rows=2, new=1, past=300)
    else:
        profile(arguments.export, arguments.graph, arguments.threads, rows=1, new=620, past=0)


def products(threads):
    print("ms of a product, median (least), by rows", *ROWS, sep="  ")
    formats = {"fp32": floats, "int8 per row, dynamic": dynamic}
    for bits in (4, 8):
        for block in (32, 64, 128, 256):
            formats[f"int{bits}/{block}"] = lambda c, bits=bits, block=block: blocks(c, bits, block)
    for name, weights in formats.items():
        nodes, weights = zip(*(weights(copy) for copy in range(COPIES)))
        sums = [helper.make_node("ReduceSum", [f"y{c}"], [f"sum{c}"], keepdims=0) for c in range(COPIES)]
        run = session(list(nodes) + sums, [w for some in weights for w in some], threads)
        print(name, *(f"{rows}: {np.median(t):.2f} ({min(t):.2f})" for rows, t in times(run)), sep="  ", flush=True)


def floats(copy):
    weight = np.random.randn(IN, OUT).astype(np.float32)
    return helper.make_node("MatMul", ["x", f"w{copy}"], [f"y{copy}"]), [numpy_helper.from_array(weight, f"w{copy}")]


def blocks(copy, bits, size):
    codes = np.random.randint(0, 256, (OUT, IN // size, size * bits // 8), dtype=np.uint8)
    scales = np.random.rand(OUT, IN // size).astype(np.float32)
    inputs = ["x", f"w{copy}", f"s{copy}"]
    settings = {"K": IN, "N": OUT, "bits": bits, "block_size": size, "accuracy_level": 4}
    node = helper.make_node("MatMulNBits", inputs, [f"y{copy}"], domain=MICROSOFT, **settings)
    return node, [numpy_helper.from_array(codes, inputs[1]), numpy_helper.from_array(scales, inputs[2])]


def dynamic(copy):
    codes = np.random.randint(-63, 64, (IN, OUT)).astype(np.int8)
    scales = np.random.rand(OUT).astype(np.float32)
    inputs = ["x", f"w{copy}", f"s{copy}"]
    node = helper.make_node("DynamicQuantizeMatMul", inputs, [f"y{copy}"], domain=MICROSOFT)
    return node, [numpy_helper.from_array(codes, inputs[1]), numpy_helper.from_array(scales, inputs[2])]


def session(nodes, weights, threads):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", IN])]
    outputs = [helper.make_tensor_value_info(f"sum{c}", TensorProto.FLOAT, []) for c in range(COPIES)]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
    graph = helper.make_graph(nodes, "products", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def times(session):
    """Milliseconds of a product, for each number of rows."""
    for rows in ROWS:
        x = np.random.randn(rows, IN).astype(np.float32)
        taken = []
        for _ in range(max(3, min(40, 500 // rows))):
            begun = time.perf_counter()
            session.run(None, {"x": x})
            taken.append((time.perf_counter() - begun) * 1e3 / COPIES)
        yield rows, taken


def profile(export, graph, threads, rows, new, past, runs=12):
    language = json.loads((export / "manifest.json").read_text())["language"]
    folder = tempfile.mkdtemp()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_profiling = True
    options.profile_file_prefix = os.path.join(folder, "profile")
    session = onnxruntime.InferenceSession(export / f"{graph}.onnx", options, ["CPUExecutionProvider"])
    binding = bind(session, language, rows, new, past)
    runs = runs if new == 1 else 2
    for _ in range(runs):
        session.run_with_iobinding(binding)
    spent, count = collections.Counter(), collections.Counter()
    for event in json.loads(pathlib.Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"] / 1e3 / runs
            count[event["args"]["op_name"]] += 1 / runs
    for name, milliseconds in spent.most_common():
        print(f"{name:32} {milliseconds:9.2f} ms  {count[name]:4.0f}")


def bind(session, language, rows, new, past):
    binding = session.io_binding()
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    cache = (rows, language["num_kv_heads"], past + new + 32, language["head_dim"])
    for layer in range(language["num_layers"]):
        for part in ("key", "value"):
            memory = value(np.random.randn(*cache).astype(np.float32))
            binding.bind_ortvalue_input(f"past_key_values.{layer}.{part}", memory)
            binding.bind_ortvalue_output(f"present.{layer}.{part}", memory)
    positions = np.tile(np.arange(past, past + new, dtype=np.int64), (rows, 1))
    width = language["hidden_size"]
    inputs = {
        "inputs_embeds": np.random.randn(rows, new, width).astype(np.float32),
        "position_ids": positions,
        "seqlens_k": np.full(rows, past + new - 1, np.int32),
        "total_sequence_length": np.array(past + new, np.int32),
    }
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, value(array))
    binding.bind_ortvalue_output("hidden_states", value(np.zeros((rows, new, width), np.float32)))
    return binding


if __name__ == "__main__":
    main()
