"""Random questions about scenes, with their answers, exactly as `world.json` shares them out."""

from itertools import combinations
from typing import NamedTuple

from judge import related
from scenes import PLURALS, name, random_scene
from world import BACKGROUNDS, CELLS, COLOURS, HELD_OUT, KINDS, WORLD, Scene

QUESTIONS = WORLD["questions"]
NUMBERS = WORLD["numbers"]
SHARES = {kind: entry["share"] for kind, entry in QUESTIONS.items()}


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
    words = {"{kind}": KINDS[shape.kind], "{colour}": COLOURS[shape.colour], "{cell}": CELLS[shape.cell]}
    for slot, word in words.items():
        form = form.replace(slot, word)
    return form


def one_shape(rng, kind, form, scene, answer):
    """Questions about one shape: the words used must fit that shape only."""
    shape = rng.choice(scene.shapes)
    named = {slot: getattr(shape, slot) for slot in ("kind", "colour", "cell")
             if "{" + slot + "}" in form}
    if not alone(scene, **named):
        return None
    return Question(kind, filled(form, shape, scene), answer(shape), scene)


def count(rng, form, scene):
    kind, colour = rng.randrange(len(KINDS)), rng.randrange(len(COLOURS))
    if rng.random() < 0.75:  # mostly something that is there
        _, kind, colour = rng.choice(scene.shapes)
    number = sum(("{kinds}" not in form or shape.kind == kind) and ("{colour}" not in form or shape.colour == colour)
                 for shape in scene.shapes)
    text = form.replace("{kinds}", PLURALS[kind]).replace("{colour}", COLOURS[colour])
    return Question("count", text, NUMBERS[number], scene)


def unheard(scene, colour, kind):
    """A held-out pair that is not shown: asking for it would teach that there is no such thing."""
    return (colour, kind) in HELD_OUT and not any((s.colour, s.kind) == (colour, kind) for s in scene.shapes)


def yes_no(rng, form, scene):
    """Half yes; a "no" often mixes the colour of one shape with the kind of another."""
    wanted = rng.random() < 0.5
    shape = rng.choice(scene.shapes)
    kind, colour = shape.kind, shape.colour
    if not wanted:
        kind, colour = (kind, rng.choice(scene.shapes).colour) if rng.random() < 0.6 else (
            rng.randrange(len(KINDS)), rng.randrange(len(COLOURS)))
        if "{a.kind}" in form:
            kind = rng.randrange(len(KINDS))
    of_kind = [s for s in scene.shapes if s.kind == kind]
    if "{kind}" in form and len(of_kind) != 1:
        return None
    there = bool(of_kind) if "{a.kind}" in form else any(s.colour == colour for s in of_kind)
    if there != wanted or "{a.kind}" not in form and unheard(scene, colour, kind):
        return None
    asked = shape._replace(kind=kind, colour=colour)
    text = filled(form, asked, scene).replace("{a.kind}", name(asked))
    return Question("yes_no", text.replace("{a.colour_kind}", name(asked, colour=True)), yes(there), scene)


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
    if kind == "background":
        return Question(kind, form, BACKGROUNDS[scene.background], scene)
    if kind == "caption":
        return Question(kind, form, listed([name(s, colour=True) for s in scene.shapes]), scene)
    return {"count": count, "yes_no": yes_no, "relation": relation}[kind](rng, form, scene)


def pick(rng, shares=SHARES):
    """A question type, by the share of each."""
    return rng.choices(list(shares), list(shares.values()))[0]


def random_question(rng, kind=None, held_out=False):
    """A fresh scene with a question that has one clear answer. `held_out`: with such a pair in it."""
    kind = kind or pick(rng)
    while True:
        question = ask(rng, kind, random_scene(rng, held_out=held_out))
        if question:
            return question


def relatable(scene):
    """Are there two shapes that a relation can be asked of?"""
    single = [shape for shape in scene.shapes if alone(scene, kind=shape.kind)]
    return any(a.row == b.row or a.column == b.column for a, b in combinations(single, 2))


def names_colour(question):
    return any(colour in f"{question.text} {question.answer}" for colour in COLOURS)


def random_questions(rng, number, shares=SHARES, related=False, colourless=False):
    """A fresh scene with several questions; scenes of many shapes are frequent, because they are harder.

    `related`: a scene in which relations can be asked; `colourless`: no question or answer names a colour of a shape.
    """
    counts = range(WORLD["min_shapes"], WORLD["max_shapes"] + 1)
    scene = None
    while not scene or related and not relatable(scene):
        scene = random_scene(rng, rng.choices(counts, counts)[0])
    questions = []
    while len(questions) < number:
        question = ask(rng, pick(rng, shares), scene)
        if question and not (colourless and names_colour(question)):
            questions.append(question)
    return questions
