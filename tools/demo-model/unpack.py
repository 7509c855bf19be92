"""The way back from a finished folder: `python unpack.py --checkpoint checkpoint --work DIR [--stages NAME...]`.

Fills DIR as if the stages up to the second were done with these weights, so that stage 3 goes on from them:
`./train.sh DIR`. The state of the optimiser is not in a finished folder and starts anew.
"""

import argparse
import shutil
from pathlib import Path

import settings
from evaluate import load
from trainer import save, weights


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", default=str(settings.HERE / "checkpoint"))
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--stages", nargs="+", default=["stage0_tokenizer", "stage0_vision", "stage1", "stage2"])
    options = parser.parse_args()
    model, _ = load(options.checkpoint)
    work = options.work
    for name in options.stages:
        save(work / f"{name}.done.pt", {"model": weights(model, name == "stage0_tokenizer")})
    shutil.copy(Path(options.checkpoint) / "tokenizer.json", work)


if __name__ == "__main__":
    main()
