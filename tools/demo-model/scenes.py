"""Random scenes with a prompt or a question, exactly as `world.json` shares them out."""

from typing import NamedTuple

from judge import Wanted
from world import (BACKGROUNDS, CELLS, COLOURS, COLUMNS, HELD_OUT, KINDS, WORLD, Scene,
                   Shape)

PROMPTS = WORLD["prompts"]
CATEGORIES = PROMPTS["categories"]
GENEVAL = [name for name, category in CATEGORIES.items() if category["geneval"]]
PLURALS = [WORLD["plurals"][kind] for kind in KINDS]


class Drawing(NamedTuple):
    """A prompt, one scene that fits it, and what the judge asks of any picture of it."""

    category: str
    prompt: str
    scene: Scene
    wanted: Wanted


def pick(rng, table):
    """A key of a table, by the share of each."""
    return rng.choices(list(table), [entry["share"] for entry in table.values()])[0]


def random_pair(rng, held_out=False):
    """A (kind, colour) pair: never a held-out one, or always."""
    if held_out:
        colour, kind = rng.choice(sorted(HELD_OUT))
        return kind, colour
    while True:
        kind, colour = rng.randrange(len(KINDS)), rng.randrange(len(COLOURS))
        if (colour, kind) not in HELD_OUT:
            return kind, colour


def random_shape(rng, cell, held_out=False):
    return Shape(cell, *random_pair(rng, held_out))


def random_scene(rng, count=None, held_out=False):
    """A free scene, for pictures that are asked about; `held_out` puts one such pair into it."""
    count = count or rng.randint(WORLD["min_shapes"], WORLD["max_shapes"])
    cells = rng.sample(range(len(CELLS)), count)
    shapes = [random_shape(rng, cell, held_out and i == 0) for i, cell in enumerate(cells)]
    return Scene(rng.randrange(len(BACKGROUNDS)), tuple(sorted(shapes)))


def article(words):
    return f"{WORLD['article'].get(words.split()[0], WORLD['article']['default'])} {words}"


def name(shape, colour=False):
    """ "a circle" or "a red circle"."""
    words = [COLOURS[shape.colour]] if colour else []
    return article(" ".join(words + [KINDS[shape.kind]]))


def related_cells(rng, relation):
    """Two cells (a, b) with a left of / right of b in one row, or above / below it in one column."""
    line, (low, high) = rng.randrange(COLUMNS), sorted(rng.sample(range(COLUMNS), 2))
    if relation in ("left", "right"):
        a, b = line * COLUMNS + low, line * COLUMNS + high
    else:
        a, b = low * COLUMNS + line, high * COLUMNS + line
    return (a, b) if relation in ("left", "above") else (b, a)


def shapes_for(rng, category, count, cells, held_out):
    """Shapes for a category, with the differences that WORLD.md asks for."""
    while True:
        shapes = [random_shape(rng, cell, held_out and i == 0) for i, cell in enumerate(cells)]
        if category == "counting":
            kind = shapes[0].kind
            shapes = [shape._replace(kind=kind) for shape in shapes]
        if category == "counting_colour":
            shapes = [shape._replace(kind=shapes[0].kind, colour=shapes[0].colour) for shape in shapes]
        pairs = [(shape.colour, shape.kind) for shape in shapes]
        if not held_out and any(pair in HELD_OUT for pair in pairs):
            continue
        if category in ("two_objects", "position") and shapes[0].kind == shapes[1].kind:
            continue
        if category in ("colour_attribution", "position_colour") and pairs[0] == pairs[1]:
            continue
        return shapes


def random_drawing(rng, category=None, held_out=False):
    """A prompt with a scene. `held_out`: the first object is of a held-out pair."""
    category = category or pick(rng, CATEGORIES)
    form = rng.choice(CATEGORIES[category]["forms"])
    count = rng.randint(2, WORLD["max_shapes"]) if "{n}" in form else sum(
        f"{{{letter}." in form for letter in "ab")
    relation = rng.choice(list(WORLD["relations"])) if "{relation}" in form else None
    cells = related_cells(rng, relation) if relation else rng.sample(range(len(CELLS)), count)
    shapes = shapes_for(rng, category, count, cells, held_out)
    background = rng.randrange(len(BACKGROUNDS))

    slots, objects = {}, []
    for letter, shape in zip("abcd", shapes):
        any_colour = rng.random() < 0.5
        coloured = "counting_colour" == category or f"{letter}.colour_kind" in form or (
            f"{letter}.any" in form and any_colour)
        slots[letter + ".kind"] = name(shape)
        slots[letter + ".colour_kind"] = name(shape, True)
        slots[letter + ".any"] = name(shape, coloured)
        slots[letter + ".cell"] = CELLS[shape.cell]
        objects.append(Wanted.Object(
            shape.kind, shape.colour if coloured else None,
            shape.cell if f"{letter}.cell" in form else None))
    slots["n"] = WORLD["numbers"][count]
    slots["kinds"] = PLURALS[shapes[0].kind]
    slots["colour"] = COLOURS[shapes[0].colour]
    slots["relation"] = rng.choice(WORLD["relations"][relation]) if relation else ""

    what = form
    for slot, words in slots.items():
        what = what.replace("{" + slot + "}", words)
    prompt = rng.choice(PROMPTS["wordings"]).replace("{what}", what)
    named = rng.random() < PROMPTS["background"]["share"]
    if named:
        suffix = rng.choice(PROMPTS["background"]["suffixes"])
        prompt += suffix.replace("{background}", BACKGROUNDS[background])
    wanted = Wanted(tuple(objects), relation, background if named else None)
    return Drawing(category, prompt, Scene(background, tuple(sorted(shapes))), wanted)
