"""Batches of drawings and questions, and the three losses of the paper.

    z_t  = t x_1 + (1 - t) z_0       x_1: the latent of a picture, z_0 ~ N(0, 1), t = sigmoid(n), n ~ N(0, 1)
    flow   = mean |v(z_t, t | prompt) - (x_1 - z_0)|^2
    answer = - mean_i log P(answer_i | picture, question, answer_<i)
    align  = 1 - mean cos(mlp(hidden states of a middle block), vision encoder(x_1's picture))
    loss   = flow + answer_weight * answer + align_weight * align

A tenth of the drawings has no prompt. A row holds one prompt with several pictures of it, each at a noise and a time
of its own; or one picture with several questions. Every one is computed as if it stood alone.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from language import BOI_ID
from latents import assembled
from packing import layout, mask
from questions import random_questions
from scenes import random_drawing, random_pair, related_cells
from world import BACKGROUNDS, CELLS, HELD_OUT, Scene, Shape, tiles_of

UNASKED = -100


def free_shape(rng, wanted, cell):
    """A shape as wanted; what is not named is free, but never a held-out pair."""
    if wanted.colour is not None:
        return Shape(cell, wanted.kind, wanted.colour)
    while True:
        _, colour = random_pair(rng)
        if (colour, wanted.kind) not in HELD_OUT:
            return Shape(cell, wanted.kind, colour)


def another_scene(rng, wanted):
    """A scene that fits a prompt, as free as the prompt leaves it."""
    if wanted.relation:
        cells = list(related_cells(rng, wanted.relation))
    else:
        named = [thing.cell for thing in wanted.objects]
        free = iter(rng.sample([cell for cell in range(len(CELLS)) if cell not in named], len(named)))
        cells = [next(free) if cell is None else cell for cell in named]
    shapes = [free_shape(rng, thing, cell) for thing, cell in zip(wanted.objects, cells)]
    background = rng.randrange(len(BACKGROUNDS)) if wanted.background is None else wanted.background
    return Scene(background, tuple(sorted(shapes)))


class Projector(nn.Sequential):
    """The three-layer perceptron of the alignment; it is not part of the model."""

    def __init__(self, width, seen):
        super().__init__(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                         nn.Linear(width, seen))


def padded(rows, length, value=0):
    return np.array([list(row) + [value] * (length - len(row)) for row in rows])


def prompt_rows(prompts, pictures, places, alone):
    """The arrays of rows with `pictures` latents of `places` positions behind each of the prompts (token ids)."""
    arrays = layout([len(ids) for ids in prompts], [[places] * pictures] * len(prompts), alone)
    ids = padded(prompts, arrays["part"].shape[1])
    return {"ids": ids, "begin": np.array([len(ids) for ids in prompts]), **arrays}


def drawing_data(rng, encoder, config):
    """A step's drawings: rows of prompts, and the tiles [pictures, 9] of their scenes."""
    settings, shares = config["stage2_flow"], config["drawings"]
    prompts, tiles, alone = [], [], []
    for category in rng.choices(list(shares), shares.values(), k=settings["prompts"]):
        drawing = random_drawing(rng, category)
        scenes = [another_scene(rng, drawing.wanted) for _ in range(settings["pictures_per_prompt"])]
        prompts.append(encoder.drawing(drawing.prompt))
        tiles += [tiles_of(scene) for scene in scenes]
        alone.append([rng.random() < settings["without_prompt"] for _ in scenes])
    places = 1 + len(CELLS)
    return {"tiles": np.array(tiles), **prompt_rows(prompts, settings["pictures_per_prompt"], places, alone)}


def velocities(model, rows, z, t, tap=None):
    """v(z, t | prompt) for latents [n * k, ...], k for each of n prompts; also the tapped features."""
    n = len(rows["ids"])
    places, skip, time = model.encoded(z, t)
    k, length = len(z) // n, places.shape[1]
    spots = rows["begin"][:, None] + torch.arange(k * length, device=z.device)
    x = model.words(rows["ids"])
    at = spots[..., None].expand(-1, -1, x.shape[-1])
    x = x.scatter(1, at, places.reshape(n, k * length, -1))
    hidden, tapped = model.language_model.model(x, rows["positions"], mask(rows["part"], rows["alone"]), tap)

    def of_places(states):
        return states.gather(1, at).view(n * k, length, -1)[:, 1:]

    return model.velocity(of_places(hidden), skip, time), tapped is not None and of_places(tapped)


def flow_losses(model, projector, rows, table, pictures, block):
    """The flow loss and the alignment loss of drawings with latents `table[tiles]` and pictures `pictures(tiles)`."""
    x1 = assembled(table[rows["tiles"]])
    z0, t = torch.randn_like(x1), torch.randn(len(x1), device=x1.device).sigmoid()
    part = t[:, None, None, None]
    v, features = velocities(model, rows, part * x1 + (1 - part) * z0, t, block)
    with torch.no_grad():
        seen = model.tower(pictures(rows["tiles"]))
    align = 1 - F.cosine_similarity(projector(features), seen, dim=-1).mean()
    return (v - (x1 - z0)).square().mean(), align


def question_rows(encoder, groups):
    """The arrays of rows of questions about one picture each, with their answers as labels where they are known."""
    start, ids, labels, lengths = encoder.picture(), [], [], []
    for questions in groups:
        row, label, length = list(start), [UNASKED] * len(start), []
        for asked, answer in questions:
            row += asked + answer
            label += [UNASKED] * len(asked) + answer
            length.append(len(asked) + len(answer))
        for whole, one in zip((ids, labels, lengths), (row, label, length)):
            whole.append(one)
    arrays = layout([len(start)] * len(groups), lengths)
    length = arrays["part"].shape[1]
    return {"ids": padded(ids, length), "labels": padded(labels, length, UNASKED), **arrays}


def answer_data(rng, encoder, config):
    """A step's pictures with their questions."""
    settings, shares = config["stage2_flow"], config["questions"]
    groups = [random_questions(rng, settings["questions"], shares, related=rng.random() < settings["related"])
              for _ in range(settings["pictures"])]
    rows = [[(encoder.asked(q.text), encoder.answer(q.answer)) for q in questions] for questions in groups]
    tiles = np.array([tiles_of(questions[0].scene) for questions in groups])
    return {"tiles": tiles, **question_rows(encoder, rows)}


def read(model, rows, pictures, at):
    """Hidden states of rows of questions. What is seen takes the place of the begin-of-image token, which is at `at`,
    and of the placeholders."""
    seen, x = model.seen(pictures(rows["tiles"])), model.words(rows["ids"])
    x = torch.cat([x[:, :at], seen, x[:, at + seen.shape[1]:]], dim=1)
    return model.language_model.model(x, rows["positions"], mask(rows["part"], rows["alone"]))[0]


def answer_loss(model, rows, pictures, at):
    """The answer loss of a batch of pictures, and the share of answer tokens that are right."""
    hidden = read(model, rows, pictures, at)
    logits, labels = model.language_model.lm_head(hidden[:, :-1]).flatten(0, 1), rows["labels"][:, 1:].flatten()
    wanted = labels != UNASKED
    right = ((logits.argmax(-1) == labels) & wanted).sum() / wanted.sum()
    return F.cross_entropy(logits, labels, ignore_index=UNASKED), right


def place_of_picture(encoder):
    """Where the begin-of-image token is in rows of questions."""
    return encoder.picture().index(BOI_ID)
