"""Stage 0, vision encoder: dense targets.

Started from nothing, the encoder would learn almost nothing through a language model that knows nothing either.
(The paper starts from a trained SigLIP.) So each patch first names what its cell holds, kind and colour or empty, which
cell that is, and the background:

    L = - sum_name mean log softmax(head_name(encoder(x)))_target

The four small heads are dropped afterwards.
"""

import random

import torch
from torch import nn
from torch.nn import functional as F

import codes
from model import build, picture_tensor
from scenes import random_scene
from trainer import Stage
from world import BACKGROUNDS, CELLS, COLOURS, KINDS, assemble, tiles_of

NAMES = {"kind": len(KINDS) + 1, "colour": len(COLOURS) + 1,  # the last class of these is "empty"
         "cell": len(CELLS), "background": len(BACKGROUNDS)}


def targets(scenes):
    """{name: [n, patches]}."""
    rows = {name: [] for name in NAMES}
    for scene in scenes:
        shapes = {shape.cell: shape for shape in scene.shapes}
        rows["kind"].append([shapes[cell].kind if cell in shapes else len(KINDS) for cell in range(len(CELLS))])
        rows["colour"].append([shapes[cell].colour if cell in shapes else len(COLOURS) for cell in range(len(CELLS))])
        rows["cell"].append(list(range(len(CELLS))))
        rows["background"].append([scene.background] * len(CELLS))
    return {name: spread(torch.tensor(cells)) for name, cells in rows.items()}


def spread(cells):
    """Cells [n, 9] to patches [n, side * side]: every patch gets the target of its cell."""
    board = cells.view(-1, codes.ROWS, 1, cells.shape[1] // codes.ROWS, 1)
    return board.expand(-1, -1, codes.PARTS, -1, codes.PARTS).reshape(len(cells), -1)


def make(config, work, minutes=None):
    model, settings = build(config), config["stage0_vision"]
    tower = model.model.vision_model
    heads = nn.ModuleDict({name: nn.Linear(config["vision"]["hidden"], n) for name, n in NAMES.items()})

    def logits(scenes):
        pixels = picture_tensor(assemble([tiles_of(scene) for scene in scenes]))
        seen = tower(pixel_values=pixels).last_hidden_state
        return {name: head(seen) for name, head in heads.items()}

    def losses(rng):
        yield lambda: loss_of(rng)

    def loss_of(rng):
        scenes = [random_scene(rng) for _ in range(settings["batch"])]
        guess, truth = logits(scenes), targets(scenes)
        loss = sum(F.cross_entropy(guess[name].flatten(0, 1), truth[name].flatten()) for name in NAMES)
        return loss, {"loss": (loss.detach(), 1)}

    def evaluate():
        rng = random.Random(2)
        scenes = [random_scene(rng) for _ in range(256)]
        guess, truth = logits(scenes), targets(scenes)
        shape = truth["kind"] < len(KINDS)
        right = {name: guess[name].argmax(-1) == truth[name] for name in NAMES}
        numbers = {name: right[name][shape].float().mean().item() for name in NAMES}
        numbers["shapes"] = torch.stack(list(right.values())).all(0)[shape].float().mean().item()
        return numbers

    return Stage("stage0_vision", config, model, [tower, heads], losses, evaluate, "shapes", work, heads, minutes)
