"""Rows that hold several independent texts, so that a batch needs few rows and little padding.

Part 0 is the beginning that all texts of a row share (a picture, or nothing). Every other part sees part 0 and itself,
and its positions count on from part 0: its numbers are those of a row with it alone.
"""

import numpy as np

MULTIPLE = 8  # of the length of a row: attention kernels like it


class Row:
    def __init__(self, start=()):
        self.start = len(start)
        self.ids, self.parts, self.positions = list(start), [0] * len(start), list(range(len(start)))
        self.labels = [None] * len(start)

    def add(self, ids, labels=None):
        """Adds a part; `labels` say what each of its positions predicts, None for nothing. Gives where it starts."""
        at = len(self.ids)
        self.ids += ids
        self.labels += labels or [None] * len(ids)
        self.parts += [self.parts[-1] + 1 if self.parts else 1] * len(ids)
        self.positions += range(self.start, self.start + len(ids))
        return at


def stack(rows):
    """Rows as arrays [rows, length], padded on the right; and the labels with their places, counted through all rows."""
    width = -(-max(len(row.ids) for row in rows) // MULTIPLE) * MULTIPLE
    labels = [(number * width + i, label) for number, row in enumerate(rows)
              for i, label in enumerate(row.labels) if label is not None]
    at, answers = np.array(labels, np.int64).reshape(-1, 2).T
    return {"ids": padded([row.ids for row in rows], width, 0), "parts": padded([row.parts for row in rows], width, -1),
            "positions": padded([row.positions for row in rows], width, 0), "answers_at": at, "answers": answers}


def padded(rows, width, value):
    return np.array([row + [value] * (width - len(row)) for row in rows], np.int64)
