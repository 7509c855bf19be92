"""Batches of drawing rows and question rows, and their losses.

Rows are padded on the right: attention is causal, so a pad after the end changes nothing before it.
"""

import torch
from torch.nn import functional as F

import codes
import text
from model import code_embeddings, hidden_states, image_features, picture_tensor
from questions import random_question
from scenes import random_drawing
from world import assemble, tiles_of

IGNORE = -100
GROUP = 24  # rows of one micro-batch; sorted by length first, so that little is padding


def padded(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def grouped(rows, length):
    rows = sorted(rows, key=length)
    return [rows[i:i + GROUP] for i in range(0, len(rows), GROUP)]


def drawing_batches(rng, encoder, count, unconditional):
    """(prompt ids, drawing) pairs; a share of the prompts is all pads."""
    rows = []
    for _ in range(count):
        drawing = random_drawing(rng)
        ids = encoder.drawing(drawing.prompt)
        rows.append((encoder.unconditional(ids) if rng.random() < unconditional else ids, drawing))
    return grouped(rows, lambda row: len(row[0]))


def image_loss(model, batch):
    """Image loss: - sum_t log p(code_t | prompt, code_<t), for every row; also its part on shapes."""
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
    shapes = tokens >= 2 if codes.PARTS == 1 else tokens != tokens.mode(1, keepdim=True).values
    return loss.sum(), tokens.numel(), loss[shapes].sum().item(), int(shapes.sum())


def question_batches(rng, encoder, count, shares):
    """(prompt ids, answer ids, question) triples; `shares` of the types, or None for those of the world."""
    rows = []
    for _ in range(count):
        kind = rng.choices(list(shares), list(shares.values()))[0] if shares else None
        question = random_question(rng, kind)
        rows.append((encoder.question(question.text), encoder.answer(question.answer), question))
    return grouped(rows, lambda row: len(row[0]) + len(row[1]))


def question_embeddings(model, rows, features):
    """Token embeddings, with the placeholders of each picture overwritten by what the encoder saw."""
    ids = padded(rows, text.PAD_ID)
    embeddings = model.get_input_embeddings()(ids)
    spot = (ids == text.PLACEHOLDER_ID)[..., None]
    return embeddings.masked_scatter(spot, features)


def answer_loss(model, batch):
    """Answer loss: - sum_t log p(answer_t | picture, question, answer_<t)."""
    rows = [ids + answer for ids, answer, _ in batch]
    labels = padded([[IGNORE] * len(ids) + answer for ids, answer, _ in batch], IGNORE)
    pixels = picture_tensor(assemble([tiles_of(question.scene) for *_, question in batch]))
    embeddings = question_embeddings(model, rows, image_features(model, pixels))
    hidden = hidden_states(model, embeddings)[:, :-1]
    wanted = labels[:, 1:] != IGNORE
    loss = F.cross_entropy(model.lm_head(hidden[wanted]), labels[:, 1:][wanted], reduction="sum")
    return loss, int(wanted.sum())


def losses(model, encoder, config, settings):
    """Loss of stages 1 to 3: image loss per image token + answer_weight * answer loss per answer token."""

    def micro_batches(rng):
        share = config["rows"]["unconditional"]
        total = settings["drawing_rows"] * encoder.image_tokens
        for batch in drawing_batches(rng, encoder, settings["drawing_rows"], share):
            loss, n, on_shapes, shapes = image_loss(model, batch)
            yield loss / total, {"image": (loss.detach(), n), "shapes": (on_shapes, shapes)}
        batches = question_batches(rng, encoder, settings["question_rows"], settings.get("questions"))
        total = sum(len(answer) for batch in batches for _, answer, _ in batch)
        for batch in batches:
            loss, n = answer_loss(model, batch)
            yield config["rows"]["answer_weight"] * loss / total, {"answer": (loss.detach(), n)}

    return micro_batches
