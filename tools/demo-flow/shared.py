"""The demo model's modules (world, scenes, questions, judge, text), and this model's numbers."""

import os
import sys
import tomllib
from pathlib import Path

import torch

HERE = Path(__file__).parent
DEMO = HERE.parent / "demo-model"
sys.path.append(str(DEMO))  # behind this folder: names here win
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it does not survive the fork of the data processes
torch.set_num_threads(1)
torch.set_float32_matmul_precision("high")  # tensor cores of a graphics card; without meaning on a CPU


BATCHES = ("batch", "prompts", "pictures")  # of a step, in any stage


def load_config(share=1.0, path=HERE / "config.toml"):
    """The numbers of config.toml, with a share of its batches: for a machine that has cores but no graphics card."""
    config = tomllib.loads(Path(path).read_text())
    for name, stage in config.items():
        if name.startswith("stage"):
            stage.update({key: max(1, round(share * stage[key])) for key in BATCHES if key in stage})
    return config
