"""Stage 2: everything but the VAE, on drawings and questions together. The losses are in rows.py."""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn

import language
from janusflow import build
from latents import scaling_factor
from loop import Stage
from rows import Projector, answer_loss, flow_losses
from sampling import answer_scores, drawing_scores
from scenes import random_drawing
from world import CELLS, tiles_of


class Trained(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.janus = build(config)
        self.projector = Projector(config["language"]["width"], config["vision"]["width"])


def tokenizer_for(config, work):
    """Built once per work folder: weights do not survive a change of its ids."""
    path = Path(work) / "tokenizer.json"
    if not path.exists():
        language.build(config["language"]["vocabulary"]).save(str(path))
    return Tokenizer.from_file(str(path))


def scaled_latents(work):
    """The latents of all tiles as the flow sees them, and the scaling factor that did it."""
    table = torch.load(Path(work) / "latents.pt", weights_only=False)["table"]
    rng = random.Random(5)
    tiles = torch.tensor([tiles_of(random_drawing(rng).scene) for _ in range(1000)])
    factor = scaling_factor(table, tiles)
    return factor * table, factor


def parts(trained, encoder, table, settings):
    """The loss in equal parts, each with drawings or with questions."""
    model, count = trained.janus, settings["parts"]

    def drawing(rng):
        flow, align = flow_losses(model, trained.projector, rng, encoder, table, settings)
        return (flow + settings["align_weight"] * align) / count, {"flow": flow, "align": align}

    def answering(rng):
        answer, right = answer_loss(model, rng, encoder, settings)
        return settings["answer_weight"] * answer / count, {"answer": answer, "tokens_right": right}

    return [drawing, answering] * count


def make(config, work):
    trained, settings = Trained(config), config["stage2_flow"]
    before = torch.load(Path(work) / "stage0_vision.done.pt", weights_only=False)["model"]
    tower = {name.removeprefix("tower."): value for name, value in before.items() if name.startswith("tower.")}
    trained.janus.tower.load_state_dict(tower)
    encoder, (table, _) = language.Encoder(tokenizer_for(config, work), len(CELLS)), scaled_latents(work)

    def evaluate(average):
        model = average.janus
        return {**drawing_scores(model, encoder, table, **config["sampling"]), **answer_scores(model, encoder)}

    seeing = list(trained.janus.tower.parameters())
    known = set(map(id, seeing))
    others = [p for p in trained.parameters() if id(p) not in known]
    groups = [(others, 1.0), (seeing, settings["vision_share"])]
    loss = parts(trained, encoder, table, settings)
    return Stage("stage2_flow", config, trained, groups, loss, evaluate, "drawing", work)
