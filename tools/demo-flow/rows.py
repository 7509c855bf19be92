"""Batches of drawings and questions, and the three losses of the paper.

    z_t  = t x_1 + (1 - t) z_0       x_1: the latent of a picture, z_0 ~ N(0, 1), t = sigmoid(n), n ~ N(0, 1)
    flow   = mean |v(z_t, t | prompt) - (x_1 - z_0)|^2
    answer = - mean_i log P(answer_i | picture, question, answer_<i)
    align  = 1 - mean cos(mlp(hidden states of a middle block), vision encoder(x_1's picture))
    loss   = flow + answer_weight * answer + align_weight * align

A tenth of the drawings has no prompt. A row holds one prompt with several pictures of it, each at a noise and a time
of its own; or one picture with several questions. Every one is computed as if it stood alone.
"""

import torch
from torch import nn
from torch.nn import functional as F

from latents import assembled, picture_tensor
from packing import layout
from questions import random_questions
from scenes import random_drawing, random_pair, related_cells
from text import BOI_ID
from world import BACKGROUNDS, CELLS, HELD_OUT, Scene, Shape, assemble, tiles_of


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


def drawings(rng, encoder, settings):
    """Rows of (prompt ids, scenes, whether each continuation goes without the prompt), of similar length."""
    rows = []
    for _ in range(settings["prompts"]):
        drawing = random_drawing(rng)
        scenes = [another_scene(rng, drawing.wanted) for _ in range(settings["pictures_per_prompt"])]
        alone = [rng.random() < settings["without_prompt"] for _ in scenes]
        rows.append((encoder.drawing(drawing.prompt), scenes, alone))
    return rows


def padded(rows, value=0):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def spots(beginnings, count, length):
    """Indices [n, count * length] of continuations of equal length behind beginnings of any."""
    return torch.tensor(beginnings)[:, None] + torch.arange(count * length)


def velocities(model, prompts, z, t, alone, tap=None):
    """v(z, t | prompt) for latents [n * k, ...], k for each of n prompts; also the tapped features."""
    n, k = len(prompts), len(z) // len(prompts)
    places, skip, time = model.encoded(z, t)
    length = places.shape[1]
    beginnings = [len(prompt) for prompt in prompts]
    plan = layout(beginnings, [[length] * k] * n, alone)
    x = model.words(padded([prompt + [0] * (k * length) for prompt in prompts]))
    at = spots(beginnings, k, length)[..., None].expand(-1, -1, x.shape[-1])
    x = x.scatter(1, at, places.reshape(n, k * length, -1))
    hidden, tapped = model.language_model.model(x, plan.positions, plan.mask, tap)

    def of_places(states):
        return states.gather(1, at).view(n * k, length, -1)[:, 1:]

    return model.velocity(of_places(hidden), skip, time), tapped is not None and of_places(tapped)


def flow_losses(model, projector, rng, encoder, table, settings):
    """The flow loss and the alignment loss of a batch of drawings."""
    rows = drawings(rng, encoder, settings)
    tiles = [tiles_of(scene) for _, scenes, _ in rows for scene in scenes]
    x1 = assembled(table[torch.tensor(tiles)])
    z0, t = torch.randn_like(x1), torch.randn(len(x1)).sigmoid()
    part = t[:, None, None, None]
    v, features = velocities(model, [ids for ids, *_ in rows], part * x1 + (1 - part) * z0, t,
                             [alone for *_, alone in rows], settings["align_block"])
    with torch.no_grad():
        seen = model.tower(picture_tensor(assemble(tiles)))
    align = 1 - F.cosine_similarity(projector(features), seen, dim=-1).mean()
    return (v - (x1 - z0)).square().mean(), align


def answer_rows(rng, encoder, settings):
    """Rows of questions about one picture each."""
    return [random_questions(rng, settings["questions"]) for _ in range(settings["pictures"])]


def with_pictures(model, ids, scenes):
    """Embeddings of rows; what is seen takes the place of the begin-of-image token and of the placeholders."""
    seen = model.seen(picture_tensor(assemble([tiles_of(scene) for scene in scenes])))
    at = ids[0].tolist().index(BOI_ID)
    x = model.words(ids)
    return torch.cat([x[:, :at], seen, x[:, at + seen.shape[1]:]], dim=1)


def answer_loss(model, rng, encoder, settings):
    """The answer loss of a batch of pictures, and the share of answer tokens that are right."""
    rows = answer_rows(rng, encoder, settings)
    start, ids, labels, lengths = encoder.picture(), [], [], []
    for questions in rows:
        row, label, length = list(start), [-100] * len(start), []
        for question in questions:
            asked, answer = encoder.asked(question.text), encoder.answer(question.answer)
            row += asked + answer
            label += [-100] * len(asked) + answer
            length.append(len(asked) + len(answer))
        for whole, one in zip((ids, labels, lengths), (row, label, length)):
            whole.append(one)
    plan = layout([len(start)] * len(rows), lengths)
    x = with_pictures(model, padded(ids), [questions[0].scene for questions in rows])
    hidden, _ = model.language_model.model(x, plan.positions, plan.mask)
    labels = padded(labels, -100)[:, 1:]
    wanted = labels != -100
    logits, truth = model.language_model.lm_head(hidden[:, :-1][wanted]), labels[wanted]
    return F.cross_entropy(logits, truth), (logits.argmax(-1) == truth).float().mean()
