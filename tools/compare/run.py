"""Runs peers in turns (a, b, a, b, ...) and prints their medians, and their ratios to the first, turn by turn.

Each turn of each contestant is a process of its own, one at a time. One JSON object on standard output; what happens,
and a table, on standard error. `--work` holds the exports and the virtual environments (`venv-NAME`, see README.md).
"""

import argparse
import json
import os
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys

import measure

HERE = pathlib.Path(__file__).parent

# Contestant: virtual environment, script, and further arguments. None is the Python that runs this.
PEERS = {
    "llama.cpp": ("venv-llamacpp", "llamacpp_q4.py", []),
    "openvino": ("venv-openvino", "openvino_int4.py", []),
    "oxinfer": (None, "oxinfer_q4.py", []),
    "pytorch-bf16": ("venv-pytorch", "pytorch.py", ["--precision", "bf16"]),
    "pytorch-fp32": ("venv-pytorch", "pytorch.py", ["--precision", "fp32"]),
    "onnxruntime-genai": ("venv-ortgenai", "ortgenai_int4.py", []),
}

# What `janus bench` calls a measurement, and what the peers' scripts call the same figure.
JANUS_FIGURES = {
    "decode.1": "decode_step_s.1",
    "decode.2": "decode_step_s.2",
    "decode.8": "decode_step_s.8",
    "prefill.64": "prefill_s.64",
    "prefill.620": "prefill_s.620",
    "image.prompt": "image.prefill_s",
    "image.step": "image.step_s",
    "image.vq_decode": "image.vq_decode_s",
    "image.picture.prompt": "image.prefill_s",
    "image.picture.tokens": "image.steps_s",
    "image.picture.vq_decode": "image.vq_decode_s",
}


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    turns = []
    for turn in range(arguments.turns):
        for name in arguments.contestants:
            print(f"--- turn {turn + 1} of {arguments.turns}: {name}", file=sys.stderr, flush=True)
            turns.append({"turn": turn, "contestant": name, **run(command(name, arguments), arguments.limit)})
    summary = {name: medians(turns, name) for name in arguments.contestants}
    first = arguments.contestants[0]
    ratios = {name: paired_ratios(turns, name, first) for name in arguments.contestants[1:]}
    tell(summary, ratios, first)
    print(json.dumps({"median": summary, "ratio_to_first": ratios, "turns": turns}))
    if any("failure" in turn for turn in turns):
        raise SystemExit(1)


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("contestants", nargs="+", choices=[*PEERS, "janus"], metavar="NAME", help=", ".join([*PEERS, "janus"]))
    p.add_argument("--checkpoint", required=True, help="Janus-Pro checkpoint in the released layout")
    p.add_argument("--checkpoint-transformers", help="the same in transformers' layout, for PyTorch")
    p.add_argument("--work", type=pathlib.Path, required=True, help="exports and virtual environments")
    p.add_argument("--turns", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--only", nargs="+", choices=measure.PARTS, default=list(measure.PARTS), metavar="PART")
    p.add_argument("--limit", type=float, default=900, help="seconds after which a turn is ended as failed")
    p.add_argument("--janus", help="the command of the contestant `janus`: 'janus bench MODEL --json --head text'")
    return p.parse_args()


def command(name, arguments):
    if name == "janus":
        if arguments.janus is None:
            raise SystemExit("janus needs --janus 'COMMAND'")
        return shlex.split(arguments.janus)
    environment, script, more = PEERS[name]
    python = arguments.work / environment / "bin" / "python" if environment else sys.executable
    checkpoint = arguments.checkpoint_transformers if script == "pytorch.py" else arguments.checkpoint
    if checkpoint is None:
        raise SystemExit(f"{name} needs --checkpoint-transformers")
    line = [python, HERE / script, checkpoint, "--work", arguments.work, "--threads", arguments.threads, *more]
    line += ["--quick"] if arguments.quick else []
    return [str(word) for word in [*line, "--only", *arguments.only]]


def run(line, limit):
    """The JSON object that a command prints, with the load of the machine before it; or why there is none."""
    load = {"load_average_before": round(os.getloadavg()[0], 2)}
    try:
        return load | json.loads(output_of(line, limit))
    except (OSError, subprocess.SubprocessError, ValueError) as failure:
        print(f"failed: {failure}", file=sys.stderr, flush=True)
        return load | {"failure": f"{type(failure).__name__}: {failure}"}


def output_of(line, limit):
    """Standard output of a command; whatever it started ends with it, also when this is interrupted."""
    process = subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=limit)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)
    return output


def figures(node, path=()):
    """Numbers of nested objects by their dotted path; arrays are passed over, but those of `janus bench` are known."""
    if isinstance(node, dict) and "stages" in node:
        return janus_figures(node)
    if isinstance(node, dict):
        return {key: value for name, child in node.items() for key, value in figures(child, (*path, name)).items()}
    is_number = isinstance(node, (int, float)) and not isinstance(node, bool)
    return {".".join(path): node} if is_number else {}


def janus_figures(report):
    found = {"turn": report["turn"]}
    for stage in report["stages"]:
        for measurement in stage["measurements"]:
            if measurement["name"] in JANUS_FIGURES:
                found[JANUS_FIGURES[measurement["name"]]] = measurement["time"]["median"]
        if stage["peak_memory"] is not None:
            found[f"peak_memory_bytes.{stage['stage']}"] = stage["peak_memory"]
    if report["picture"]:
        found["image.total_s"] = report["picture"]["seconds"]
    return found


def of_contestant(turns, name):
    return [figures(turn) for turn in turns if turn["contestant"] == name and "failure" not in turn]


def medians(turns, name):
    runs = of_contestant(turns, name)
    names = list(dict.fromkeys(figure for run in runs for figure in run if figure != "turn"))
    return {figure: statistics.median(run[figure] for run in runs if figure in run) for figure in names}


def paired_ratios(turns, name, first):
    """Median over the turns of figure / the same figure of the first contestant in the same turn."""
    ours = {run["turn"]: run for run in of_contestant(turns, name)}
    theirs = {run["turn"]: run for run in of_contestant(turns, first)}
    pairs = [(ours[turn], theirs[turn]) for turn in ours if turn in theirs]
    timed = [figure for figure in (pairs[0][0] if pairs else {}) if figure.split(".")[0].endswith(("_s", "image", "bytes"))]
    ratios = {}
    for figure in timed:
        each = [a[figure] / b[figure] for a, b in pairs if figure in a and b.get(figure)]
        if each:
            ratios[figure] = statistics.median(each)
    return ratios


def tell(summary, ratios, first):
    """A table with a row per figure, a column per contestant and the ratio to the first in brackets."""
    rows = list(dict.fromkeys(figure for figures_of_one in summary.values() for figure in figures_of_one))
    print("| figure | " + " | ".join(summary) + " |\n|---" + "|---" * len(summary) + "|", file=sys.stderr)
    for figure in rows:
        cells = []
        for name, figures_of_one in summary.items():
            cell = f"{figures_of_one[figure]:.4g}" if figure in figures_of_one else ""
            ratio = ratios.get(name, {}).get(figure)
            cells.append(cell + (f" ({ratio:.2f})" if ratio and name != first else ""))
        print(f"| {figure} | " + " | ".join(cells) + " |", file=sys.stderr)


if __name__ == "__main__":
    main()
