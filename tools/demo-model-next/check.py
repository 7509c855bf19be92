"""Checks of the training itself: `python check.py` (two minutes). Ends with an error at the first that fails.

* A question in a row with others gets the numbers of a row of its own.
* A stage that is stopped and resumed ends with the weights of one that is not.
* No picture or prompt of the training shows a held-out pair.
"""

import importlib
import random
import tempfile
from collections import defaultdict
from pathlib import Path

import torch

import codes
import rows
import settings
import text
from model import build, hidden_states, image_features, picture_tensor
from questions import random_questions
from scenes import random_drawing
from stages import tokenizer_for
from world import HELD_OUT, assemble, tiles_of

STEPS = 4
STAGES = ["stage0_tokenizer", "stage0_vision", "stage1", "stage2", "stage3"]


@torch.no_grad()
def check_packing(model, encoder, config):
    batch = rows.question_batches(random.Random(0), encoder, 3, config["rows"]["questions"], 3)[0]
    ids, _, allowed, positions = rows.packed(encoder, batch)
    pixels = picture_tensor(assemble([tiles_of(questions[0][2].scene) for questions in batch]))
    features = image_features(model, pixels)
    together = hidden_states(model, rows.question_embeddings(model, ids, features), allowed, positions)
    for i, questions in enumerate(batch):
        at = len(encoder.picture())
        for asked, answer, question in questions:
            row = encoder.question(question.text) + answer
            alone = hidden_states(model, rows.question_embeddings(model, [row], features[i:i + 1]))[0]
            length = len(asked) + len(answer)
            torch.testing.assert_close(together[i, at:at + length], alone[-length:], atol=1e-4, rtol=1e-4)
            at += length


def check_held_out():
    rng = random.Random(1)
    scenes = [random_drawing(rng).scene for _ in range(2000)]
    scenes += [random_questions(rng, 1)[0].scene for _ in range(2000)]
    assert not any((shape.colour, shape.kind) in HELD_OUT for scene in scenes for shape in scene.shapes)


def make(name, config, work):
    """A stage of a few steps that measures nothing at its end."""
    stage = importlib.import_module(name).make(config, work)
    stage.evaluate = lambda: {stage.score: 1.0}
    return stage


def check_resume(name, config, work):
    """Straight to the end, and stopped in the middle: the same weights."""
    for path in Path(work).glob(f"{name}.*"):
        path.unlink()
    straight = make(name, config, work)
    straight.run()
    for path in (straight.path, straight.done_path):
        path.unlink()
    stopped = make(name, config, work)
    for _ in range(STEPS // 2):
        stopped.one_step(defaultdict(lambda: [0.0, 0.0]))
    stopped.save()
    resumed = make(name, config, work)
    resumed.run()
    for key, value in straight.kept().items():
        torch.testing.assert_close(resumed.kept()[key], value, atol=1e-6, rtol=1e-4, msg=f"{name}: {key}")


def main():
    config = settings.load()
    for name in STAGES:
        config[name]["steps"] = STEPS
    with tempfile.TemporaryDirectory() as work:
        encoder = text.Encoder(tokenizer_for(config, work), codes.SIDE**2)
        check_packing(build(config), encoder, config)
        check_held_out()
        for name in STAGES:
            check_resume(name, config, work)
    print("check: all right")


if __name__ == "__main__":
    main()
