"""Random questions about scenes, with their answers, exactly as `world.json` shares them out."""

from typing import NamedTuple

from judge import related
from scenes import PLURALS, name, pick, random_scene
from world import BACKGROUNDS, CELLS, COLOURS, KINDS, SIZES, WORLD, Scene

QUESTIONS = WORLD["questions"]
NUMBERS = WORLD["numbers"]


class Question(NamedTuple):
    kind: str
    text: str
    answer: str
    scene: Scene


def alone(scene, **wanted):
    """Is there exactly one shape with these attributes?"""
    return sum(all(getattr(s, k) == v for k, v in wanted.items()) for s in scene.shapes) == 1


def yes(value):
    return "yes" if value else "no"


def listed(words):
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def filled(form, shape, scene):
    words = {"{kind}": KINDS[shape.kind], "{colour}": COLOURS[shape.colour],
             "{size}": SIZES[shape.size], "{cell}": CELLS[shape.cell]}
    for slot, word in words.items():
        form = form.replace(slot, word)
    return form


def one_shape(rng, kind, form, scene, answer):
    """Questions about one shape: the words used must fit that shape only."""
    shape = rng.choice(scene.shapes)
    named = {slot: getattr(shape, slot) for slot in ("kind", "colour", "size", "cell")
             if "{" + slot + "}" in form}
    if not alone(scene, **named):
        return None
    return Question(kind, filled(form, shape, scene), answer(shape), scene)


def count(rng, form, scene):
    kind, colour, size = rng.randrange(len(KINDS)), rng.randrange(len(COLOURS)), rng.randrange(2)
    if rng.random() < 0.75:  # mostly something that is there
        _, kind, colour, size = rng.choice(scene.shapes)
    fits = {"{kinds}": lambda s: s.kind == kind, "{colour}": lambda s: s.colour == colour,
            "{size}": lambda s: s.size == size}
    chosen = [fit for slot, fit in fits.items() if slot in form]
    number = sum(all(fit(shape) for fit in chosen) for shape in scene.shapes)
    text = form.replace("{kinds}", PLURALS[kind]).replace("{colour}", COLOURS[colour])
    return Question("count", text.replace("{size}", SIZES[size]), NUMBERS[number], scene)


def yes_no(rng, form, scene):
    """Half yes; a "no" often mixes the colour of one shape with the kind of another."""
    shape, other = rng.choice(scene.shapes), rng.choice(scene.shapes)
    kind, colour = shape.kind, shape.colour
    if rng.random() < 0.5:
        kind, colour = (shape.kind, other.colour) if rng.random() < 0.6 else (
            rng.randrange(len(KINDS)), rng.randrange(len(COLOURS)))
    asked = shape._replace(kind=kind, colour=colour)
    if "{kind}" in form:
        if not alone(scene, kind=kind):
            return None
        there = next(s for s in scene.shapes if s.kind == kind).colour == colour
        return Question("yes_no", filled(form, asked, scene), yes(there), scene)
    if "colour_kind" in form:
        there = any((s.kind, s.colour) == (kind, colour) for s in scene.shapes)
        return Question("yes_no", form.replace("{a.colour_kind}", name(asked, colour=True)), yes(there), scene)
    asked = asked._replace(kind=kind if rng.random() < 0.5 else rng.randrange(len(KINDS)))
    there = any(s.kind == asked.kind for s in scene.shapes)
    return Question("yes_no", form.replace("{a.kind}", name(asked)), yes(there), scene)


def relation(rng, form, scene):
    if len(scene.shapes) < 2:
        return None
    a, b = rng.sample(scene.shapes, 2)
    if a.kind == b.kind or not alone(scene, kind=a.kind) or not alone(scene, kind=b.kind):
        return None
    if a.row == b.row:
        asked = rng.choice(["left", "right"])
    elif a.column == b.column:
        asked = rng.choice(["above", "below"])
    else:
        return None
    text = form.replace("{kind}", KINDS[a.kind]).replace("{other}", KINDS[b.kind])
    text = text.replace("{relation}", rng.choice(WORLD["relations"][asked]))
    return Question("relation", text, yes(related(asked, (a, b))), scene)


def ask(rng, kind, scene):
    """One question of a type about a scene, or None if the form chosen has no clear answer there."""
    form = rng.choice(QUESTIONS[kind]["forms"])
    if kind == "colour":
        return one_shape(rng, kind, form, scene, lambda s: COLOURS[s.colour])
    if kind == "kind":
        return one_shape(rng, kind, form, scene, lambda s: KINDS[s.kind])
    if kind == "position":
        return one_shape(rng, kind, form, scene, lambda s: CELLS[s.cell])
    if kind == "size":
        return one_shape(rng, kind, form, scene, lambda s: SIZES[s.size])
    if kind == "background":
        return Question(kind, form, BACKGROUNDS[scene.background], scene)
    if kind == "caption":
        return Question(kind, form, listed([name(s, colour=True) for s in scene.shapes]), scene)
    return {"count": count, "yes_no": yes_no, "relation": relation}[kind](rng, form, scene)


def random_question(rng, kind=None, held_out=False):
    """A fresh scene with a question that has one clear answer. `held_out`: with such a pair in it."""
    kind = kind or pick(rng, QUESTIONS)
    while True:
        question = ask(rng, kind, random_scene(rng, held_out=held_out))
        if question:
            return question
