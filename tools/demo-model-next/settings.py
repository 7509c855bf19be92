"""Reads `config.toml`, and where the work files go."""

import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def load(path=HERE / "config.toml"):
    return tomllib.loads(Path(path).read_text())
