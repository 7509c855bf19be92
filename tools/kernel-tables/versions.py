"""Writes the versions of every standard operator: which one a graph of an opset means follows from them.

    pip install onnx
    python versions.py > ../janus-validate/kernels/versions.tsv
"""

import onnx
import onnx.defs


def main():
    versions = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.since_version <= 28:
            versions.setdefault(schema.name, set()).add(schema.since_version)
    print(f"# Operators of ai.onnx by onnx {onnx.__version__}, by tools/kernel-tables/versions.py")
    print("# operator\tversions")
    for name in sorted(versions):
        print(f"{name}\t{','.join(map(str, sorted(versions[name])))}")


if __name__ == "__main__":
    main()
