"""Stage 0: the vision encoder, by dense targets.

The paper starts from a trained SigLIP. Ours first names, for every patch, what its cell holds: kind and colour or
empty, and the background.

    loss = - sum_name mean log softmax(head_name(encoder(x)))_target

The small heads are dropped afterwards.
"""

import random

import torch
from torch import nn
from torch.nn import functional as F

from janusflow import build
from latents import NAMES_OF_TILES, picture_tensor
from loop import Stage
from scenes import random_scene
from world import EMPTY_TILES, assemble, tiles_of


class Trained(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.tower = build(config).tower
        width = config["vision"]["width"]
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, int(truth.max()) + 1) for name, truth in NAMES_OF_TILES.items()})


def guesses(trained, scenes):
    """{name: (logits [n, 9, classes], truth [n, 9])} and the tiles [n, 9]."""
    tiles = torch.tensor([tiles_of(scene) for scene in scenes])
    seen = trained.tower(picture_tensor(assemble(tiles.numpy())))
    return {name: (head(seen), NAMES_OF_TILES[name][tiles]) for name, head in trained.heads.items()}, tiles


def parts(trained, settings):
    def loss(rng):
        found, _ = guesses(trained, [random_scene(rng) for _ in range(settings["batch"])])
        total = sum(F.cross_entropy(guess.flatten(0, 1), truth.flatten()) for guess, truth in found.values())
        return total, {"loss": total}

    return [loss]


def evaluate(trained, count=256, seed=2):
    """Share of shapes that are right in everything."""
    rng = random.Random(seed)
    found, tiles = guesses(trained, [random_scene(rng) for _ in range(count)])
    right = torch.stack([guess.argmax(-1) == truth for guess, truth in found.values()]).all(0)
    return {"shapes": right[tiles >= EMPTY_TILES].float().mean().item()}


def make(config, work):
    trained, settings = Trained(config), config["stage0_vision"]
    groups = [(list(trained.parameters()), 1.0)]
    return Stage("stage0_vision", config, trained, groups, parts(trained, settings), evaluate, "shapes", work)
