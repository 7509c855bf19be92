"""Trains stages: `python train.py STAGE... --work DIR [--minutes N] [--workers N] [--device cuda]`.

See train.sh for the order of the stages. `--minutes` is for all stages named together, by the `share` of each.
"""

import argparse
import importlib
import os
import sys
import warnings
from pathlib import Path

import torch

import settings

STAGES = ["stage0_tokenizer", "stage0_vision", "stage1", "stage2", "stage3"]


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("stages", choices=STAGES, nargs="+")
    parser.add_argument("--work", required=True, type=Path, help="folder of checkpoints; a stage resumes from it")
    parser.add_argument("--config", default=settings.HERE / "config.toml", type=Path)
    parser.add_argument("--minutes", type=float, help="end the stages after so many, however few their steps")
    parser.add_argument("--workers", type=int, default=max(0, (os.cpu_count() or 1) - 2),
                        help="processes that make data ahead; 0: the training does it itself")
    parser.add_argument("--threads", type=int, default=1, help="of the training, without a GPU")
    parser.add_argument("--go-on", action="store_true", help="even where a stage stays below its bar")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main():
    run = options()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork")  # the processes that make data run no threads
    torch.set_num_threads(run.threads)
    torch.set_float32_matmul_precision("high")
    config = settings.load(run.config, run.device)
    minutes, shares = run.minutes, sum(config[name].get("share", 1.0) for name in run.stages)
    for name in run.stages:
        if minutes:
            run.minutes = minutes * config[name].get("share", 1.0) / shares
        if not importlib.import_module(name).make(config, run).run():
            sys.exit(3)


if __name__ == "__main__":
    main()
