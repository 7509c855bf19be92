"""The way back from a finished folder: `python unpack.py --checkpoint checkpoint --work DIR`.

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
    parser.add_argument("--work", required=True)
    options = parser.parse_args()
    model, _ = load(options.checkpoint)
    work = Path(options.work)
    for name in ("stage0_tokenizer", "stage0_vision", "stage1", "stage2"):
        save(work / f"{name}.done.pt", {"model": weights(model, name == "stage0_tokenizer")})
    shutil.copy(Path(options.checkpoint) / "tokenizer.json", work)


if __name__ == "__main__":
    main()
