"""Is a picture what its prompt asked for? Decided on the scene read back from the picture."""

from itertools import permutations
from typing import NamedTuple, Optional


class WantedObject(NamedTuple):
    """One object of a prompt; None is "not named, so free"."""

    kind: int
    colour: Optional[int]
    cell: Optional[int]

    def fits(self, shape):
        return all(mine is None or mine == theirs for mine, theirs in (
            (self.kind, shape.kind), (self.colour, shape.colour), (self.cell, shape.cell)))


class Wanted(NamedTuple):
    """Everything a prompt says: its objects, the relation of the first two, the background."""

    objects: tuple
    relation: Optional[str]
    background: Optional[int]

    Object = WantedObject

    def accepts(self, scene):
        """True if the scene holds exactly the objects named, some order of them fitting."""
        if scene is None or len(scene.shapes) != len(self.objects):
            return False
        if self.background is not None and scene.background != self.background:
            return False
        return any(
            all(wanted.fits(shape) for wanted, shape in zip(self.objects, order))
            and related(self.relation, order)
            for order in permutations(scene.shapes))


def related(relation, shapes):
    """Is the first shape left of / right of / above / below the second, in its row or column?"""
    if relation is None:
        return True
    a, b = shapes[:2]
    if relation in ("left", "right"):
        return a.row == b.row and (a.column < b.column) == (relation == "left")
    return a.column == b.column and (a.row < b.row) == (relation == "above")
