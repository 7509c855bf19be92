"""Latents of scenes. The encoder is shown one cell at a time, so a scene's latent is put together of its tiles'.

A cell is 16 x 16 pixels, its latent [4, 2, 2]; a picture's is [4, 6, 6]. The decoder sees whole pictures.
"""

import torch
from torch import nn

from world import CELLS, COLOURS, COLUMNS, KINDS, TILE_PICTURES, TILES, shape_of

ROWS = len(CELLS) // COLUMNS


def picture_tensor(pictures):
    """Bytes [n, h, w, 3] to what a model reads: [n, 3, h, w] in -1 .. 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 * 2 - 1


def picture_bytes(pixels):
    """The model's pixels back to bytes, truncated as the official code does."""
    return ((pixels + 1) / 2 * 255).clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


TILES_SEEN = picture_tensor(TILE_PICTURES)


def names_of_tiles():
    """{name: [tiles]}; the last colour and the last kind are those of an empty cell."""
    read = [shape_of(tile, 0) for tile in range(TILES)]
    return {"background": torch.tensor([background for background, _ in read]),
            "colour": torch.tensor([shape.colour if shape else len(COLOURS) for _, shape in read]),
            "kind": torch.tensor([shape.kind if shape else len(KINDS) for _, shape in read])}


NAMES = {name: int(truth.max()) + 1 for name, truth in names_of_tiles().items()}


class Board(nn.Module):
    """The world's constants, on the device of the model that holds them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("tiles", TILES_SEEN, persistent=False)
        for name, truth in names_of_tiles().items():
            self.register_buffer(name, truth, persistent=False)

    def pictures(self, tiles):
        """Tile numbers [n, 9] to pictures [n, 3, 48, 48]."""
        return assembled(self.tiles[tiles])

    def names(self, tiles):
        """{name: its number for every tile}."""
        return {name: getattr(self, name)[tiles] for name in NAMES}


def assembled(cells):
    """Cells [n, 9, c, s, s] to boards [n, c, 3 s, 3 s]: of latents, or of pictures."""
    n, _, c, s, _ = cells.shape
    board = cells.view(n, ROWS, COLUMNS, c, s, s).permute(0, 3, 1, 4, 2, 5)
    return board.reshape(n, c, ROWS * s, COLUMNS * s)


@torch.no_grad()
def latent_table(vae):
    """The mean latent of every tile, [tiles, c, s, s]."""
    weight = vae.post_quant_conv.weight
    return vae.encode(TILES_SEEN.to(weight.device))[0]


def apart(latents):
    """The inverse of `assembled`: latents of pictures [n, c, h, w] to those of cells [n, 9, c, s, s]."""
    n, c, h, w = latents.shape
    board = latents.view(n, c, ROWS, h // ROWS, COLUMNS, w // COLUMNS).permute(0, 2, 4, 1, 3, 5)
    return board.reshape(n, len(CELLS), c, h // ROWS, w // COLUMNS)


def nearest_tiles(latents, table):
    """The tile whose latent is nearest, for every cell: [n, 9]."""
    return torch.cdist(apart(latents).flatten(2).flatten(0, 1), table.flatten(1)).argmin(1).view(len(latents), -1)


def scaling_factor(table, tiles):
    """What the latents of pictures are multiplied by to have a deviation of one."""
    return 1 / assembled(table[tiles]).std().item()
