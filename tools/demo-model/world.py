"""The world of `world.json` (see WORLD.md): shapes, scenes and exact pictures."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

WORLD = json.loads((Path(__file__).parent / "world.json").read_text())
KINDS = WORLD["kinds"]
COLOURS = WORLD["colour_order"]
BACKGROUNDS = WORLD["background_order"]
CELLS = WORLD["cells"]
CELL = WORLD["cell_size"]
COLUMNS = WORLD["columns"]
HELD_OUT = {(COLOURS.index(c), KINDS.index(k)) for c, k in WORLD["held_out"]}
EMPTY_TILES = len(BACKGROUNDS)
TILES = EMPTY_TILES + len(BACKGROUNDS) * len(COLOURS) * len(KINDS)


class Shape(NamedTuple):
    """One shape; every field is an index into the lists above."""

    cell: int
    kind: int
    colour: int

    @property
    def row(self):
        return self.cell // COLUMNS

    @property
    def column(self):
        return self.cell % COLUMNS


class Scene(NamedTuple):
    """A background and one to four shapes, in reading order."""

    background: int
    shapes: tuple


def tile_of(background, shape=None):
    """The number of a cell's picture."""
    if shape is None:
        return background
    index = background * len(COLOURS) + shape.colour
    return EMPTY_TILES + index * len(KINDS) + shape.kind


def shape_of(tile, cell):
    """The inverse of `tile_of`: (background, shape or None)."""
    if tile < EMPTY_TILES:
        return tile, None
    index, kind = divmod(tile - EMPTY_TILES, len(KINDS))
    background, colour = divmod(index, len(COLOURS))
    return background, Shape(cell, kind, colour)


def tiles_of(scene):
    """The nine tile numbers of a scene."""
    tiles = [tile_of(scene.background)] * len(CELLS)
    for shape in scene.shapes:
        tiles[shape.cell] = tile_of(scene.background, shape)
    return tiles


def scene_of(tiles):
    """Reads nine tile numbers back; None if they do not share one background or are not tiles."""
    if max(tiles) >= TILES:
        return None
    read = [shape_of(tile, cell) for cell, tile in enumerate(tiles)]
    if len({background for background, _ in read}) != 1:
        return None
    return Scene(read[0][0], tuple(shape for _, shape in read if shape))


def half_distance(style, x, y, r):
    """Signed distance of a whole outline of one style."""
    if style == "round":
        return np.hypot(x, y) - r
    if style == "square":
        return np.maximum(abs(x), abs(y)) - r
    if style == "slant":
        return (abs(x) + abs(y) - r) / np.sqrt(2)
    raise ValueError(f"unknown style {style!r}")


def signed_distance(kind):
    """Signed distance of a kind on the pixel centres of one cell (negative inside).

    The upper half of a cell holds the upper style of the kind, the lower half the lower one.
    """
    offset = np.arange(CELL) + 0.5 - CELL / 2
    x, y = np.meshgrid(offset, offset)
    upper, lower = (half_distance(style, x, y, WORLD["radius"]) for style in WORLD["halves"][kind])
    return np.where(y < 0, upper, lower)


# How much of every pixel of a cell a kind covers, [kinds, 16, 16].
COVERAGE = np.stack([np.clip(0.5 - signed_distance(kind), 0, 1) for kind in KINDS])


def painted(kind, colour, ground):
    """A cell with a shape of any colour, [16, 16, 3]; colour and ground are channels in binary64."""
    return np.floor(ground + COVERAGE[kind][..., None] * (colour - ground) + 0.5)


def draw_tile(tile):
    """One cell as [16, 16, 3] bytes."""
    background, shape = shape_of(tile, 0)
    ground = np.array(WORLD["backgrounds"][BACKGROUNDS[background]], np.float64)
    picture = np.broadcast_to(ground, (CELL, CELL, 3))
    if shape:
        colour = np.array(WORLD["colours"][COLOURS[shape.colour]], np.float64)
        picture = painted(shape.kind, colour, ground)
    return picture.astype(np.uint8)


TILE_PICTURES = np.stack([draw_tile(tile) for tile in range(TILES)])


def assemble(tiles):
    """Tile numbers [n, 9] to pictures [n, 48, 48, 3] of bytes."""
    rows = len(CELLS) // COLUMNS
    cells = TILE_PICTURES[np.asarray(tiles)].reshape(-1, rows, COLUMNS, CELL, CELL, 3)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(-1, rows * CELL, COLUMNS * CELL, 3)


def read_tiles(pictures):
    """The nearest tile of every cell: pictures [n, 48, 48, 3] to numbers [n, 9]."""
    rows = len(CELLS) // COLUMNS
    cells = np.asarray(pictures, np.float64).reshape(-1, rows, CELL, COLUMNS, CELL, 3)
    cells = cells.transpose(0, 1, 3, 2, 4, 5).reshape(-1, CELL * CELL * 3)
    known = TILE_PICTURES.reshape(TILES, -1).astype(np.float64)
    distance = (known**2).sum(1) - 2 * cells @ known.T
    return distance.argmin(1).reshape(-1, len(CELLS))
