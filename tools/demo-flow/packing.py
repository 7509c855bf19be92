"""Rows of one beginning and several continuations, each of which sees the beginning and itself."""

from typing import NamedTuple

import torch


class Layout(NamedTuple):
    """Where everything in a batch of rows is."""

    positions: torch.Tensor  # [n, length]: a continuation counts on from the beginning
    mask: torch.Tensor  # [n, 1, length, length]: true where a row's position sees a column's


def layout(beginnings, continuations, alone=None):
    """The layout of rows with `beginnings[i]` positions and continuations of `continuations[i]` positions each.

    Continuations in `alone[i]` see only the first position of their beginning, as rows without a prompt do.
    """
    length = max(b + sum(c) for b, c in zip(beginnings, continuations))
    part = torch.full((len(beginnings), length), -1)
    positions = torch.zeros(len(beginnings), length, dtype=torch.long)
    hidden = torch.zeros(len(beginnings), length, dtype=torch.bool)
    for i, (b, lengths) in enumerate(zip(beginnings, continuations)):
        part[i, :b], positions[i, :b], at = 0, torch.arange(b), b
        for number, count in enumerate(lengths, 1):
            part[i, at:at + count] = number
            positions[i, at:at + count] = torch.arange(b, b + count)
            hidden[i, at:at + count] = alone is not None and alone[i][number - 1]
            at += count
    before = torch.ones(length, length, dtype=torch.bool).tril()
    same = part[:, :, None] == part[:, None, :]
    beginning = (part == 0)[:, None, :].expand_as(same).clone()
    beginning[..., 1:] &= ~hidden[:, :, None]
    return Layout(positions, ((same | beginning) & before)[:, None])
