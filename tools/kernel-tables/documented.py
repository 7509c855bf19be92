"""Writes the tables of providers whose library cannot be asked on every machine, from what is documented.

    python documented.py ../janus-validate/kernels

CUDA and DirectML: docs/OperatorKernels.md of ONNX Runtime. CoreML: its list of ML program operators.
TensorRT: entered by hand after the operators of onnx-tensorrt 10, of which none is ONNX Runtime's own. Listed are the operators
that exports of this repository, or of others for these models, are made of; an operator that is not listed
counts as missing.
"""

import sys
from pathlib import Path

OPSETS = range(17, 21)
# Standard operators of these exports, and the types of their first input where they are not floats.
FLOATS = "Add Sub Mul Div Sigmoid Softmax Erf Sqrt Tanh Abs Sin Cos MatMul Gemm Conv LayerNormalization \
InstanceNormalization Resize DepthToSpace ReduceMean ReduceSum ReduceMax ReduceL2 Gelu ArgMax Neg Pow Clip".split()
ANY = "Cast Reshape Transpose Gather Concat Split Slice Expand Shape Squeeze Unsqueeze Identity Where".split()

PROVIDERS = {
    "cuda": {
        "source": "CUDAExecutionProvider of ONNX Runtime 1.31, entered by hand after docs/OperatorKernels.md",
        "types": "f16,f32,bf16",
        "lacks": [],
        "extra": [
            ("ai.onnx", "SimplifiedLayerNormalization", "1-", "0=bf16,f16,f32,f64"),
            ("ai.onnx", "QuantizeLinear", "13-18", "0=f32"),
            ("ai.onnx", "QuantizeLinear", "19-20", "0=f16,f32"),
            ("com.microsoft", "GroupQueryAttention", "1-", "0=bf16,f16"),
            ("com.microsoft", "MultiHeadAttention", "1-", "0=bf16,f16,f32"),
            ("com.microsoft", "RotaryEmbedding", "1-", "0=bf16,f16,f32"),
            ("com.microsoft", "MatMulNBits", "1-", "0=bf16,f16,f32 1=u8"),
        ],
    },
    "directml": {
        "source": "DmlExecutionProvider of ONNX Runtime 1.31, entered by hand after docs/OperatorKernels.md",
        "types": "f16,f32",
        "lacks": ["Gelu"],
        "extra": [
            ("ai.onnx", "SimplifiedLayerNormalization", "1-", "0=f16,f32"),
            ("ai.onnx", "QuantizeLinear", "13-20", "0=f16,f32"),
            ("com.microsoft", "GroupQueryAttention", "1-", "0=f16,f32"),
            ("com.microsoft", "MultiHeadAttention", "1-", "0=f16,f32"),
            ("com.microsoft", "RotaryEmbedding", "1-", "0=f16,f32"),
            ("com.microsoft", "MatMulIntegerToFloat", "1-", "0=i8,u8 1=i8,u8"),
            ("com.microsoft", "MatMulNBits", "1-", "0=f16,f32 1=u8"),
        ],
    },
    "tensorrt": {
        "source": "TensorrtExecutionProvider of ONNX Runtime 1.31 with TensorRT 10, entered by hand after the operators of onnx-tensorrt",
        "types": "f16,f32,bf16",
        "lacks": [],
        "extra": [],
    },
    "coreml": {
        "source": "CoreMLExecutionProvider of ONNX Runtime 1.32, entered by hand after its list of ML program operators",
        "types": "f16,f32",
        "lacks": ["Abs", "ReduceL2", "Gather", "Expand", "Neg", "Where"],
        "extra": [],
    },
}


def since_versions(name, table):
    versions = table[name]
    return sorted({max(v for v in versions if v <= opset) for opset in OPSETS if min(versions) <= opset})


def main(folder):
    table = {}
    for line in (folder / "versions.tsv").read_text().splitlines():
        if not line.startswith("#"):
            name, versions = line.split("\t")
            table[name] = [int(v) for v in versions.split(",")]
    for provider, facts in PROVIDERS.items():
        lines = list(facts["extra"])
        for name in FLOATS + ANY:
            if name in facts["lacks"]:
                continue
            types = f"0={facts['types']}" if name in FLOATS else ""
            lines += [("ai.onnx", name, f"{v}-{v}", types) for v in since_versions(name, table)]
        with open(folder / f"{provider}.tsv", "w", encoding="utf-8") as out:
            print(f"# {facts['source']}", file=out)
            print("# domain\toperator\tversions\ttypes of the inputs", file=out)
            for line in sorted(lines):
                print("\t".join(line), file=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
