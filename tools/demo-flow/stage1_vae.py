"""Stage 1: the VAE. Its loss for a picture x and its latent's distribution q(z|x) = N(mean, deviation^2):

    z    = mean + deviation * e,  e ~ N(0, 1)
    y    = decoder(z)
    loss = |y - x| + (y - x)^2, shapes weighted  + edges  + reading  + naming  + kl_weight * KL(q(z|x) || N(0, 1))

`reading` is the cross-entropy of the tile that every cell would be read as: without it the last mistakes would stay.
`naming` is the cross-entropy of linear readings of background, colour and kind off z: it keeps cells that mean
something different apart in the latent, however few pixels they differ in, which is what a flow needs.

Encoder and latents are final after a share of the stage, `encoder`, so that stage 2 may begin beside the rest; then only the decoder
learns. The encoder is used in training only; the decoder is what the model ships.
"""

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from latents import NAMES, Board, assembled, latent_table, picture_bytes
from loop import Stage, save
from scenes import random_scene
from vae import build_vae
from world import CELL, EMPTY_TILES, TILES, read_tiles, tiles_of

PER_BACKGROUND = (TILES - EMPTY_TILES) // EMPTY_TILES


class Trained(nn.Module):
    """The VAE, and the readings off its latents, which are not kept."""

    def __init__(self, config):
        super().__init__()
        self.board, self.vae = Board(), build_vae(config)
        numbers = config["vae"]["latent_channels"] * 4
        self.names = nn.ModuleDict({name: nn.Linear(numbers, count) for name, count in NAMES.items()})


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


def tile_distances(y, tiles):
    """Squared distance of every cell to every tile, [n * 9, tiles]: what a picture is read back by."""
    known = tiles.flatten(1)
    cells = y.unfold(2, CELL, CELL).unfold(3, CELL, CELL).permute(0, 2, 3, 1, 4, 5).reshape(-1, known.shape[1])
    return cells.square().sum(1, keepdim=True) - 2 * cells @ known.T + known.square().sum(1)


def data_of(settings):
    """The data of a step: boards [n, 9] with the tiles of their ground, the tiles that occur and the place of each."""
    def data(rng):
        tiles = boards(rng, settings["batch"], settings["fill"])
        seen, place = np.unique(tiles, return_inverse=True)
        ground = background(tiles).repeat(tiles.shape[1], 1)
        return {"tiles": tiles, "ground": ground, "seen": seen, "place": place.reshape(tiles.shape)}

    return data


def encoded(trained, seen, settings):
    """Distributions of the latents of tiles: means [n, 4, 2, 2], deviations, divergence, loss of naming."""
    x = trained.board.tiles[seen].contiguous(memory_format=torch.channels_last)
    mean, log_variance = trained.vae.encode(x)
    least = settings["least_deviation"] * mean.detach().std()
    log_variance = torch.maximum(log_variance, 2 * least.log()).clamp(max=0)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    deviation = (0.5 * log_variance).exp()
    noisy, truth = (mean + deviation * torch.randn_like(mean)).flatten(1), trained.board.names(seen)
    naming = sum(F.cross_entropy(head(noisy), truth[name]) for name, head in trained.names.items())
    return mean, deviation, kl, naming


def losses(trained, rows, settings, encoder_learns):
    board, tiles = trained.board, rows["tiles"]
    x = board.pictures(tiles).contiguous(memory_format=torch.channels_last)
    with torch.set_grad_enabled(encoder_learns):
        mean, deviation, kl, naming = encoded(trained, rows["seen"], settings)
    mean_at, deviation_at = mean[rows["place"]], deviation[rows["place"]]
    z = assembled(mean_at + deviation_at * torch.randn_like(mean_at))
    y = trained.vae.decode(z.contiguous(memory_format=torch.channels_last))
    shown = (x - board.pictures(rows["ground"])).abs().amax(1, keepdim=True) > 0.02
    w = 1 + (settings["foreground"] - 1) * shown
    pixels = (w * ((y - x).abs() + (y - x).square())).mean()
    edge = sum((a - b).abs().mean() for a, b in zip(edges(y), edges(x)))
    read = F.cross_entropy(-tile_distances(y, board.tiles) / settings["reading"], tiles.flatten())
    psnr = -10 * torch.log10((y.detach() - x).div(2).square().mean())
    total = pixels + settings["edges"] * edge + settings["read_weight"] * read
    total = total + settings["name_weight"] * naming + settings["kl_weight"] * kl
    return total, {"pixels": pixels, "psnr": psnr, "read": read, "naming": naming, "kl": kl, "spread": mean.std()}


def evaluate(trained, count=96, seed=1):
    """Share of scenes that read back right: from mean latents, and from ones with noise of a share of their spread."""
    rng, vae = random.Random(seed), trained.vae
    tiles = np.array([tiles_of(random_scene(rng, held_out=i % 4 == 0)) for i in range(count)])
    table = latent_table(vae)
    z, x = assembled(table[torch.from_numpy(tiles)]), trained.board.pictures(torch.from_numpy(tiles))
    noise = table.std() * torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)).to(z.device)
    scores = {}
    for name, amount in (("noise_0.1", 0.1), ("noise_0.2", 0.2), ("round_trip", 0.0)):
        y = vae.decode(z + amount * noise)
        scores[name] = (read_tiles(picture_bytes(y)) == tiles).all(1).mean()
    return {**scores, "worst_pixel": (y - x).abs().amax((1, 2, 3)).mean().item()}


class VaeStage(Stage):
    """Keeps the latents as soon as they are final."""

    @property
    def latents_path(self):
        return self.work / "latents.pt"

    def encoder_learns(self):
        return self.progress() < self.settings["encoder"] and not self.latents_path.exists()

    def one_step(self, data):
        if self.progress() >= self.settings["encoder"] and not self.latents_path.exists():
            self.average.vae.encoder.load_state_dict(self.model.vae.encoder.state_dict())
            self.average.vae.quant_conv.load_state_dict(self.model.vae.quant_conv.state_dict())
            save(self.latents_path, {"table": latent_table(self.model.vae).cpu()})
        return super().one_step(data)


def make(config, options):
    trained, settings = Trained(config), config["stage1_vae"]

    def loss(rows):
        return losses(trained, rows, settings, stage.encoder_learns())

    groups = [(list(trained.parameters()), 1.0)]
    stage = VaeStage(
        "stage1_vae", config, trained, groups, data_of(settings), loss, evaluate, "round_trip", options)
    return stage
