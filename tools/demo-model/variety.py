"""What keeps the parts of a shape apart in training, so that parts never shown together can be put together.

In training a red shape with a slanted upper half is always a diamond, since the red drop is held out. A model that sees
this continues such a half without reading the prompt, and names it without looking at the lower half. Three changes of
the training data, none of which shows a held-out pair, take such shortcuts away:

* `recoloured`: the codes of a lower half are predicted behind an upper half that has another colour than the prompt
  says, so colour comes from the prompt and the half above only says where and what;
* `tinted`: pictures asked about have shapes in colours that the world does not know, so kinds are seen by outline;
* `hidden`: words of an answer are hidden from the words after them, so "drop" comes from the picture, not from "red".
"""

import numpy as np

import codes
import text
from world import (BACKGROUNDS, CELL, COLOURS, WORLD, Scene, assemble, painted, tiles_of)

UPPER = np.arange(codes.SIDE**2) // codes.SIDE % codes.PARTS < codes.PARTS // 2  # tokens of upper halves
FAR = 100  # the sum of channel differences that makes a colour another one
KNOWN = np.array([*WORLD["colours"].values(), *WORLD["backgrounds"].values()])


def recoloured(rng, drawings, truth, share):
    """Codes [n, tokens] with upper halves of some shapes in colours that are not in the scene.

    Only where the prompt names the colour, and no other shape of the kind has another one: the rest stays decided.
    """
    scenes = []
    for drawing, named in drawings:
        scene, names = drawing.scene, {(wanted.kind, wanted.colour) for wanted in drawing.wanted.objects}
        others = sorted(set(range(len(COLOURS))) - {shape.colour for shape in scene.shapes})
        shapes = []
        for shape in scene.shapes:
            same = {other.colour for other in scene.shapes if other.kind == shape.kind}
            clear = named and (shape.kind, shape.colour) in names and len(same) == 1
            shapes.append(shape._replace(colour=rng.choice(others)) if clear and rng.random() < share else shape)
        scenes.append(Scene(scene.background, tuple(shapes)))
    return np.where(UPPER, codes.tokens_of([tiles_of(scene) for scene in scenes]), truth)


def hidden(rng, ids, share):
    """Token ids, some of them replaced by pads."""
    return [text.PAD_ID if rng.random() < share else token for token in ids]


def tint(rng):
    """Channels of a colour that is neither one of the world nor near a background."""
    while True:
        colour = np.array([rng.randrange(256) for _ in range(3)])
        if np.abs(KNOWN - colour).sum(1).min() >= FAR:
            return colour


def picture(rng, scene, tinted=False):
    """The picture of a scene, bytes [48, 48, 3]; `tinted`: every shape in a colour outside the world."""
    board = assemble([tiles_of(scene)])[0]
    if tinted:
        ground = np.array(WORLD["backgrounds"][BACKGROUNDS[scene.background]], np.float64)
        for shape in scene.shapes:
            y, x = shape.row * CELL, shape.column * CELL
            board[y:y + CELL, x:x + CELL] = painted(shape.kind, tint(rng), ground)
    return board
