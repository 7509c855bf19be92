"""Asks an ONNX Runtime library which nodes a provider takes, and writes the answers as a table.

    pip install onnxruntime-webgpu==1.27.0 onnx      (or onnxruntime-openvino==1.24.1)
    python probe.py WebGpuExecutionProvider > ../janus-validate/kernels/webgpu.tsv
    python probe.py OpenVINOExecutionProvider > ../janus-validate/kernels/openvino.tsv

For providers that do not tell their kernels. A graph of one node is opened for every operator that exports of
this repository, or of others for these models, are made of, in every version that opsets 17 to 21 have, with
every type of its first input; the library's record of placement says who got the node. An operator that
is not listed counts as missing. Needed is a device: WebGPU does with a software Vulkan driver, OpenVINO with
the processor.
"""

import contextlib
import os
import sys
from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import nodes

OPSETS = range(17, 22)
TYPES = {
    "f32": TensorProto.FLOAT, "f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16,
    "i32": TensorProto.INT32, "i64": TensorProto.INT64, "u8": TensorProto.UINT8, "i8": TensorProto.INT8,
    "bool": TensorProto.BOOL,
}
# In its own layout of pictures WebGPU has no record but of the transposes that were put in.
SETTINGS = {"WebGpuExecutionProvider": [("ep.webgpuexecutionprovider.preferredLayout", "NCHW")]}


def model(probe, version, opset, dtype):
    """The bytes of a graph of one node, or nothing where that is no graph at all."""
    inputs, weights, names = [], [], []
    for index, value in enumerate(probe.inputs(version)):
        if value is None:
            names.append("")
            continue
        name = f"in{index}"
        names.append(name)
        if isinstance(value, nodes.Input):
            inputs.append(helper.make_tensor_value_info(name, TYPES[value.dtype or dtype], value.shape))
        else:
            weights.append(numpy_helper.from_array(value, name))
    outputs = [f"out{index}" for index in range(probe.outputs)]
    # A provider that compiles graphs does not take one of a single node that is little work.
    inputs.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [2, 8]))
    beside = helper.make_node("Sigmoid", ["more"], ["less"], name="beside")
    node = helper.make_node(probe.op_type, names, outputs, name="node", domain=probe.domain, **probe.attributes(version))
    results = [onnx.ValueInfoProto(name=name) for name in ["less", *outputs]]
    graph = helper.make_graph([node, beside], "probe", inputs, results, weights)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def takes(provider, graph):
    """Whether the provider gets the node. A graph that cannot be opened is one that nobody takes."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for setting in SETTINGS.get(provider, []):
        options.add_session_config_entry(*setting)
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[provider, "CPUExecutionProvider"])
    except Exception:  # whatever a library says of a type or version that it lacks
        return False
    placed = [(group.ep_name, node.name) for group in session.get_provider_graph_assignment_info() for node in group.get_nodes()]
    # An operator that nobody has a kernel for is replaced by those that define it.
    its_own = [name for name, node in placed if node == "node"] or [name for name, node in placed if node != "beside"]
    return bool(its_own) and all(name == provider for name in its_own)


def versions():
    """The versions of each standard operator, as versions.py wrote them."""
    table = Path(__file__).parent / "../janus-validate/kernels/versions.tsv"
    lines = [line.split("\t") for line in table.read_text().splitlines() if not line.startswith("#")]
    return {name: [int(version) for version in told.split(",")] for name, told in lines}


def opsets_of(probe, known):
    """Pairs of a version of the operator and an opset that means it."""
    if probe.domain or probe.op_type not in known:
        return {1: OPSETS[-1]}
    told = known[probe.op_type]
    return {max(v for v in told if v <= opset): opset for opset in OPSETS if min(told) <= opset}


def main(provider):
    known = versions()
    print(f"# {provider} of ONNX Runtime {onnxruntime.__version__}, asked by tools/kernel-tables/probe.py")
    print("# domain\toperator\tversions\ttypes of the inputs")
    lines = []
    for probe in nodes.PROBES:
        for version, opset in opsets_of(probe, known).items():
            taken = [dtype for dtype in probe.types if takes(provider, model(probe, version, opset, dtype))]
            if taken:
                lines.append((probe.domain or "ai.onnx", probe.op_type, f"{version}-{version}", f"0={','.join(sorted(taken))}"))
    for line in sorted(lines):
        print("\t".join(line))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in onnxruntime.get_available_providers():
        sys.exit(f"usage: python probe.py PROVIDER, one of {', '.join(onnxruntime.get_available_providers())}")
    # Libraries write on standard output what belongs on the other.
    table = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(table, "w") as out, contextlib.redirect_stdout(out):
        main(sys.argv[1])
