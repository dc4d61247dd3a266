"""Images as a whole: what the report says about which image shows which class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.reporting import plots
from utils.reporting.page import Picture, Plot, Row, Table, Text, shown
from utils.scoring.presence import AVERAGES, Curves, Presence

NONE = "no defect"


def presence_parts(presence: Presence, names: Sequence[str], decided: str, scored: str) -> list[Any]:
    """Build the sections of the classification report, the confusion matrices and the curves.

    Args:
        presence: the figures.
        names: of the classes.
        decided: a sentence about when an image is predicted to show a class.
        scored: a sentence about what its score for a class is.
    """
    # In the order of the classes; of a network for one class the label has that class's number.
    meaning = dict(zip(presence.curves, [*map(shown, names), NONE], strict=True))
    rows = [
        [meaning.get(label, label), row["precision"], row["recall"], row["f1-score"], int(row["support"])]
        for label, row in _supported(presence).items()
    ]
    in_files = ", ".join(f"{label} is {name}" for label, name in meaning.items())
    squares: list[Plot | Picture | Table] = [
        Plot(
            _square(label, np.array(matrix)),
            f"confusion matrix of {meaning[label]}: {matrix}",
            f"Images with {meaning[label]}" if meaning[label] != NONE else "Images without any class",
        )
        for label, matrix in presence.confusion.items()
    ]
    numbers = [str(k) for k in range(len(presence.numbers))]
    side = 2.2 + 0.6 * len(numbers)
    many = plots.draw_matrix(
        presence.numbers, numbers, numbers, "predicted number of classes", "labelled number", size=(1.3 * side, side)
    )
    return [
        Text(f"Each image as a whole. {decided} In metrics.json and curves.csv {in_files}."),
        Table(
            ["images with", "precision", "recall", "f1", "images (support)"],
            rows,
            "Classification report of scikit-learn; macro avg is the mean of the classes that some image has. Ratios without"
            " anything to divide by count 0.",
            last=len(AVERAGES),
        ),
        Row(squares, width=300),
        Plot(
            many,
            "matrix of the number of defect classes, labelled against predicted",
            "Images by number of defect classes, labelled (row) against predicted (column).",
        ),
        Row(_score_curves(presence, names)),
        Text(
            f"ROC and precision-recall curves need a score rather than a decision. {scored} {NONE[0].upper()}{NONE[1:]} scores 1 minus"
            " the largest of these."
        ),
        Table(
            ["images with", "area under ROC", "average precision"],
            [
                [meaning[label], curves and curves.roc_auc, curves and curves.average_precision]
                for label, curves in presence.curves.items()
            ],
            "A dash: all images have it, or none has.",
        ),
    ]


def _supported(presence: Presence) -> dict[str, dict[str, float]]:
    """Return the report with a macro average over the labels that some image has: a class without any says nothing."""
    known = [row for label, row in presence.report.items() if label not in AVERAGES and row["support"]]
    macro = {key: float(np.mean([row[key] for row in known])) for key in ("precision", "recall", "f1-score")}
    support = presence.report["macro avg"]["support"]
    return {**presence.report, "macro avg": {**macro, "support": support}}


def _square(label: str, matrix: np.ndarray) -> Figure:
    return plots.draw_matrix(matrix, ["no", "yes"], ["no", "yes"], "predicted", "labelled", size=(4.0, 3.2))


def _score_curves(presence: Presence, names: Sequence[str]) -> list[Plot]:
    known = {label: curves for label, curves in presence.curves.items() if curves}
    if not known:
        return []
    order = list(presence.curves)
    named = dict(zip(order, [*map(shown, names), NONE], strict=True))
    colours = [order.index(label) for label in known]
    kinds = (
        ("ROC curves", "false positive rate (share of images without it), 0 to 1", "true positive rate, 0 to 1", _roc),
        ("precision-recall curves", "recall (share of images with it), 0 to 1", "precision, 0 to 1", _precision_recall),
    )
    drawn = []
    for caption, x_label, y_label, points in kinds:
        series = [(named[label], *points(curves)) for label, curves in known.items()]
        figure = plots.draw_curves(series, x_label, y_label, colours=colours)
        if points is _precision_recall:  # between two points of it precision is not in between
            for line in figure.axes[0].lines:
                line.set_drawstyle("steps-post")
        figure.axes[0].set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        drawn.append(Plot(figure, caption, f"{caption[0].upper()}{caption[1:]}."))
    return drawn


def _roc(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    return _thin(curves.false_positive_rate, curves.true_positive_rate)


def _precision_recall(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    return _thin(curves.recall, curves.precision)


def _thin(x: np.ndarray, y: np.ndarray, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Keep as many points as a plot can show; ``curves.csv`` has them all."""
    rows = np.unique(np.linspace(0, len(x) - 1, points).round().astype(int))
    return x[rows], y[rows]
