"""The figures of an evaluation as CSV files, so that anybody can compute with them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.tables import TableWriter
from utils.files import replacing
from utils.inference.outputs import CsvTable
from utils.scoring.evaluation import Evaluation
from utils.scoring.objects import AREAS, OBJECT
from utils.scoring.scores import pair_dice
from utils.text import TOGETHER

NOTHING = "no defect"  # in the table of confusion


class Objects(CsvTable):
    """``objects.csv``: a row for every labelled and every predicted defect, written while images go by.

    Args:
        path: of the table.
        class_names: of the scored classes.
        first_class: number of the first of them.
    """

    header = ("image", "side", "class_id", "name", "area_px", "x", "y", "width", "height", "overlap_px")

    def __init__(self, path: Path, class_names: Sequence[str], first_class: int = 1) -> None:
        super().__init__(path)
        self.class_names, self.first_class = class_names, first_class

    def collect(self, image: str, objects: np.ndarray) -> None:
        """Append the defects of an image, a table of dtype ``OBJECT``."""
        assert objects.dtype == OBJECT
        self.write(
            (
                image,
                "labelled" if labelled else "predicted",
                self.first_class + mask - 1,
                self.class_names[mask - 1],
                *rest,
            )
            for labelled, mask, *rest in objects.tolist()
        )


def write_tables(folder: Path, evaluation: Evaluation) -> list[str]:
    """Write every table that is made at the end; returns their names."""
    tables = {
        "scores.csv": _pairs(evaluation),
        "classes.csv": _classes(evaluation),
        "sizes.csv": _sizes(evaluation),
        "curves.csv": _curves(evaluation),
        "confusion.csv": _confusion(evaluation),
    }
    for name, rows in tables.items():
        with replacing(folder / name) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            TableWriter(file).writerows(rows)
    return list(tables)


def _pairs(evaluation: Evaluation) -> Iterable[Sequence[Any]]:
    """A row for every image and class. Sums and scores have all their digits: the report can be computed from them."""
    counts, dice = evaluation.counts, pair_dice(evaluation.counts).numpy()
    pixels = [part.numpy() for part in (counts.tp, counts.fp, counts.fn, counts.tn)]
    yield ("image", "class_id", "name", "tp", "fp", "fn", "tn", "dice", "score", "soft_tp", "soft_predicted")
    for row, image in enumerate(counts.images):
        for k, name in enumerate(evaluation.class_names):
            floats = (evaluation.image_scores[row, k], *evaluation.sums[row, :, k])
            numbers = (int(part[row, k]) for part in pixels)
            yield (
                image,
                evaluation.first_class + k,
                name,
                *numbers,
                f"{dice[row, k]:.6f}",
                *(repr(float(value)) for value in floats),
            )


def _classes(evaluation: Evaluation) -> Iterable[Sequence[Any]]:
    """A row for every class and one for all: the scores, and the ends of their intervals where there are any."""
    scores, intervals = evaluation.scores, evaluation.intervals
    columns = list(vars(scores.together))
    ends = ("mean_dice_low", "mean_dice_high", "defect_dice_low", "defect_dice_high")
    yield ("name", *columns, *(ends if intervals else ()))
    for name, score in [*scores.classes.items(), (TOGETHER, scores.together)]:
        inside = (*intervals.mean_dice[name], *(intervals.defect_dice[name] or (None, None))) if intervals else ()
        yield (name, *(getattr(score, column) for column in columns), *inside)


def _sizes(evaluation: Evaluation) -> Iterable[Sequence[Any]]:
    """A row for every class and size: labelled, found, missed, predicted and false defects."""
    objects = evaluation.objects
    kinds = ("labelled", "found", "partly", "missed", "predicted", "false")
    yield ("class_id", "name", "area_from_px", "area_to_px", *kinds)
    for k, name in enumerate(evaluation.class_names):
        for size, (low, high) in enumerate(zip(AREAS, (*AREAS[1:], None), strict=True)):
            numbers = (int(getattr(objects, kind)[k, size]) for kind in kinds)
            yield (evaluation.first_class + k, name, low, high - 1 if high else None, *numbers)


def _confusion(evaluation: Evaluation) -> Iterable[Sequence[Any]]:
    """A row for every labelled class, the last one for no label; a column for what its defects are taken for."""
    yield ("labelled", *evaluation.class_names, NOTHING)
    for name, row in zip((*evaluation.class_names, NOTHING), evaluation.confusion.tolist(), strict=True):
        yield (name, *row)


def _curves(evaluation: Evaluation) -> Iterable[Sequence[Any]]:
    """ROC (x: false positive rate, y: true positive rate) and precision over recall (x: recall, y: precision)."""
    yield ("label", "curve", "x", "y")
    for label, curves in evaluation.presence.curves.items():
        if curves:
            for x, y in zip(curves.false_positive_rate, curves.true_positive_rate, strict=True):
                yield (label, "roc", float(x), float(y))
            for x, y in zip(curves.recall, curves.precision, strict=True):
                yield (label, "precision_recall", float(x), float(y))
