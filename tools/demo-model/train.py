"""Trains one stage: `python train.py STAGE --work DIR [--minutes N]`. See train.sh for the order."""

import argparse
import importlib
import sys

import settings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=["stage0_tokenizer", "stage0_vision", "stage1", "stage2", "stage3"])
    parser.add_argument("--work", required=True, help="folder of checkpoints; a stage resumes from it")
    parser.add_argument("--minutes", type=float, help="instead of the stage's minutes in config.toml")
    options = parser.parse_args()
    config = settings.load()
    if options.minutes:
        config[options.stage]["minutes"] = options.minutes
    stage = importlib.import_module(options.stage).make(config, options.work)
    sys.exit(0 if stage.run() else 3)


if __name__ == "__main__":
    main()
