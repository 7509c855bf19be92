"""Drawing and answering with the model in training, to measure it. The program that runs the model is elsewhere."""

import random
from collections import defaultdict

import torch

from language import EOS_ID
from latents import nearest_tiles
from questions import QUESTIONS, random_question
from rows import place_of_picture, prompt_rows, question_rows, read, velocities
from scenes import GENEVAL, random_drawing
from world import CELLS, scene_of, tiles_of


def tensors(arrays, device):
    return {name: torch.as_tensor(array).to(device) for name, array in arrays.items()}


@torch.no_grad()
def draw(model, encoder, prompts, shape, steps, guidance, seed=0):
    """Euler from noise to latents: v = w v(prompt) - (w - 1) v(no prompt); z = z + v / steps."""
    ids = [encoder.drawing(prompt) for prompt in prompts]
    device = model.beg_of_und_embed.device
    z = torch.randn(len(ids), *shape, generator=torch.Generator().manual_seed(seed)).to(device)
    alone = [[False]] * len(ids) + [[True]] * len(ids)
    rows = tensors(prompt_rows(ids * 2, 1, 1 + len(CELLS), alone), device)
    for step in range(steps):
        t = torch.full((2 * len(ids),), step / steps, device=device)
        with_prompt, without = velocities(model, rows, torch.cat([z, z]), t)[0].chunk(2)
        z = z + (guidance * with_prompt - (guidance - 1) * without) / steps
    return z


@torch.no_grad()
def answer(model, encoder, board, questions, longest=24):
    """Greedy answers as text."""
    place, start = place_of_picture(encoder), len(encoder.picture())
    asked = [encoder.asked(question.text) for question in questions]
    said, going = [[] for _ in asked], list(range(len(asked)))
    while going and max(map(len, said)) < longest:
        rows = question_rows(encoder, [[(asked[i], said[i])] for i in going])
        tiles = [tiles_of(questions[i].scene) for i in going]
        hidden = read(model, tensors({"tiles": tiles, **rows}, board.tiles.device), board.pictures, place)
        ends = torch.tensor([start + len(asked[i]) + len(said[i]) - 1 for i in going], device=hidden.device)
        last = hidden[torch.arange(len(going), device=hidden.device), ends]
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


def answer_scores(model, encoder, board, each=12, seed=4):
    """Share of answers right per question type, and their mean."""
    rng = random.Random(seed)
    questions = [random_question(rng, kind) for kind in QUESTIONS for _ in range(each)]
    scores = defaultdict(float)
    for question, said in zip(questions, answer(model, encoder, board, questions)):
        scores["q_" + question.kind] += (said == question.answer) / each
    return {**scores, "answers": sum(scores.values()) / len(QUESTIONS)}
