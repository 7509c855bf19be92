"""Stage 2: everything but the VAE, on drawings and questions together. The losses are in rows.py."""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn

import language
from janusflow import build
from latents import Board, scaling_factor
from loop import Stage, load
from rows import Projector, answer_data, answer_loss, drawing_data, flow_losses, place_of_picture
from sampling import answer_scores, drawing_scores
from scenes import random_drawing
from world import CELLS, tiles_of


class Trained(nn.Module):
    def __init__(self, config, table):
        super().__init__()
        self.janus, self.board = build(config), Board()
        self.projector = Projector(config["language"]["width"], config["vision"]["width"])
        self.register_buffer("table", table, persistent=False)


def tokenizer_for(config, work):
    """Built once per work folder: weights do not survive a change of its ids."""
    path = Path(work) / "tokenizer.json"
    if not path.exists():
        language.build(config["language"]["vocabulary"]).save(str(path))
    return Tokenizer.from_file(str(path))


def scaled_latents(work):
    """The latents of all tiles as the flow sees them, and the scaling factor that did it."""
    table = load(Path(work) / "latents.pt")["table"]
    rng = random.Random(5)
    tiles = torch.tensor([tiles_of(random_drawing(rng).scene) for _ in range(1000)])
    factor = scaling_factor(table, tiles)
    return factor * table, factor


def named(data, prefix):
    return {f"{prefix}.{name}": value for name, value in data.items()}


def those(data, prefix):
    return {name.removeprefix(f"{prefix}."): value for name, value in data.items() if name.startswith(f"{prefix}.")}


def make(config, options):
    settings, (table, _) = config["stage2_flow"], scaled_latents(options.work)
    trained = Trained(config, table)
    before = load(Path(options.work) / "stage0_vision.done.pt")["model"]
    trained.janus.tower.load_state_dict(those(before, "tower"))
    encoder = language.Encoder(tokenizer_for(config, options.work), len(CELLS))
    place = place_of_picture(encoder)

    def data(rng):
        return {**named(drawing_data(rng, encoder, config), "drawing"),
                **named(answer_data(rng, encoder, config), "answer")}

    def loss(data):
        model, pictures = trained.janus, trained.board.pictures
        flow, align = flow_losses(
            model, trained.projector, those(data, "drawing"), trained.table, pictures, settings["align_block"])
        answer, right = answer_loss(model, those(data, "answer"), pictures, place)
        total = flow + settings["answer_weight"] * answer + settings["align_weight"] * align
        return total, {"flow": flow, "align": align, "answer": answer, "tokens_right": right}

    def evaluate(average):
        return {**drawing_scores(average.janus, encoder, average.table, **config["sampling"]),
                **answer_scores(average.janus, encoder, average.board)}

    seeing = list(trained.janus.tower.parameters())
    known = set(map(id, seeing))
    others = [p for p in trained.parameters() if id(p) not in known]
    groups = [(others, 1.0), (seeing, settings["vision_share"])]
    return Stage("stage2_flow", config, trained, groups, data, loss, evaluate, "drawing", options)
