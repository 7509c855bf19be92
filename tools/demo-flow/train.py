"""Trains one stage: `python train.py STAGE --work DIR`. See train.sh for the order."""

import argparse
import importlib
import sys

import torch

from shared import load_config


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=["stage0_vision", "stage1_vae", "stage2_flow"])
    parser.add_argument("--work", required=True, help="folder of checkpoints; a stage resumes from it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, help="end the stage after so many, instead of by its steps")
    parser.add_argument("--loaders", type=int, default=1, help="processes that make the data of coming steps")
    parser.add_argument("--batch", type=float, default=1.0, metavar="SHARE", help="of the batches of config.toml")
    parser.add_argument("--threads", type=int, default=1, help="of the training itself, on a CPU")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = True
    stage = importlib.import_module(options.stage).make(load_config(options.batch), options)
    sys.exit(0 if stage.run() else 3)


if __name__ == "__main__":
    main()
