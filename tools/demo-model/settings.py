"""Reads `config.toml`."""

import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROWS = ("batch", "drawing_rows", "picture_rows")


def load(path=HERE / "config.toml", device="cuda"):
    """All numbers, for a device: without a GPU the steps of most stages are smaller, by the table `cpu`."""
    config = tomllib.loads(Path(path).read_text())
    if device == "cpu":
        small = config["cpu"]
        for name in small["stages"]:
            stage = config[name]
            stage["lr"] *= small["lr"]
            for rows in ROWS:
                if rows in stage:
                    stage[rows] = max(1, round(stage[rows] * small["rows"]))
    return config
