"""What every peer's script shares: the arguments, the clock, the memory, the order of measuring and the report.

A peer is measured through four calls on one sequence or several that advance together:

    open(batch)    room for the caches of `batch` sequences, and for none that were there before
    prefill(ids)   empty caches, then all of `ids` in one sequence; logits of the last position
    fork(batch)    the cache of that sequence, `batch` times
    step(ids)      one token for every sequence; logits of each

so that all language models are timed by the same loop, on the same token numbers, at the same positions.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time

CONTEXT = 288  # positions before the first decode step; with the steps timed, about 300 on the average
PROMPTS = (64, 620)
BUDGET = 20.0  # seconds that the repeats of one figure may take
VOCABULARY = 102400
IMAGE_TOKENS = 576
CODES = 16384
GUIDANCE = 5.0
PROMPT = "a red fox in the snow, in the early morning, by a wooden fence"
PARTS = ("decode", "prefill", "image")


class Report:
    """The figures of one run, in seconds and bytes, printed as one JSON object."""

    def __init__(self, arguments, peer, version, precision):
        self.quick = arguments.quick
        self.only = arguments.only
        self.fields = {
            "peer": peer,
            "version": version,
            "precision": precision,
            "threads": arguments.threads,
            "load_average": round(os.getloadavg()[0], 2),
        }

    def put(self, **figures):
        """Adds figures and tells them."""
        self.fields.update(figures)
        for name, figure in figures.items():
            print(f"{self.fields['peer']}: {name} {json.dumps(figure)}", file=sys.stderr, flush=True)

    def put_peak(self, stage):
        """The peak resident memory of the process so far, under the name of the stage that ended."""
        self.fields.setdefault("peak_memory_bytes", {})[stage] = peak_memory()

    def print(self):
        print(json.dumps(self.fields), flush=True)


def parser(description, **defaults):
    """The arguments all peers have. `--work` is where exports are kept between runs."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("checkpoint", type=pathlib.Path, help="directory of the Janus-Pro checkpoint")
    p.add_argument("--work", type=pathlib.Path, required=True, help="directory for what is exported, kept between runs")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--quick", action="store_true", help="fewer repeats, batch 1 and 2 only, no whole image")
    p.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    p.add_argument("--prepare", action="store_true", help="export what is needed and stop")
    p.set_defaults(**defaults)
    return p


def seconds(call, *operands):
    """How long one call takes, and what it gives."""
    start = time.perf_counter()
    result = call(*operands)
    return time.perf_counter() - start, result


def median_seconds(call, at_most):
    """Median of up to `at_most` calls after one to warm up, as far as BUDGET allows; of a call beyond it, itself."""
    spent, times = seconds(call)[0], []
    if spent > BUDGET:
        return spent
    while len(times) < at_most and (not times or spent < BUDGET):
        times.append(seconds(call)[0])
        spent += times[-1]
    return statistics.median(times)


def peak_memory():
    """VmHWM of this process in bytes: pages of mapped files count as far as they are resident."""
    status = pathlib.Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def token_ids(count, start=1):
    """Token numbers spread over the vocabulary, the same ones for every peer."""
    return [(start + 7919 * i) % (VOCABULARY - 2400) for i in range(count)]


def measure_language(report, model):
    """Prefill and decode steps of a language model, its text head included, into the report."""
    model.open(1)
    if "prefill" in report.only:
        repeats = 1 if report.quick else 5
        report.put(prefill_s={n: median_seconds(lambda n=n: model.prefill(token_ids(n)), repeats) for n in PROMPTS})
        report.put_peak("prefill")
    if "decode" in report.only:
        steps = {}
        for batch in (1, 2) if report.quick else (1, 2, 8):
            steps[batch] = decode_step(model, batch, 12 if report.quick else 24)
            report.put_peak(f"batch_{batch}")
        report.put(decode_step_s=steps)


def decode_step(model, batch, steps, warm_up=4):
    """Median of the steps from position CONTEXT + warm_up on; of fewer steps where they are beyond BUDGET."""
    model.open(batch)
    model.prefill(token_ids(CONTEXT))
    model.fork(batch)
    times = []
    while len(times) < warm_up + 1 or (len(times) < warm_up + steps and sum(times) < BUDGET):
        times.append(seconds(model.step, token_ids(batch, start=1 + len(times)))[0])
    return statistics.median(times[warm_up:])
