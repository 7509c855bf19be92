"""Stage 0, image tokenizer.

The codes are fixed beforehand: every different 8 x 8 patch of the world has one (codes.py). So tokens are final before
any training, and the other stages need not wait. What is learned: the codebook and the decoder D that turn codes c
into pictures, and the encoder E that finds the code of each patch. For a picture x, y = D(c):

    L_pixels = mean w (|y - x| + (y - x)^2)                      w = foreground on shapes, else 1
    L_edges  = mean |dy - dx|                                    d = difference of neighbouring pixels
    L_code   = - mean log softmax(cosine_scale cos(E(x + noise), book))_c
    L_read   = - mean log softmax(- |y_patch - patches|^2 / reading)_c
    L        = L_pixels + edges L_edges + code L_code + read L_read

The paper's tokenizer (VQGAN) learns its codes with a commitment loss, and adds a perceptual and an adversarial loss;
with all patches known, naming them takes the place of these.
"""

import random

import numpy as np
import torch
from torch.nn import functional as F

import codes
from model import build, picture_bytes, picture_tensor, quantise
from scenes import random_scene
from trainer import Stage
from world import EMPTY_TILES, TILES, assemble, read_tiles, tiles_of

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


def known(device):
    """Every patch of the world as the model sees it, [codes, 3 * 8 * 8]."""
    return picture_tensor(codes.PATCH_PICTURES).flatten(1).to(device)


def patch_distances(y, patches):
    """Squared distance of every patch of pictures to every known one, [n * patches, codes]."""
    size = codes.PATCH
    cut = y.unfold(2, size, size).unfold(3, size, size).permute(0, 2, 3, 1, 4, 5).reshape(-1, patches.shape[1])
    return cut.square().sum(1, keepdim=True) - 2 * cut @ patches.T + patches.square().sum(1)


def make(config, run):
    model, settings = build(config).to(run.device), config["stage0_tokenizer"]
    vq, patches = model.model.vqmodel, known(run.device)
    vq.to(memory_format=torch.channels_last)

    def batch(rng):
        tiles = boards(rng, settings["batch"], settings["fill"])
        return {"pictures": assemble(tiles), "grounds": assemble(background(tiles).repeat(9, 1)),
                "tokens": codes.tokens_of(tiles)}

    def loss(data):
        x = picture_tensor(data["pictures"]).contiguous(memory_format=torch.channels_last)
        tokens = data["tokens"]
        y = decode(model, tokens)
        shapes = (x - picture_tensor(data["grounds"])).abs().amax(1, keepdim=True) > 0.02
        w = 1 + (settings["foreground"] - 1) * shapes
        pixels = (w * ((y - x).abs() + (y - x).square())).mean()
        edge = sum((a - b).abs().mean() for a, b in zip(edges(y), edges(x)))
        cosine = quantise(model, x + settings["noise"] * torch.randn_like(x))
        code = F.cross_entropy(settings["cosine_scale"] * cosine.flatten(0, 1), tokens.flatten())
        read = F.cross_entropy(-patch_distances(y, patches) / settings["reading"], tokens.flatten())
        total = pixels + settings["edges"] * edge + settings["code"] * code + settings["read"] * read
        psnr = -10 * torch.log10((y.detach() - x).div(2).square().mean())
        numbers = {"pixels": pixels.detach(), "psnr": psnr, "code": code.detach(), "read": read.detach()}
        return total, {name: (value, 1) for name, value in numbers.items()}

    return Stage("stage0_tokenizer", config, model, [vq], batch, loss, lambda: evaluate(model), "round_trip", run)


def background(tiles):
    """The empty tile of every board, [n, 1]."""
    tile = tiles.max(1, keepdims=True)
    return np.where(tile < EMPTY_TILES, tile, (tile - EMPTY_TILES) // PER_BACKGROUND)


def evaluate(model, count=128, seed=1):
    """Encode, decode and read back; also each half by itself. Scenes hold held-out pairs too."""
    rng = random.Random(seed)
    tiles = np.array([tiles_of(random_scene(rng, held_out=i % 4 == 0)) for i in range(count)])
    x = picture_tensor(assemble(tiles)).to(model.device)
    tokens = torch.from_numpy(codes.tokens_of(tiles)).to(model.device)
    with torch.no_grad():
        found = quantise(model, x).argmax(-1)
        right = read_tiles(picture_bytes(decode(model, tokens)))
        round_trip = read_tiles(picture_bytes(decode(model, found)))
    return {"encoder_tokens": (found == tokens).float().mean().item(),
            "decoder_pictures": (right == tiles).all(1).mean(),
            "round_trip": (round_trip == tiles).all(1).mean()}
