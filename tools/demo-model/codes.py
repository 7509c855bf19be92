"""Image tokens of a board of tiles: fixed codes, known before anything is trained.

At patch 16 a token is a tile, and its code the tile's number. At a smaller patch a tile is cut into equal parts; the
distinct parts of all tiles are numbered in order of appearance.
"""

import numpy as np
import torch

import settings
from world import CELL, CELLS, COLUMNS, TILE_PICTURES, TILES, shape_of

PATCH = settings.load()["tokenizer"]["patch"]
PARTS = CELL // PATCH  # patches a side in a cell
SIDE = PARTS * COLUMNS
ROWS = len(CELLS) // COLUMNS


def number_parts():
    """codes_of_tile [tiles, parts * parts] and the way back."""
    cut = TILE_PICTURES.reshape(TILES, PARTS, PATCH, PARTS, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    numbers, table = {}, []
    for tile in cut.reshape(TILES, PARTS * PARTS, -1):
        table.append([numbers.setdefault(part.tobytes(), len(numbers)) for part in tile])
    return np.array(table), {tuple(row): tile for tile, row in enumerate(table)}, len(numbers)


CODES_OF_TILE, TILE_OF_CODES, USED_CODES = number_parts()


def tokens_of(tiles):
    """Tile numbers [n, 9] to image tokens [n, side * side], in raster order."""
    parts = CODES_OF_TILE[np.asarray(tiles)].reshape(-1, ROWS, COLUMNS, PARTS, PARTS)
    return torch.from_numpy(parts.transpose(0, 1, 3, 2, 4).reshape(-1, SIDE * SIDE))


def tiles_from(tokens):
    """Image tokens to tile numbers; None for a row with a cell that is no tile."""
    parts = np.asarray(tokens).reshape(-1, ROWS, PARTS, COLUMNS, PARTS)
    cells = parts.transpose(0, 1, 3, 2, 4).reshape(-1, len(CELLS), PARTS * PARTS)
    rows = [[TILE_OF_CODES.get(tuple(cell.tolist())) for cell in row] for row in cells]
    return [None if None in row else row for row in rows]


# Corners of a double pyramid for the kinds, of an octahedron for the colours: all well apart.
KIND_POINTS = [[0, 0, 1], [0, 0, -1], [1, 0, 0], [-0.5, 0.866, 0], [-0.5, -0.866, 0]]
COLOUR_POINTS = [[1, 0, 0], [0.0, 1, 0], [0, 0, 1], [0, -1, 0], [-1, 0, 0], [0, 0, -1]]


def starting_codebook(count, width):
    """Unit rows [count, width] for the codebook to start from.

    At random, the decoder would have to learn 122 pictures by heart. At patch 16 a row starts from what its tile
    shows instead: three numbers for the kind, three for the colour, one each for size and background.
    """
    book = torch.nn.functional.normalize(torch.randn(count, width), dim=1)
    if PARTS == 1 and width == 8:
        for tile in range(TILES):
            background, shape = shape_of(tile, 0)
            row = [0.0] * 7
            if shape:
                row = KIND_POINTS[shape.kind] + COLOUR_POINTS[shape.colour] + [shape.size - 0.5]
            book[tile] = torch.tensor(row + [1.4 * background - 0.7])
    return torch.nn.functional.normalize(book, dim=1)
