"""Stage 0, vision encoder: dense targets.

Started from nothing, the encoder would learn almost nothing through a language model that knows nothing either.
(The paper starts from a trained SigLIP.) So each patch first names what its cell holds, kind and colour or empty, which
cell that is, and the background:

    L = - sum_name mean log softmax(head_name(encoder(x)))_target

Some pictures are tinted (variety.py): their shapes have a kind, and no colour to name. The four small heads are dropped
afterwards.
"""

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import codes
import variety
from model import build, picture_tensor
from scenes import random_scene
from trainer import Stage, send
from world import BACKGROUNDS, CELLS, COLOURS, KINDS

IGNORE = -100

NAMES = {"kind": len(KINDS) + 1, "colour": len(COLOURS) + 1,  # the last class of these is "empty"
         "cell": len(CELLS), "background": len(BACKGROUNDS)}


def targets(scenes, tinted):
    """{name: [n, patches]} as arrays; a tinted shape has no colour to name."""
    rows = {name: [] for name in NAMES}
    for scene, tint in zip(scenes, tinted):
        shapes = {shape.cell: shape for shape in scene.shapes}
        rows["kind"].append([shapes[cell].kind if cell in shapes else len(KINDS) for cell in range(len(CELLS))])
        rows["colour"].append([(IGNORE if tint else shapes[cell].colour) if cell in shapes else len(COLOURS)
                               for cell in range(len(CELLS))])
        rows["cell"].append(list(range(len(CELLS))))
        rows["background"].append([scene.background] * len(CELLS))
    return {name: spread(np.array(cells)) for name, cells in rows.items()}


def spread(cells):
    """Cells [n, 9] to patches [n, side * side]: every patch gets the target of its cell."""
    board = cells.reshape(-1, codes.ROWS, cells.shape[1] // codes.ROWS)
    return board.repeat(codes.PARTS, 1).repeat(codes.PARTS, 2).reshape(len(cells), -1)


def data_of(rng, scenes, share):
    tinted = [rng.random() < share for _ in scenes]
    pictures = [variety.picture(rng, scene, tint) for scene, tint in zip(scenes, tinted)]
    return {"pictures": np.stack(pictures), **targets(scenes, tinted)}


def make(config, run):
    model, settings = build(config), config["stage0_vision"]
    tower = model.model.vision_model
    heads = nn.ModuleDict({name: nn.Linear(config["vision"]["hidden"], n) for name, n in NAMES.items()})
    model.to(run.device), heads.to(run.device)

    def logits(pictures):
        seen = tower(pixel_values=picture_tensor(pictures)).last_hidden_state
        return {name: head(seen) for name, head in heads.items()}

    def batch(rng):
        scenes = [random_scene(rng) for _ in range(settings["batch"])]
        return data_of(rng, scenes, config["variety"]["tinted"])

    def loss(data):
        guess = logits(data["pictures"])
        total = sum(F.cross_entropy(guess[name].flatten(0, 1), data[name].flatten(), ignore_index=IGNORE)
                    for name in NAMES)
        return total, {"loss": (total.detach(), 1)}

    def scores(held_out):
        rng = random.Random(2)
        data = send(data_of(rng, [random_scene(rng, held_out=held_out) for _ in range(256)], 0.0), model.device)
        guess = logits(data["pictures"])
        shape = data["kind"] < len(KINDS)
        right = {name: (guess[name].argmax(-1) == data[name])[shape] for name in NAMES}
        return {name: right[name].float().mean().item() for name in NAMES} | {
            "shapes": torch.stack(list(right.values())).all(0).float().mean().item()}

    def evaluate():
        return scores(False) | {f"held_out_{name}": value for name, value in scores(True).items()}

    return Stage("stage0_vision", config, model, [tower, heads], batch, loss, evaluate, "shapes", run, heads)
