"""The data of the steps, made by processes beside the training and handed over as one piece of memory a step."""

import random

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


def packed(arrays):
    """{name: array of integers} as (its shapes, one tensor): one transfer to the device instead of many."""
    shapes = {name: array.shape for name, array in arrays.items()}
    return shapes, torch.from_numpy(np.concatenate([array.ravel() for array in arrays.values()]).astype(np.int32))


def unpacked(shapes, together, device):
    """The inverse, on the device."""
    together = together.to(device, non_blocking=True).long()
    parts = together.split([int(np.prod(shape)) for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts)}


class Steps(Dataset):
    """Item `i` is the data of step `i`, by the seed and the stage alone."""

    def __init__(self, stage, seed, data):
        self.stage, self.seed, self.data = stage, seed, data

    def __getitem__(self, step):
        return packed(self.data(random.Random(f"{self.seed} {self.stage} {step}")))


class From:
    """All steps from one on, without end."""

    def __init__(self, step):
        self.step = step

    def __iter__(self):
        step = self.step
        while True:
            yield step
            step += 1


def batches(stage, config, data, step, options):
    """An endless iterator over the data of the steps from `step` on, in their order."""
    beside = {"multiprocessing_context": "fork", "prefetch_factor": 4} if options.loaders else {}
    return iter(DataLoader(
        Steps(stage, config["optimiser"]["seed"], data), batch_size=None, sampler=From(step),
        num_workers=options.loaders, pin_memory=options.device != "cpu", **beside))
