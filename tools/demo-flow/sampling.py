"""Drawing and answering with the model in training, to measure it. The program that runs the model is elsewhere."""

import random
from collections import defaultdict

import torch

from language import EOS_ID
from latents import nearest_tiles
from packing import layout
from questions import QUESTIONS, random_question
from rows import padded, velocities, with_pictures
from scenes import GENEVAL, random_drawing
from world import scene_of


@torch.no_grad()
def draw(model, encoder, prompts, shape, steps, guidance, seed=0):
    """Euler from noise to latents: v = w v(prompt) - (w - 1) v(no prompt); z = z + v / steps."""
    rows = [encoder.drawing(prompt) for prompt in prompts]
    z = torch.randn(len(rows), *shape, generator=torch.Generator().manual_seed(seed))
    alone = [[False]] * len(rows) + [[True]] * len(rows)
    for step in range(steps):
        t = torch.full((2 * len(rows),), step / steps)
        with_prompt, without = velocities(model, rows * 2, torch.cat([z, z]), t, alone)[0].chunk(2)
        z = z + (guidance * with_prompt - (guidance - 1) * without) / steps
    return z


@torch.no_grad()
def answer(model, encoder, questions, longest=24):
    """Greedy answers as text."""
    start = encoder.picture()
    rows = [start + encoder.asked(question.text) for question in questions]
    said, going = [[] for _ in rows], list(range(len(rows)))
    while going and max(map(len, said)) < longest:
        ids = [rows[i] + said[i] for i in going]
        x = with_pictures(model, padded(ids), [questions[i].scene for i in going])
        plan = layout([len(row) for row in ids], [[] for _ in ids])
        hidden, _ = model.language_model.model(x, plan.positions, plan.mask)
        last = hidden[torch.arange(len(ids)), torch.tensor([len(row) - 1 for row in ids])]
        chosen = model.language_model.lm_head(last).argmax(-1).tolist()
        for i, token in zip(list(going), chosen):
            if token == EOS_ID:
                going.remove(i)
            else:
                said[i].append(token)
    return [encoder.said(ids) for ids in said]


def drawing_scores(model, encoder, table, steps, guidance, each=12, seed=3):
    """Share of drawings right per category, and their mean. A cell shows the tile whose latent is nearest."""
    rng = random.Random(seed)
    drawings = [random_drawing(rng, category) for category in GENEVAL for _ in range(each)]
    side = table.shape[-1] * 3
    z = draw(model, encoder, [drawing.prompt for drawing in drawings], (table.shape[1], side, side), steps,
             guidance, seed)
    scores = defaultdict(float)
    for drawing, tiles in zip(drawings, nearest_tiles(z, table).tolist()):
        scores[drawing.category] += drawing.wanted.accepts(scene_of(tiles)) / each
    return {**scores, "drawing": sum(scores.values()) / len(GENEVAL)}


def answer_scores(model, encoder, each=12, seed=4):
    """Share of answers right per question type, and their mean."""
    rng = random.Random(seed)
    questions = [random_question(rng, kind) for kind in QUESTIONS for _ in range(each)]
    scores = defaultdict(float)
    for question, said in zip(questions, answer(model, encoder, questions)):
        scores["q_" + question.kind] += (said == question.answer) / each
    return {**scores, "answers": sum(scores.values()) / len(QUESTIONS)}
