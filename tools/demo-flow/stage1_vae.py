"""Stage 1: the VAE. Its loss for a picture x and its latent's distribution q(z|x) = N(mean, deviation^2):

    z    = mean + deviation * e,  e ~ N(0, 1)
    y    = decoder(z)
    loss = |y - x| + (y - x)^2, shapes weighted  + edges  + reading  + naming  + kl_weight * KL(q(z|x) || N(0, 1))

`reading` is the cross-entropy of the tile that every cell would be read as: without it the last mistakes would stay.
`naming` is the cross-entropy of linear readings of background, colour and kind off z: it keeps cells that mean
something different apart in the latent, however few pixels they differ in, which is what a flow needs.

Encoder and latents are final after `encoder_steps`, so that stage 2 may begin beside the rest; then only the decoder
learns. The encoder is used in training only; the decoder is what the model ships.
"""

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from latents import NAMES_OF_TILES, TILES_SEEN, assembled, latent_table, picture_bytes, picture_tensor
from loop import Stage, save
from scenes import random_scene
from vae import build_vae
from world import CELL, EMPTY_TILES, TILES, assemble, read_tiles, tiles_of

PER_BACKGROUND = (TILES - EMPTY_TILES) // EMPTY_TILES
KNOWN = TILES_SEEN.flatten(1)


class Trained(nn.Module):
    """The VAE, and the readings off its latents, which are not kept."""

    def __init__(self, config):
        super().__init__()
        self.vae = build_vae(config)
        numbers = config["vae"]["latent_channels"] * 4
        self.names = nn.ModuleDict(
            {name: nn.Linear(numbers, int(truth.max()) + 1) for name, truth in NAMES_OF_TILES.items()})


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


def background(tiles):
    """The empty tile of every board, [n, 1]."""
    tile = tiles.max(1, keepdims=True)
    return np.where(tile < EMPTY_TILES, tile, (tile - EMPTY_TILES) // PER_BACKGROUND)


def edges(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def tile_distances(y):
    """Squared distance of every cell to every tile, [n * 9, tiles]: what a picture is read back by."""
    cells = y.unfold(2, CELL, CELL).unfold(3, CELL, CELL).permute(0, 2, 3, 1, 4, 5).reshape(-1, KNOWN.shape[1])
    return cells.square().sum(1, keepdim=True) - 2 * cells @ KNOWN.T + KNOWN.square().sum(1)


def encoded(trained, seen, settings):
    """Distributions of the latents of tiles: means [n, 4, 2, 2], deviations, divergence, loss of naming."""
    mean, log_variance = trained.vae.encode(TILES_SEEN[seen].contiguous(memory_format=torch.channels_last))
    least = settings["least_deviation"] * mean.detach().std()
    log_variance = log_variance.clamp(2 * least.log(), 0)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    deviation = (0.5 * log_variance).exp()
    noisy = (mean + deviation * torch.randn_like(mean)).flatten(1)
    naming = sum(F.cross_entropy(head(noisy), NAMES_OF_TILES[name][seen]) for name, head in trained.names.items())
    return mean, deviation, kl, naming


def parts(trained, stage_step, settings):
    def loss(rng):
        tiles = boards(rng, settings["batch"], settings["fill"])
        x = picture_tensor(assemble(tiles)).contiguous(memory_format=torch.channels_last)
        seen, place = np.unique(tiles, return_inverse=True)
        with torch.set_grad_enabled(stage_step() < settings["encoder_steps"]):
            mean, deviation, kl, naming = encoded(trained, seen, settings)
        place = torch.from_numpy(place.reshape(tiles.shape))
        noise = torch.randn(*tiles.shape, *mean.shape[1:])
        y = trained.vae.decode(assembled(mean[place] + deviation[place] * noise)
                               .contiguous(memory_format=torch.channels_last))
        ground = picture_tensor(assemble(background(tiles).repeat(9, 1)))
        w = 1 + (settings["foreground"] - 1) * ((x - ground).abs().amax(1, keepdim=True) > 0.02)
        pixels = (w * ((y - x).abs() + (y - x).square())).mean()
        edge = sum((a - b).abs().mean() for a, b in zip(edges(y), edges(x)))
        read = F.cross_entropy(-tile_distances(y) / settings["reading"], torch.from_numpy(tiles).flatten())
        psnr = -10 * torch.log10((y.detach() - x).div(2).square().mean())
        total = pixels + settings["edges"] * edge + settings["read_weight"] * read
        total = total + settings["name_weight"] * naming + settings["kl_weight"] * kl
        return total, {"pixels": pixels, "psnr": psnr, "read": read, "naming": naming, "kl": kl, "spread": mean.std()}

    return [loss]


def evaluate(trained, count=96, seed=1):
    """Share of scenes that read back right: from mean latents, and from ones with noise of a share of their spread."""
    rng, vae = random.Random(seed), trained.vae
    tiles = np.array([tiles_of(random_scene(rng, held_out=i % 4 == 0)) for i in range(count)])
    table = latent_table(vae)
    z = assembled(table[torch.from_numpy(tiles)])
    noise = table.std() * torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
    scores = {}
    for name, amount in (("noise_0.1", 0.1), ("noise_0.2", 0.2), ("round_trip", 0.0)):
        y = vae.decode(z + amount * noise)
        scores[name] = (read_tiles(picture_bytes(y)) == tiles).all(1).mean()
    return {**scores, "worst_pixel": (y - picture_tensor(assemble(tiles))).abs().amax((1, 2, 3)).mean().item()}


class VaeStage(Stage):
    """Keeps the encoder apart as soon as it is final."""

    def one_step(self, totals):
        if self.step == self.settings["encoder_steps"]:
            self.average.vae.encoder.load_state_dict(self.model.vae.encoder.state_dict())
            self.average.vae.quant_conv.load_state_dict(self.model.vae.quant_conv.state_dict())
            save(self.work / "latents.pt", {"table": latent_table(self.model.vae)})
        super().one_step(totals)


def make(config, work):
    trained, settings = Trained(config), config["stage1_vae"]
    loss = parts(trained, lambda: stage.step, settings)
    groups = [(list(trained.parameters()), 1.0)]
    stage = VaeStage("stage1_vae", config, trained, groups, loss, evaluate, "round_trip", work)
    return stage
