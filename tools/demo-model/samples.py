"""A sheet of drawings, `python samples.py`: one row per GenEval category, one unseen prompt per column."""

import argparse
import random

import numpy as np
import torch
from PIL import Image

import settings
from evaluate import draw, load
from model import picture_bytes
from scenes import GENEVAL, random_drawing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", default=str(settings.HERE / "checkpoint"))
    parser.add_argument("--out", default=str(settings.HERE / "samples.png"))
    parser.add_argument("--columns", type=int, default=8)
    options = parser.parse_args()
    model, encoder = load(options.checkpoint)
    rng, sampling = random.Random(9), settings.load()["sampling"]
    drawings = [random_drawing(rng, category) for category in GENEVAL for _ in range(options.columns)]
    tokens = draw(model, encoder, [drawing.prompt for drawing in drawings], seed=9, **sampling)
    with torch.no_grad():
        pictures = picture_bytes(model.model.vqmodel.decode(tokens))
    framed = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=127)
    size = framed.shape[1]
    sheet = framed.reshape(len(GENEVAL), options.columns, size, size, 3).transpose(0, 2, 1, 3, 4)
    Image.fromarray(sheet.reshape(len(GENEVAL) * size, -1, 3)).save(options.out, optimize=True)
    for drawing in drawings:
        print(f"{drawing.category}: {drawing.prompt}")


if __name__ == "__main__":
    main()
