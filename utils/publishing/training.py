"""How published weights were trained, from what the run left behind: the command, the curves, the time."""

import csv
import dataclasses
import shlex
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import RECIPES, TrainConfig
from utils.settings import to_plain, without_none

# What the run was called on the way, and what changes nothing about the result.
_LEFT_OUT = {"dir", "out", "resume", "split", "recipe", "device", "num_of_workers", "threads", "top_k"}
_COLUMNS = {
    "train_loss": "training loss",
    "valid_loss": "validation loss",
    "valid_dice": "mean Dice",
    "valid_defect_dice": "defect Dice",
    "valid_iou": "IoU",
}
_MOST_ROWS = 10


@dataclass(frozen=True)
class Training:
    """How a network came about.

    Attributes:
        command: what to type to train it again.
        epochs: how many were trained.
        seconds: training and validating; None where the run does not say.
        curves: title -> a number for each epoch of ``shown``.
        shown: epochs of the curves, counted from 1.
    """

    command: str
    epochs: int
    seconds: float | None
    curves: dict[str, list[float]]
    shown: list[int]

    @classmethod
    def of(cls, run: Path, settings: dict[str, Any]) -> "Training":
        """Read a run folder's ``history.csv``.

        Args:
            run: the folder.
            settings: of the run, as ``settings.to_plain`` gives them.
        """
        try:
            with open(run / "history.csv", newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except FileNotFoundError:
            rows = []
        times = [float(row[key]) for row in rows for key in ("train_seconds", "valid_seconds") if row.get(key)]
        step = max(1, -(-len(rows) // _MOST_ROWS))
        # The last epoch is always shown, and every step-th before it.
        shown = [number for number in range(1, len(rows) + 1) if (len(rows) - number) % step == 0]
        curves = {
            title: [float(rows[number - 1][key]) for number in shown]
            for key, title in _COLUMNS.items()
            if rows and all(row.get(key) for row in rows)
        }
        return cls(command(settings), len(rows), sum(times) if times else None, curves, shown)


def command(settings: dict[str, Any]) -> str:
    """Give the command line that trains with these settings: the recipe, and the flags that it does not set."""
    recipe = settings.get("recipe", "balanced-1000")
    usual = to_plain(TrainConfig(**{**RECIPES.get(recipe, {}), "recipe": recipe}))
    words = ["python", "Train.py", "-dir", "DATA", "-recipe", recipe]
    for name, value in settings.items():
        if name not in _LEFT_OUT and value != usual.get(name):
            words += [f"-{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    return shlex.join(words)


def without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave of paths only the last part, since folders on the publisher's disk are nobody's business."""
    kinds = typing.get_type_hints(TrainConfig)
    paths = {field.name for field in dataclasses.fields(TrainConfig) if without_none(kinds[field.name])[0] is Path}
    return {
        name: Path(str(value)).name if name in paths | {"encoder_weights"} else value
        for name, value in settings.items()
    }
