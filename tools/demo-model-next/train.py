"""Trains one stage: `python train.py STAGE --work DIR [--minutes N] [--workers N] [--device cuda]`.

See train.sh for the order of the stages. Several workers share the micro-batches of every step: stages 1 to 3 have one
of drawings and one of questions.
"""

import argparse
import importlib
import signal
import sys
import tempfile

import torch
from torch import distributed, multiprocessing

import settings


def train(rank, options, meeting):
    torch.set_default_device(options.device)
    if options.workers > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}/workers", rank=rank, world_size=options.workers)
    stage = importlib.import_module(options.stage).make(settings.load(), options.work, options.minutes)
    sys.exit(0 if stage.run() else 3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=["stage0_tokenizer", "stage0_vision", "stage1", "stage2", "stage3"])
    parser.add_argument("--work", required=True, help="folder of checkpoints; a stage resumes from it")
    parser.add_argument("--minutes", type=float, help="end the stage after so many, however few its steps")
    parser.add_argument("--workers", type=int, default=1, help="processes, on a core each")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if options.workers == 1:
        train(0, options, None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # not without the workers, which go with an orderly end
    with tempfile.TemporaryDirectory() as meeting:
        try:
            multiprocessing.spawn(train, (options, meeting), options.workers, daemon=True)
        except multiprocessing.ProcessExitedException as exit:
            sys.exit(exit.exit_code)


if __name__ == "__main__":
    main()
