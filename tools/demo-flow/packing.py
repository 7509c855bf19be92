"""Rows of one beginning and several continuations, each of which sees the beginning and itself."""

import numpy as np
import torch

MULTIPLE = 8  # row lengths: attention on a graphics card wants its mask so aligned


def layout(beginnings, continuations, alone=None):
    """Where everything is in rows with `beginnings[i]` positions and continuations of `continuations[i]` positions.

    Three integer arrays [n, length]: `positions` (a continuation counts on from the beginning), `part` (0 the
    beginning, 1, 2 ... the continuations, -1 nothing) and `alone` (1 where only the first position of the beginning
    is seen, as by rows without a prompt; of the continuations chosen by `alone[i]`).
    """
    length = max(b + sum(c) for b, c in zip(beginnings, continuations))
    length += -length % MULTIPLE
    positions, part, hidden = (np.full((len(beginnings), length), value) for value in (0, -1, 0))
    for i, (b, lengths) in enumerate(zip(beginnings, continuations)):
        part[i, :b], positions[i, :b], at = 0, np.arange(b), b
        for number, count in enumerate(lengths, 1):
            part[i, at:at + count] = number
            positions[i, at:at + count] = np.arange(b, b + count)
            hidden[i, at:at + count] = alone is not None and alone[i][number - 1]
            at += count
    return {"positions": positions, "part": part, "alone": hidden}


def mask(part, alone):
    """What is added to the scores of attention: [n, 1, length, length], 0 where a row's position sees a column's."""
    length = part.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=part.device).tril()
    same = part[:, :, None] == part[:, None, :]
    hidden = (alone[:, :, None] == 1) & (torch.arange(length, device=part.device) > 0)
    seen = (same | ((part == 0)[:, None, :] & ~hidden)) & before
    return torch.zeros(seen.shape, device=part.device).masked_fill(~seen, -torch.inf)[:, None]
