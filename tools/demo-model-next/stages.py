"""What stages 1 to 3 share: the model of the stage before, the loss of both tasks, the measurements."""

from pathlib import Path

from tokenizers import Tokenizer

import text
from codes import SIDE
from evaluate import answer_scores, drawing_scores
from model import build
from rows import losses
from trainer import Stage, load_weights


def tokenizer_for(config, work):
    """Built once per work folder: it depends on world.json, and weights do not survive a change of their ids."""
    path = Path(work) / "tokenizer.json"
    if not path.exists():
        text.build(config["language"]["vocabulary"]).save(str(path))
    return Tokenizer.from_file(str(path))


def make_stage(name, before, config, work, minutes, trained, score="drawing"):
    model, encoder = build(config), text.Encoder(tokenizer_for(config, work), SIDE * SIDE)
    done = Path(work) / f"{before}.done.pt"
    if not done.exists():
        raise SystemExit(f"{name} starts from {before}, which is not done ({done} is missing)")
    load_weights(model, done)

    def evaluate():
        return {**drawing_scores(model, encoder, **config["sampling"]), **answer_scores(model, encoder)}

    loss = losses(model, encoder, config, config[name])
    return Stage(name, config, model, trained(model), loss, evaluate, score, work, minutes=minutes)
