"""Checks of the training itself: `python check.py` (two minutes). Ends with an error at the first that fails.

* A drawing or question in a row with others gets the numbers of a row of its own.
* A stage that is stopped and resumed ends with the weights of one that is not.
* No picture or prompt of the training shows a held-out pair.
"""

import importlib
import random
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch

import codes
import rows
import settings
import text
from model import build, hidden_states
from questions import random_questions
from scenes import random_drawing
from stages import tokenizer_for
from train import STAGES
from trainer import save, send
from world import COLOURS, HELD_OUT, KINDS, WORLD

STEPS = 4


@torch.no_grad()
def check_packing(model, encoder, config):
    batch = send(rows.make_batch(random.Random(0), encoder, config, config["stage3"]), torch.device("cpu"))
    embeddings, parts = rows.inputs(model, batch), batch["parts"]
    together = hidden_states(model, embeddings, rows.allowed(parts), batch["positions"])
    for row in range(len(parts)):
        for part in range(1, int(parts[row].max()) + 1):
            place = (parts[row] == 0) | (parts[row] == part)
            alone = hidden_states(model, embeddings[row:row + 1, place])[0]
            torch.testing.assert_close(together[row, place], alone, atol=1e-4, rtol=1e-4)


def check_held_out(config):
    """No scene, and no text: the words of a held-out pair never follow each other."""
    rng = random.Random(1)
    drawings = [random_drawing(rng) for _ in range(2000)]
    questions = [question for _ in range(2000) for question in random_questions(rng, 4, config["questions"])]
    scenes = [asked.scene for asked in drawings + questions]
    assert not any((shape.colour, shape.kind) in HELD_OUT for scene in scenes for shape in scene.shapes)
    texts = [drawing.prompt for drawing in drawings] + [f"{q.text} {q.answer}" for q in questions]
    pairs = [f"{COLOURS[colour]} {form}" for colour, kind in HELD_OUT
             for form in (KINDS[kind], WORLD["plurals"][KINDS[kind]])]
    assert not any(pair in text for text in texts for pair in pairs)


def make(name, config, run):
    """A stage of a few steps that measures nothing at its end."""
    stage = importlib.import_module(name).make(config, run)
    stage.evaluate = lambda: {stage.score: 1.0}
    return stage


def check_resume(name, config, run):
    """Straight to the end, and stopped in the middle: the same weights, whoever makes the data."""
    for path in run.work.glob(f"{name}.*"):
        path.unlink()
    straight = make(name, config, run)
    straight.run()
    for path in (straight.path, straight.done_path):
        path.unlink()
    stopped = make(name, config, run)
    stopped.model.train()
    data = stopped.loader()
    for _ in range(STEPS // 2):
        stopped.one_step(data, defaultdict(lambda: [0.0, 0.0]))
    save(stopped.path, stopped.state())
    resumed = make(name, config, run)
    resumed.options.workers = 2
    resumed.run()
    resumed.options.workers = 0
    for key, value in straight.kept().items():
        torch.testing.assert_close(resumed.kept()[key], value, atol=1e-6, rtol=1e-4, msg=f"{name}: {key}")


def main():
    config = settings.load(device="cpu")
    for name in STAGES:
        config[name]["steps"] = STEPS
    with tempfile.TemporaryDirectory() as work:
        run = SimpleNamespace(work=Path(work), minutes=None, workers=0, device="cpu", go_on=False)
        encoder = text.Encoder(tokenizer_for(config, run.work), codes.SIDE**2)
        check_packing(build(config).eval(), encoder, config)
        check_held_out(config)
        for name in STAGES:
            check_resume(name, config, run)
    print("check: all right")


if __name__ == "__main__":
    main()
