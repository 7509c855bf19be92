"""Trains one stage: `python train.py STAGE --work DIR [--minutes N] [--workers N]`. See train.sh for the order."""

import argparse
import importlib
import sys
import tempfile

from torch import distributed as dist
from torch import multiprocessing

from shared import load_config


def train(worker, options, meeting):
    """Trains as one of the workers, which meet by a file."""
    if options.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=worker, world_size=options.workers)
    stage = importlib.import_module(options.stage).make(load_config(), options.work)
    done = stage.run(options.minutes)
    if worker == 0:
        sys.exit(0 if done else 3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=["stage0_vision", "stage1_vae", "stage2_flow"])
    parser.add_argument("--work", required=True, help="folder of checkpoints; a stage resumes from it")
    parser.add_argument("--minutes", type=float, help="stop after about these, to go on another time")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread; up to the parts of a step")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.workers == 1:
            train(0, options, None)
        try:
            multiprocessing.spawn(train, (options, f"{folder}/meeting"), options.workers)
        except multiprocessing.ProcessExitedException as ended:
            sys.exit(ended.exit_code)


if __name__ == "__main__":
    main()
