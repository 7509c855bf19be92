"""The demo model's modules (world, scenes, questions, judge, text), and this model's numbers."""

import sys
import tomllib
from pathlib import Path

import torch

HERE = Path(__file__).parent
DEMO = HERE.parent / "demo-model"
sys.path.append(str(DEMO))  # behind this folder: names here win
torch.set_num_threads(1)


def load_config(path=HERE / "config.toml"):
    return tomllib.loads(Path(path).read_text())
