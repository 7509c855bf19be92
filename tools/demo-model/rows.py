"""The batches of stages 1 to 3 and their loss.

The paper minimises the cross-entropy of the next token,

    L = - sum_i log P(x_i | x_<i),

over image tokens for drawings and over answer tokens for questions, without weights between the tasks. Here both sums
are means, and a token of a shape counts `shape_weight` times, because three of four image tokens are background:

    L_image  = - sum_i w_i log P(code_i | prompt, seen_<i) / sum_i w_i       w_i = shape_weight on shapes, else 1
    L_answer = - mean_i log P(answer_i | picture, question, heard_<i)
    L        = L_image + answer_weight * L_answer

`seen` are the codes and `heard` the words before, both slightly changed (variety.py). Drawings and questions share one
pass through the language model: a row of the batch holds several of them, and none sees another (packing.py).
"""

import numpy as np
from torch.nn import functional as F

import codes
import variety
from model import code_embeddings, hidden_states, image_features, picture_tensor
from packing import Row, stack
from questions import random_questions
from scenes import random_drawing
from world import EMPTY_TILES, tiles_of

EMPTY_CODES = codes.CODES_OF_TILE[:EMPTY_TILES, 0]


def drawing_rows(rng, encoder, count, config):
    """Rows of several drawings each, and what the loss needs to know of every drawing."""
    per_row, tokens = config["rows"]["drawings"], encoder.image_tokens
    rows, drawings, places = [], [], []
    for i in range(count):
        if i % per_row == 0:
            rows.append(Row())
        drawing = random_drawing(rng)
        ids = encoder.drawing(drawing.prompt)
        named = rng.random() >= config["rows"]["unconditional"]
        start = rows[-1].add((ids if named else encoder.unconditional(ids)) + [0] * (tokens - 1))
        drawings.append((drawing, named))
        places.append((len(rows) - 1, start + len(ids) - 1))  # the position that predicts the first code
    truth = codes.tokens_of([tiles_of(drawing.scene) for drawing, _ in drawings])
    seen = variety.recoloured(rng, drawings, truth, config["variety"]["recoloured"])
    return rows, np.array(places), truth, seen


def question_rows(rng, encoder, count, config):
    """Rows of one picture with several questions each, and the pictures."""
    rows, pictures = [], []
    for _ in range(count):
        tinted = rng.random() < config["variety"]["tinted"]
        related = rng.random() < config["variety"]["related"]
        questions = random_questions(rng, config["rows"]["questions"], config["questions"], related, tinted)
        row = Row(encoder.picture())
        for question in questions:
            asked, answer = encoder.asked(question.text), encoder.answer(question.answer)
            heard = variety.hidden(rng, answer[:-1], config["variety"]["hidden"])
            row.add(asked + heard, [None] * (len(asked) - 1) + answer)
        rows.append(row)
        pictures.append(variety.picture(rng, questions[0].scene, tinted))
    return rows, np.stack(pictures)


def make_batch(rng, encoder, config, settings):
    """Everything of one step as arrays. Positions count through all rows, one row after the other."""
    tokens = encoder.image_tokens
    asked, pictures = question_rows(rng, encoder, settings["picture_rows"], config)
    drawn, places, truth, seen = drawing_rows(rng, encoder, settings["drawing_rows"], config)
    batch = stack(asked + drawn)
    width = batch["ids"].shape[1]
    predicts = ((places[:, 0] + len(asked)) * width + places[:, 1])[:, None] + np.arange(tokens)
    shapes = ~np.isin(truth, EMPTY_CODES)
    weights = np.where(shapes, config["rows"]["shape_weight"], 1.0)
    picture = np.arange(len(asked))[:, None] * width + encoder.placeholders() + np.arange(tokens)
    return batch | {
        "pictures": pictures, "picture_at": picture.flatten(),
        "codes": truth, "seen": seen[:, :-1], "seen_at": predicts[:, 1:].flatten(), "codes_at": predicts.flatten(),
        "weights": (weights / weights.sum()).astype(np.float32), "shapes": shapes.astype(np.float32)}


def inputs(model, batch):
    """What the language model reads, [rows, length, hidden]: words, what the encoder saw, codes."""
    words = model.get_input_embeddings()(batch["ids"])
    features = image_features(model, picture_tensor(batch["pictures"]))
    embeddings = words.flatten(0, 1).index_copy(0, batch["picture_at"], features.flatten(0, 1))
    seen = code_embeddings(model, batch["seen"])
    return embeddings.index_copy(0, batch["seen_at"], seen.flatten(0, 1)).view_as(words)


def loss(model, batch, answer_weight):
    """L of a batch on the model's device, and its parts to log."""
    hidden = hidden_states(model, inputs(model, batch), allowed(batch["parts"]), batch["positions"]).flatten(0, 1)

    codes = batch["codes"]
    logits = model.model.generation_head(hidden.index_select(0, batch["codes_at"]))
    image = F.cross_entropy(logits, codes.flatten(), reduction="none").view_as(codes)
    answer = F.cross_entropy(model.lm_head(hidden.index_select(0, batch["answers_at"])), batch["answers"])
    total = (batch["weights"] * image).sum() + answer_weight * answer
    image = image.detach()
    return total, {"image": (image.mean(), 1), "answer": (answer.detach(), 1),
                   "shapes": ((image * batch["shapes"]).sum() / batch["shapes"].sum(), 1)}


def allowed(parts):
    """Which positions (columns) a position (row) sees: what is before it in its own part and in part 0."""
    same = parts[:, :, None] == parts[:, None, :]
    return (same | (parts == 0)[:, None, :]).tril()
