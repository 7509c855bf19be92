"""oxinfer: the whole Janus-Pro checkpoint, q4 quantised at load, through its Rust library (see oxinfer/)."""

import json
import pathlib
import subprocess
import sys

import measure

PACKAGE = pathlib.Path(__file__).parent / "oxinfer"
VERSION = "0.0.7"


def build(work):
    """The measuring program, compiled by cargo below `work`."""
    target = work / "oxinfer-target"
    command = ["cargo", "build", "--release", "--manifest-path", PACKAGE / "Cargo.toml", "--target-dir", target]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return target / "release" / "compare-oxinfer"


def main():
    arguments = measure.parser(__doc__).parse_args()
    program = build(arguments.work)
    if arguments.prepare:
        return
    report = measure.Report(arguments, "oxinfer", f"oxinfer {VERSION}", "q4, text head q8, VQ decoder fp32")
    length = "quick" if arguments.quick else "full"
    command = [program, arguments.checkpoint, str(arguments.threads), length, ",".join(arguments.only)]
    report.put(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    report.print()


if __name__ == "__main__":
    main()
