"""Batches of drawing rows and question rows, and the losses of stages 1 to 3.

The paper minimises the cross-entropy of the next token,

    L = - sum_i log P(x_i | x_<i),

over image tokens for drawings and over answer tokens for questions, without weights between the tasks. Here both sums
are means, and a token of a shape counts `shape_weight` times, because three of four image tokens are background:

    L_image  = - sum_i w_i log P(code_i | prompt, code_<i) / sum_i w_i        w_i = shape_weight on shapes, else 1
    L_answer = - mean_i log P(answer_i | picture, question, answer_<i)
    L        = L_image + answer_weight * L_answer
"""

from functools import partial

import torch
from torch.nn import functional as F

import codes
import text
from model import code_embeddings, hidden_states, image_features, picture_tensor
from questions import random_questions
from scenes import random_drawing
from world import EMPTY_TILES, assemble, tiles_of

IGNORE = -100
EMPTY_CODES = torch.tensor(codes.CODES_OF_TILE[:EMPTY_TILES, 0])


def padded(rows, value):
    """Rows of any length as one tensor, padded on the right: causal attention never looks there."""
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def grouped(rows, length, most):
    """Micro-batches of so many rows at most, sorted by length, so that little is padding."""
    rows = sorted(rows, key=length)
    return [rows[i:i + most] for i in range(0, len(rows), most)]


def drawing_batches(rng, encoder, count, unconditional, most):
    """(prompt ids, drawing) pairs; a share of the prompts is all pads."""
    rows = []
    for _ in range(count):
        drawing = random_drawing(rng)
        ids = encoder.drawing(drawing.prompt)
        rows.append((encoder.unconditional(ids) if rng.random() < unconditional else ids, drawing))
    return grouped(rows, lambda row: len(row[0]), most)


def image_losses(model, batch):
    """-log P(code | prompt, codes before) for every row, [n, tokens], and which tokens are of shapes."""
    tokens = codes.tokens_of([tiles_of(drawing.scene) for _, drawing in batch])
    lengths = torch.tensor([len(ids) for ids, _ in batch])
    count = tokens.shape[1]
    words = model.get_input_embeddings()(padded([ids + [text.PAD_ID] * (count - 1) for ids, _ in batch], text.PAD_ID))
    # Codes 0 .. N-2 follow the prompt of each row; the hidden state before a code predicts it.
    place = lengths[:, None] + torch.arange(count)
    at = place[:, :-1, None].expand(-1, -1, words.shape[-1])
    embeddings = words.scatter(1, at, code_embeddings(model, tokens[:, :-1]))
    hidden = hidden_states(model, embeddings)
    before = (place - 1)[..., None].expand(-1, -1, hidden.shape[-1])
    logits = model.model.generation_head(hidden.gather(1, before))
    loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)
    return loss, ~torch.isin(tokens, EMPTY_CODES.to(tokens.device))


def question_batches(rng, encoder, count, questions, most):
    """Rows of one picture with several questions each: lists of (ids asked, answer ids, question)."""
    rows = []
    for _ in range(count):
        rows.append([(encoder.asked(question.text), encoder.answer(question.answer), question)
                     for question in random_questions(rng, questions)])
    return grouped(rows, lambda row: sum(len(asked) + len(answer) for asked, answer, _ in row), most)


def question_embeddings(model, rows, features):
    """Token embeddings, with the placeholders of each picture overwritten by what the encoder saw."""
    ids = padded(rows, text.PAD_ID)
    embeddings = model.get_input_embeddings()(ids)
    spot = (ids == text.PLACEHOLDER_ID)[..., None]
    return embeddings.masked_scatter(spot, features)


def packed(encoder, batch):
    """One row per picture: its beginning once, then every question with its answer, as if the others were not there.

    Gives the ids, the labels, which positions each position sees, and its distance from the start. A question sees the
    picture and itself, and counts on from the picture, so that every number is the one of a row with it alone.
    """
    start = encoder.picture()
    rows, labels, parts, positions = [], [], [], []
    for questions in batch:
        row, label, part, position = list(start), [IGNORE] * len(start), [0] * len(start), list(range(len(start)))
        for number, (asked, answer, _) in enumerate(questions, 1):
            length = len(asked) + len(answer)
            row += asked + answer
            label += [IGNORE] * len(asked) + answer
            part += [number] * length
            position += range(len(start), len(start) + length)
        for whole, one in zip((rows, labels, parts, positions), (row, label, part, position)):
            whole.append(one)
    part = padded(parts, -1)
    same = part[:, :, None] == part[:, None, :]
    before = torch.ones(part.shape[1], part.shape[1], dtype=torch.bool).tril()
    return rows, padded(labels, IGNORE), (same | (part == 0)[:, None, :]) & before, padded(positions, 0)


def answer_loss(model, encoder, batch):
    """- sum_i log P(answer_i | picture, question, answer_<i), and the number of answer tokens."""
    rows, labels, allowed, positions = packed(encoder, batch)
    pixels = picture_tensor(assemble([tiles_of(questions[0][2].scene) for questions in batch]))
    embeddings = question_embeddings(model, rows, image_features(model, pixels))
    hidden = hidden_states(model, embeddings, allowed, positions)[:, :-1]
    wanted = labels[:, 1:] != IGNORE
    loss = F.cross_entropy(model.lm_head(hidden[wanted]), labels[:, 1:][wanted], reduction="sum")
    return loss, int(wanted.sum())


def losses(model, encoder, config, settings):
    """The loss of a step in micro-batches, whose gradients add up to that of L."""
    numbers = config["rows"]

    def micro_batches(rng):
        for batch in drawing_batches(rng, encoder, settings["drawing_rows"], numbers["unconditional"],
                                     numbers["drawing_group"]):
            yield partial(drawing, batch)
        for batch in question_batches(rng, encoder, settings["picture_rows"], numbers["questions"],
                                      numbers["picture_group"]):
            yield partial(answering, batch)

    def drawing(batch):
        loss, shapes = image_losses(model, batch)
        weights = torch.where(shapes, numbers["shape_weight"], 1.0)
        share = len(batch) / settings["drawing_rows"]
        return share * (weights * loss).sum() / weights.sum(), {
            "image": (loss.detach().sum(), loss.numel()),
            "shapes": (loss.detach()[shapes].sum(), int(shapes.sum()))}

    def answering(batch):
        loss, n = answer_loss(model, encoder, batch)
        share = len(batch) / settings["picture_rows"]
        return numbers["answer_weight"] * share * loss / n, {"answer": (loss.detach(), n)}

    return micro_batches
