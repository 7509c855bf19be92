"""Image tokens of a board of tiles: fixed codes, known before anything is trained.

A tile is cut into quarters of 8 x 8 pixels; the distinct quarters of all tiles are numbered in order of appearance.
"""

import numpy as np
import torch

import settings
from world import CELL, CELLS, COLOURS, COLUMNS, KINDS, TILE_PICTURES, TILES, WORLD, shape_of

PATCH = settings.load()["tokenizer"]["patch"]
PARTS = CELL // PATCH  # patches a side in a cell
SIDE = PARTS * COLUMNS
ROWS = len(CELLS) // COLUMNS


def number_parts():
    """Codes of each tile [tiles, parts * parts], the way back, and what each code shows [codes, 8, 8, 3]."""
    cut = TILE_PICTURES.reshape(TILES, PARTS, PATCH, PARTS, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    numbers, table = {}, []
    for tile in cut.reshape(TILES, PARTS * PARTS, -1):
        table.append([numbers.setdefault(part.tobytes(), len(numbers)) for part in tile])
    pictures = [np.frombuffer(part, np.uint8).reshape(PATCH, PATCH, 3) for part in numbers]
    return np.array(table), {tuple(row): tile for tile, row in enumerate(table)}, np.stack(pictures)


CODES_OF_TILE, TILE_OF_CODES, PATCH_PICTURES = number_parts()
USED_CODES = len(PATCH_PICTURES)


def tokens_of(tiles):
    """Tile numbers [n, 9] to image tokens [n, side * side], in raster order, as arrays."""
    parts = CODES_OF_TILE[np.asarray(tiles)].reshape(-1, ROWS, COLUMNS, PARTS, PARTS)
    return parts.transpose(0, 1, 3, 2, 4).reshape(-1, SIDE * SIDE)


def tiles_from(tokens):
    """Image tokens (a tensor) to tile numbers; None for a row with a cell that is no tile."""
    parts = tokens.cpu().numpy().reshape(-1, ROWS, PARTS, COLUMNS, PARTS)
    cells = parts.transpose(0, 1, 3, 2, 4).reshape(-1, len(CELLS), PARTS * PARTS)
    rows = [[TILE_OF_CODES.get(tuple(cell.tolist())) for cell in row] for row in cells]
    return [None if None in row else row for row in rows]


# Where a patch is of a shape: its quarter, and the style of the half that the quarter belongs to.
STYLES = sorted({style for halves in WORLD["halves"].values() for style in halves})
STYLE_POINTS = [[1.0, 0.0], [-0.5, 0.866], [-0.5, -0.866]]
COLOUR_POINTS = [[1, 0, 0], [0.0, 1, 0], [0, 0, 1], [0, -1, 0], [-1, 0, 0], [0, 0, -1]]


def attributes():
    """What each used code shows: rows of (background, quarter, style, colour), the last three None if empty."""
    rows = [None] * USED_CODES
    for tile in range(TILES):
        background, shape = shape_of(tile, 0)
        for quarter, code in enumerate(CODES_OF_TILE[tile]):
            rows[code] = (background, None, None, None)
            if shape:
                style = WORLD["halves"][KINDS[shape.kind]][quarter // PARTS]
                rows[code] = (background, quarter, STYLES.index(style), shape.colour)
    return rows


ATTRIBUTES = attributes()


def starting_codebook(count, width):
    """Unit rows [count, width] for the codebook to start from.

    At random, the decoder would have to learn every patch by heart. A row starts from what its patch shows instead:
    one number for the background, two for the quarter, two for the style, three for the colour.
    """
    book = torch.randn(count, width)
    for code, (background, quarter, style, colour) in enumerate(ATTRIBUTES):
        row = [0.0] * 7
        if quarter is not None:
            row = [quarter // PARTS - 0.5, quarter % PARTS - 0.5] + STYLE_POINTS[style] + COLOUR_POINTS[colour]
        book[code] = torch.tensor([background - 0.5] + row)
    return torch.nn.functional.normalize(book, dim=1)


def composed(count, width):
    """Rows [count, width], each the sum of one random vector per attribute of the code.

    The image head starts from them, so that "red" and "round, upper left" are two directions from the beginning and a
    pair of colour and kind that training never shows is still the sum of two things that it does show.
    """
    parts = torch.randn(4, max(len(COLOURS), PARTS * PARTS) + 1, width) / 2
    rows = torch.randn(count, width)
    for code, values in enumerate(ATTRIBUTES):
        rows[code] = sum(parts[i, -1 if value is None else value] for i, value in enumerate(values))
    return rows
