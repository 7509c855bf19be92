"""Writes the kernels of the installed ONNX Runtime's CPU provider as a table.

    pip install onnxruntime==1.32.0 onnx
    python cpu.py > ../janus-validate/kernels/cpu.tsv

One line for each kernel that a graph of opset 17 to 21 can meet: domain, operator, the versions of the
operator that it is for (`13-` has no end), and the types that each input may have. `*` stands for all
further inputs. Inputs that take anything are left out.
"""

import onnx.defs
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

OPSETS = range(17, 22)
TYPES = {
    "float": "f32", "float16": "f16", "double": "f64", "bfloat16": "bf16", "int8": "i8", "uint8": "u8",
    "int16": "i16", "uint16": "u16", "int32": "i32", "uint32": "u32", "int64": "i64", "uint64": "u64",
    "bool": "bool", "int4": "i4", "uint4": "u4", "string": "text",
}


def short(name):
    inner = name.removeprefix("tensor(").removesuffix(")")
    return TYPES.get(inner)


def schemas():
    """Formal inputs of every version of every operator, by (domain, name, version)."""
    found = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        found[schema.domain, schema.name, schema.since_version] = schema
    for schema in state.get_all_operator_schema():
        found.setdefault((schema.domain, schema.name, schema.since_version), schema)
    return found


def since(versions, opset):
    """The version of an operator that a graph of this opset means."""
    at_most = [version for version in versions if version <= opset]
    return max(at_most, default=None)


def inputs(schema):
    """Name of the type of each input; that of a variadic one under `*`."""
    for index, formal in enumerate(schema.inputs):
        option = str(formal.option).rsplit(".", 1)[-1].lower()
        yield ("*" if "variadic" in option else str(index)), getattr(formal, "type_str", None) or formal.typeStr


def main():
    known = schemas()
    versions = {}
    for domain, name, version in known:
        versions.setdefault((domain, name), []).append(version)
    lines = set()
    for kernel in state.get_all_opkernel_def():
        if kernel.provider != "CPUExecutionProvider" or kernel.domain not in ("", "com.microsoft"):
            continue
        start, end = kernel.version_range
        endless = end >= 2**31 - 1
        wanted = {1} if kernel.domain else {since(versions.get(("", kernel.op_name), []), o) for o in OPSETS}
        # A kernel without an end is for the version that it begins with, and no later one.
        met = [v for v in wanted if v and (v == start if endless else start <= v <= end)]
        if not met:
            continue
        schema = known[kernel.domain, kernel.op_name, max(met)]
        constraints = {}
        for place, kind in inputs(schema):
            allowed = kernel.type_constraints.get(kind)
            types = sorted(filter(None, map(short, allowed or [])))
            if types:
                constraints[place] = ",".join(types)
        spelled = " ".join(f"{place}={types}" for place, types in constraints.items())
        until = "" if endless else end
        lines.add((kernel.domain or "ai.onnx", kernel.op_name, f"{start}-{until}", spelled))
    print(f"# CPUExecutionProvider of ONNX Runtime {onnxruntime.__version__}, by tools/kernel-tables/cpu.py")
    print("# domain\toperator\tversions\ttypes of the inputs")
    for line in sorted(lines):
        print("\t".join(line))


if __name__ == "__main__":
    main()
