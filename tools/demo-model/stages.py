"""What stages 1 to 3 share: the model of the stage before, the loss of both tasks, the measurements."""

from tokenizers import Tokenizer

import rows
import text
from codes import SIDE
from evaluate import answer_scores, drawing_scores
from model import build
from trainer import Stage, load_weights


def tokenizer_for(config, work):
    """Built once per work folder: it depends on world.json, and weights do not survive a change of their ids."""
    path = work / "tokenizer.json"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        text.build(config["language"]["vocabulary"]).save(str(path))
    return Tokenizer.from_file(str(path))


def make_stage(name, before, config, run, trained, score="drawing"):
    model, encoder = build(config), text.Encoder(tokenizer_for(config, run.work), SIDE * SIDE)
    done = run.work / f"{before}.done.pt"
    if not done.exists():
        raise SystemExit(f"{name} starts from {before}, which is not done ({done} is missing)")
    load_weights(model, done)
    model.to(run.device)

    def batch(rng):
        return rows.make_batch(rng, encoder, config, config[name])

    def loss(tensors):
        return rows.loss(model, tensors, config["rows"]["answer_weight"])

    def evaluate():
        return {**drawing_scores(model, encoder, **config["sampling"]), **answer_scores(model, encoder)}

    return Stage(name, config, model, trained(model), batch, loss, evaluate, score, run)
