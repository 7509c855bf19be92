"""Stage 0: the vision encoder, by dense targets.

The paper starts from a trained SigLIP. Ours first names, for every patch, what its cell holds: kind and colour or
empty, and the background.

    loss = - sum_name mean log softmax(head_name(encoder(x)))_target

The small heads are dropped afterwards.
"""

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from janusflow import build
from latents import NAMES, Board
from loop import Stage
from scenes import random_scene
from world import EMPTY_TILES, tiles_of


class Trained(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.board, self.tower = Board(), build(config).tower
        self.heads = nn.ModuleDict({name: nn.Linear(config["vision"]["width"], n) for name, n in NAMES.items()})


def guesses(trained, tiles):
    """{name: (logits [n, 9, classes], truth [n, 9])}."""
    seen, truth = trained.tower(trained.board.pictures(tiles)), trained.board.names(tiles)
    return {name: (head(seen), truth[name]) for name, head in trained.heads.items()}


def evaluate(trained, count=256, seed=2):
    """Share of shapes that are right in everything."""
    rng = random.Random(seed)
    tiles = torch.tensor([tiles_of(random_scene(rng)) for _ in range(count)]).to(trained.board.tiles.device)
    right = torch.stack([guess.argmax(-1) == truth for guess, truth in guesses(trained, tiles).values()]).all(0)
    return {"shapes": right[tiles >= EMPTY_TILES].float().mean().item()}


def make(config, options):
    trained, settings = Trained(config), config["stage0_vision"]

    def data(rng):
        return {"tiles": np.array([tiles_of(random_scene(rng)) for _ in range(settings["batch"])])}

    def loss(rows):
        total = sum(F.cross_entropy(guess.flatten(0, 1), truth.flatten())
                    for guess, truth in guesses(trained, rows["tiles"]).values())
        return total, {"loss": total}

    groups = [(list(trained.parameters()), 1.0)]
    return Stage("stage0_vision", config, trained, groups, data, loss, evaluate, "shapes", options)
