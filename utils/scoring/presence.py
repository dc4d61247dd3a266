"""Image by image: is there a defect, of which class? Reports, confusion matrices and curves by scikit-learn."""

from dataclasses import dataclass
from typing import Any

import numpy as np

NO_DEFECT = "NoDefect"
AVERAGES = ("micro avg", "macro avg", "weighted avg", "samples avg")


@dataclass(frozen=True, eq=False)
class Curves:
    """ROC and precision-recall curve of one label.

    Attributes:
        false_positive_rate: (R,) of the ROC curve, rising.
        true_positive_rate: (R,) likewise.
        recall: (P,) of the precision-recall curve, falling.
        precision: (P,) likewise.
        roc_auc: area under the ROC curve, 0..1.
        average_precision: sum of precision times step of recall, 0..1.
    """

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    roc_auc: float
    average_precision: float


@dataclass(frozen=True, eq=False)
class Presence:
    """What is known about images as a whole.

    Labels are ``hasDefect_1`` .. ``hasDefect_C`` (of a network for one class, that class's number) and ``NoDefect``, which
    an image has when it has none of the others.

    Attributes:
        report: by label and by average (``AVERAGES``): precision, recall, f1-score, support. Ratios of nothing are 0.
        confusion: by label [[true negatives, false positives], [false negatives, true positives]] in images.
        numbers: (M, M) images by number of classes, labelled (row) against predicted (column).
        curves: by label; None where all images have the label, or none has.
    """

    report: dict[str, dict[str, float]]
    confusion: dict[str, list[list[int]]]
    numbers: np.ndarray
    curves: dict[str, Curves | None]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain dicts and lists that JSON can hold; curves by their areas."""
        return {
            "report": self.report,
            "confusion": self.confusion,
            "number_of_classes": self.numbers.tolist(),
            "roc_auc": {name: curves and curves.roc_auc for name, curves in self.curves.items()},
            "average_precision": {name: curves and curves.average_precision for name, curves in self.curves.items()},
        }


def label_names(classes: int, first_class: int = 1) -> list[str]:
    """Name the labels of an image: one for each class, numbered from ``first_class``, and one for none."""
    return [*(f"hasDefect_{k}" for k in range(first_class, first_class + classes)), NO_DEFECT]


def presence(truth: np.ndarray, predicted: np.ndarray, scores: np.ndarray, first_class: int = 1) -> Presence:
    """Compare what images show with what was said about them.

    Args:
        truth: (N, C) bool, N >= 1 images, whether the class is labelled there.
        predicted: (N, C) bool, whether it was predicted there.
        scores: (N, C) float 0..1, the larger the likelier the class is there. ``NoDefect`` scores 1 minus the largest.
        first_class: number of the first class.
    """
    from sklearn.metrics import classification_report, confusion_matrix, multilabel_confusion_matrix

    names = label_names(truth.shape[1], first_class)
    true, said = (np.column_stack([part, ~part.any(axis=1)]) for part in (truth, predicted))
    scored = np.column_stack([scores, 1 - scores.max(axis=1)])
    report = classification_report(true, said, target_names=names, output_dict=True, zero_division=0)
    matrices = multilabel_confusion_matrix(true, said)
    numbers = truth.sum(axis=1), predicted.sum(axis=1)
    largest = max(int(part.max()) for part in numbers)
    return Presence(
        report={name: _plain(report[name]) for name in (*names, *AVERAGES)},
        confusion={name: matrix.tolist() for name, matrix in zip(names, matrices, strict=True)},
        numbers=confusion_matrix(*numbers, labels=range(max(largest, 1) + 1)),
        curves={name: _curves(true[:, k], scored[:, k]) for k, name in enumerate(names)},
    )


def _plain(row: dict[str, float]) -> dict[str, float]:
    return {name: int(value) if name == "support" else float(value) for name, value in row.items()}


def _curves(true: np.ndarray, scores: np.ndarray) -> Curves | None:
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    if true.all() or not true.any():
        return None
    false_rate, true_rate, _ = roc_curve(true, scores)
    precision, recall, _ = precision_recall_curve(true, scores, drop_intermediate=True)
    area, average = auc(false_rate, true_rate), average_precision_score(true, scores)
    return Curves(false_rate, true_rate, recall, precision, float(area), float(average))
