"""The learning curves of a run, from its ``history.csv``."""

import csv
import math
from pathlib import Path

from matplotlib.figure import Figure

from utils.reporting import plots
from utils.reporting.page import Plot, Row, Text

History = dict[str, list[float]]  # by column, a number an epoch; not a number where there is none


def read_history(path: Path) -> History | None:
    """Read the numbers of a ``history.csv``; None when there is no such file or nothing in it that can be read."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None
    if not rows or not all(math.isfinite(_number(row.get("epoch"))) for row in rows):
        return None
    return {name: [_number(row.get(name)) for row in rows] for name in rows[0] if name}


def learning_parts(history: History | None, class_names: tuple[str, ...]) -> list[Text | Row]:
    """Draw how loss, Dice and learning rates went, epoch by epoch.

    Args:
        history: of the run; None when the weights do not lie in a run folder.
        class_names: of the scored classes, for their colours.
    """
    if history is None:
        return [Text("The weights file does not lie in a run folder with a history.csv: there are no curves to show.")]
    epochs = history["epoch"]
    charts = [
        ("loss", {"training": "train_loss", "validation": "valid_loss"}, "loss", "Loss of training and validation."),
        (
            "Dice",
            {
                "mean": "valid_dice",
                "defects only": "valid_defect_dice",
                "empty": "valid_empty_baseline",
                "soft": "valid_soft_dice",
            },
            "Dice, 0 to 1",
            "Dice on the validation images; defects only: where there is a defect to find; empty: what predicting nothing scores; soft: of probabilities.",
        ),
        (
            "scores of images",
            {"F1": "valid_f1", "ROC area": "valid_roc_auc", "average precision": "valid_average_precision"},
            "score, 0 to 1",
            "Scores of the answers about whole images, mean of the labels, on the validation images.",
        ),
        (
            "Dice of each class",
            {name: f"valid_dice_{name}" for name in class_names} if len(class_names) > 1 else {},
            "Dice, 0 to 1",
            "Mean Dice of each class on the validation images.",
        ),
        (
            "learning rate",
            {name.removeprefix("lr_"): name for name in history if name.startswith("lr_")},
            "learning rate",
            "Learning rate of each part of the network.",
        ),
    ]
    drawn = []
    for what, columns, label, caption in charts:
        series = [(name, epochs, history[column]) for name, column in columns.items() if column in history]
        series = [one for one in series if any(map(math.isfinite, one[2]))]
        if series:
            drawn.append(Plot(_curves(series, label, what == "learning rate"), f"{what} over epochs", caption))
    best = _best(history)
    words = f"{len(epochs)} epochs" + (f"; the best mean Dice came in epoch {best}." if best else ".")
    return [Text(words), Row(drawn)] if drawn else [Text(words)]


def _curves(series: list[tuple[str, list[float], list[float]]], label: str, log: bool) -> Figure:
    positive = all(y > 0 for _, _, values in series for y in values if math.isfinite(y))
    figure = plots.draw_curves(series, "epoch", label, y_log=log and positive)
    plots.whole_numbers(figure.axes[0])
    return figure


def _best(history: History) -> int | None:
    dice = history.get("valid_dice", [])
    known = [n for n, value in enumerate(dice) if math.isfinite(value)]
    return int(history["epoch"][max(known, key=dice.__getitem__)]) if known else None


def _number(text: str | None) -> float:
    try:
        number = float(text or "nan")
    except ValueError:
        return math.nan
    return number if abs(number) < 1e30 else math.nan  # beyond that no axis can be drawn
