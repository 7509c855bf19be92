"""Sheets of drawings, `python samples.py`: samples.png and wrong.png.

samples.png has one row per GenEval category, one unseen prompt per column. wrong.png has what the judge calls wrong among
many more prompts; the prompts are printed.
"""

import argparse
import random

import numpy as np
import torch
from PIL import Image

import settings
from evaluate import draw, load, seen_in
from model import picture_bytes
from scenes import GENEVAL, random_drawing


def sheet(pictures, columns, path):
    """Pictures in rows of so many, each with a grey frame; the last row is filled up with grey."""
    framed = np.pad(pictures, ((0, -len(pictures) % columns), (2, 2), (2, 2), (0, 0)), constant_values=127)
    size = framed.shape[1]
    rows = framed.reshape(-1, columns, size, size, 3).transpose(0, 2, 1, 3, 4)
    Image.fromarray(rows.reshape(-1, columns * size, 3)).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", default=str(settings.HERE / "checkpoint"))
    parser.add_argument("--out", default=str(settings.HERE))
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--each", type=int, default=50, help="prompts per category to look for wrong ones in")
    options = parser.parse_args()
    model, encoder = load(options.checkpoint)
    rng, sampling = random.Random(9), settings.load()["sampling"]
    drawings = [random_drawing(rng, category) for category in GENEVAL for _ in range(options.each)]
    tokens = draw(model, encoder, [drawing.prompt for drawing in drawings], seed=9, **sampling)
    with torch.no_grad():
        pictures = np.concatenate([picture_bytes(model.model.vqmodel.decode(part)) for part in tokens.split(64)])
    first = [i for i in range(len(drawings)) if i % options.each < options.columns]
    scenes = seen_in(model, tokens, decoded=True)
    wrong = [i for i, scene in enumerate(scenes) if not drawings[i].wanted.accepts(scene)]
    for name, chosen in (("samples", first), ("wrong", wrong)):
        sheet(pictures[chosen], options.columns, f"{options.out}/{name}.png")
        print(f"{name}.png: {len(chosen)} of {len(drawings)}")
        for i in chosen:
            print(f"  {drawings[i].category}: {drawings[i].prompt}")


if __name__ == "__main__":
    main()
