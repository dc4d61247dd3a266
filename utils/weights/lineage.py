"""How published weights were trained, from what the runs left behind: the commands, the curves, the time."""

import csv
import dataclasses
import math
import shlex
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import RECIPES, SAID_BY_SPLIT, TrainConfig
from utils.errors import InputError
from utils.settings import to_plain, without_none
from utils.weights.run_files import HISTORY, PLACES, SPLIT

# What the run was called on the way, and what changes nothing about the result.
_LEFT_OUT = {*PLACES, "recipe", "device", "num_of_workers", "threads", "top_k"}
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
        commands: what to type to train it again, one line for each run that went on from the one before.
        encoder_file: ``file`` and ``sha256`` of the file of others that the encoder began with; None: none did.
        epochs: how many were trained in the last run.
        seconds: training and validating in the last run; None where it does not say.
        before: epochs and seconds of all earlier runs together; None where one of them does not say.
        curves: title -> a number for each epoch of ``shown``.
        shown: epochs of the curves, counted from 1.
    """

    commands: tuple[str, ...]
    encoder_file: dict[str, str] | None
    epochs: int
    seconds: float | None
    before: tuple[int, float] | None
    curves: dict[str, list[float]]
    shown: list[int]

    @property
    def spent(self) -> dict[str, Any]:
        """Epochs and seconds of the last run, for whoever goes on from the published file without that run's folder."""
        return {"epochs": self.epochs, "seconds": self.seconds} if self.seconds is not None else {}

    @classmethod
    def of(cls, run: Path, provenance: dict[str, Any]) -> "Training":
        """Read the history of a run folder.

        Args:
            run: the folder.
            provenance: of the run's weights file.

        Raises:
            InputError: the history is there and damaged.
        """
        try:
            with open(run / HISTORY, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except FileNotFoundError:
            rows = []
        except (ValueError, csv.Error):
            raise _damaged(run) from None
        for row in rows:
            spent = (row.get("train_seconds"), row.get("valid_seconds"))
            if "nan" in spent or not all(map(_is_figure, (*spent, *(row.get(key) for key in _COLUMNS)))):
                raise _damaged(run)
        times = [float(row[key]) for row in rows for key in ("train_seconds", "valid_seconds") if row.get(key)]
        step = max(1, -(-len(rows) // _MOST_ROWS))
        # The last epoch is always shown, and every step-th before it.
        shown = [number for number in range(1, len(rows) + 1) if (len(rows) - number) % step == 0]
        curves = {
            title: [float(rows[number - 1][key]) for number in shown]
            for key, title in _COLUMNS.items()
            if rows and all(row.get(key) for row in rows)
        }
        earlier = runs(provenance)[:-1]
        known = all("seconds" in one for one in earlier)
        before = (sum(one["epochs"] for one in earlier), sum(one["seconds"] for one in earlier)) if known else None
        began = runs(provenance)[0].get("encoder_file")
        return cls(commands(provenance), began, len(rows), sum(times) if times else None, before, curves, shown)


def _is_figure(text: Any) -> bool:
    """Check whether a cell of the history is a number, or empty as where there is none."""
    try:
        return not text or text == "nan" or math.isfinite(float(text))
    except (ValueError, TypeError):
        return False


def _damaged(run: Path) -> InputError:
    return InputError(f"{run / HISTORY}: damaged; restore it, or remove it (the card then has no learning curves)")


def runs(provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the provenance of each run that a network went through, the first one first."""
    found = [provenance]
    while "started_from" in found[-1]:
        found.append(found[-1]["started_from"])
    return found[::-1]


def commands(provenance: dict[str, Any]) -> tuple[str, ...]:
    """Return the command lines that train a network again, one for each run.

    A run that goes on from another takes that one's weights, and its split where it has the same data.
    """
    stages = runs(provenance)
    lines = []
    for number, stage in enumerate(stages, 1):
        settings = dict(stage.get("config", {}))
        more = [] if len(stages) == 1 else ["-out", f"runs/{number}"]
        if number > 1:
            flag = stages[number - 2]["flag"]
            settings.pop(flag, None)
            more += [f"-{flag}", f"runs/{number - 1}/*.pth"]
            if stage.get("data_fingerprint") == stages[0].get("data_fingerprint"):
                more += ["-split", f"runs/1/{SPLIT}"]
                settings = {name: value for name, value in settings.items() if name not in SAID_BY_SPLIT}
        lines.append(" ".join([command(settings), *more]))
    return tuple(lines)


def command(settings: dict[str, Any]) -> str:
    """Return the command line that trains with these settings: the recipe, and the flags that it does not set."""
    recipe = settings.get("recipe", "balanced-1000")
    usual = to_plain(TrainConfig(**{**RECIPES.get(recipe, {}), "recipe": recipe}))
    words = ["python", "Train.py", "-dir", "DATA", "-recipe", recipe]
    for name, value in settings.items():
        if name not in _LEFT_OUT and value != usual.get(name):
            words += [f"-{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    return shlex.join(words)


def without_places(provenance: dict[str, Any]) -> dict[str, Any]:
    """Leave of the paths in a provenance only the last part: folders on the publisher's disk are nobody's business."""
    cleaned = {**provenance, "config": _without_folders(provenance.get("config", {}))}
    if "started_from" in provenance:
        cleaned["started_from"] = without_places(provenance["started_from"])
    return cleaned


def _without_folders(settings: dict[str, Any]) -> dict[str, Any]:
    kinds = typing.get_type_hints(TrainConfig)
    paths = {field.name for field in dataclasses.fields(TrainConfig) if without_none(kinds[field.name])[0] is Path}
    settings = {
        name: Path(str(value)).name if name in paths | {"encoder_weights"} else value
        for name, value in settings.items()
    }
    if "teacher" in settings:
        settings["teacher"] = ",".join(Path(source).name for source in str(settings["teacher"]).split(","))
    return settings
