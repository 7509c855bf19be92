"""Stage 0, image tokenizer.

The codes are fixed beforehand: a tile's code is its number (WORLD.md). So tokens are final before any training,
and the other stages need not wait. What is learned: the codebook and the decoder that turn codes into pictures,
and the encoder that finds the code of each tile. (At patch 8, a code is a quarter of a tile, see `codes.py`.)
"""

import random

import numpy as np
import torch
from torch.nn import functional as F

import codes
from model import build, picture_bytes, picture_tensor, quantise
from scenes import random_scene
from trainer import Stage
from world import CELL, EMPTY_TILES, TILE_PICTURES, TILES, assemble, read_tiles, tiles_of

PER_BACKGROUND = (TILES - EMPTY_TILES) // EMPTY_TILES


def boards(rng, count, fill):
    """Tile numbers [n, 9]: half scenes of any pair, half boards with many cells filled."""
    tiles = np.zeros((count, 9), np.int64)
    for i in range(count):
        scene = random_scene(rng, held_out=rng.random() < 0.2)
        tiles[i] = tiles_of(scene)
        if i % 2:
            first = EMPTY_TILES + scene.background * PER_BACKGROUND
            tiles[i] = [first + rng.randrange(PER_BACKGROUND) if rng.random() < fill else scene.background
                        for _ in range(9)]
    return tiles


def decode(model, tokens):
    return model.model.vqmodel.decode(tokens)


def edges(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


KNOWN = picture_tensor(TILE_PICTURES).flatten(1)


def tile_distances(y):
    """Squared distance of every cell to every tile, [n * 9, tiles]: what a picture is read back by.

    Without it the last mistakes would stay: the hole of a small ring is only four pixels.
    """
    cells = y.unfold(2, CELL, CELL).unfold(3, CELL, CELL).permute(0, 2, 3, 1, 4, 5).reshape(-1, KNOWN.shape[1])
    return cells.square().sum(1, keepdim=True) - 2 * cells @ KNOWN.T + KNOWN.square().sum(1)


def make(config, work):
    model, settings = build(config), config["stage0_tokenizer"]
    vq = model.model.vqmodel
    vq.to(memory_format=torch.channels_last)

    def losses(rng):
        tiles = boards(rng, settings["batch"], settings["fill"])
        x = picture_tensor(assemble(tiles)).contiguous(memory_format=torch.channels_last)
        tokens = codes.tokens_of(tiles)
        y = decode(model, tokens)
        ground = picture_tensor(assemble(background(tiles).repeat(9, 1)))
        w = 1 + (settings["foreground"] - 1) * ((x - ground).abs().amax(1, keepdim=True) > 0.02)
        pixels = (w * ((y - x).abs() + (y - x).square())).mean()
        edge = sum((a - b).abs().mean() for a, b in zip(edges(y), edges(x)))
        cosine = quantise(model, x + 0.03 * torch.randn_like(x))
        code = F.cross_entropy(settings["cosine_scale"] * cosine.flatten(0, 1), tokens.flatten())
        read = F.cross_entropy(-tile_distances(y) / settings["reading"], torch.from_numpy(tiles).flatten())
        loss = pixels + settings["edges"] * edge + 0.2 * code + 0.1 * read
        psnr = -10 * torch.log10((y.detach() - x).div(2).square().mean())
        yield loss, {"pixels": (pixels.detach(), 1), "psnr": (psnr, 1), "code": (code.detach(), 1), "read": (read.detach(), 1)}

    return Stage("stage0_tokenizer", config, model, [vq], losses, lambda: evaluate(model), "round_trip", work)


def background(tiles):
    """The empty tile of every board, [n, 1]."""
    tile = tiles.max(1, keepdims=True)
    return np.where(tile < EMPTY_TILES, tile, (tile - EMPTY_TILES) // PER_BACKGROUND)


def evaluate(model, count=128, seed=1):
    """Encode, decode and read back; also each half by itself. Scenes hold held-out pairs too."""
    rng = random.Random(seed)
    tiles = np.array([tiles_of(random_scene(rng, held_out=i % 4 == 0)) for i in range(count)])
    x, tokens = picture_tensor(assemble(tiles)), codes.tokens_of(tiles)
    with torch.no_grad():
        found = quantise(model, x).argmax(-1)
        right = read_tiles(picture_bytes(decode(model, tokens)))
        round_trip = read_tiles(picture_bytes(decode(model, found)))
    return {"encoder_tokens": (found == tokens).float().mean().item(),
            "decoder_pictures": (right == tiles).all(1).mean(),
            "round_trip": (round_trip == tiles).all(1).mean()}
