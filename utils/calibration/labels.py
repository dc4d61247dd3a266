"""Thresholds of a network that judges whole images: from which probability on an image has a label."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from utils.calibration.result import EQUAL, NOTHING_BETTER
from utils.calibration.solving import make_folds
from utils.text import columns


@dataclass(frozen=True)
class LabelResult:
    """What was found for one label.

    Attributes:
        before: threshold in use until now.
        after: threshold to be used: the best, or ``before`` where the gain does not hold on other images.
        f1_before: with ``before``.
        f1_in_sample: with what is best on these images.
        f1_cross_fitted: each part of the images with what is best on the others.
        f1_same_answer: of the better one of two networks that look at nothing: always yes, or always no.
        recall: with ``after``; None without any image that has the label.
        false_alarms: with ``after``, images per 1,000 without the label that are said to have it; None without any.
    """

    before: float
    after: float
    f1_before: float
    f1_in_sample: float
    f1_cross_fitted: float
    f1_same_answer: float
    recall: float | None
    false_alarms: float | None

    def finds_nothing(self, recall_wanted: bool) -> bool:
        """Check whether the label is told no better than by giving every image the same answer.

        Args:
            recall_wanted: the recall decides, as under a rate of false alarms.
        """
        if recall_wanted:
            return self.recall == 0
        worth = self.f1_before if self.after == self.before else self.f1_cross_fitted
        return bool(self.f1_same_answer) and worth <= self.f1_same_answer + EQUAL


@dataclass(frozen=True)
class LabelCalibration:
    """The thresholds of all labels, and what they are worth.

    Attributes:
        images: number of images.
        folds: parts of the cross-fitted figures.
        target: largest number of false alarms per 1,000 images without the label; None: the best F1 was wanted.
        labels: by name.
    """

    images: int
    folds: int
    target: float | None
    labels: dict[str, LabelResult]

    @property
    def thresholds(self) -> tuple[float, ...]:
        """What is to be used."""
        return tuple(one.after for one in self.labels.values())

    @property
    def changed(self) -> bool:
        """Whether any label has a new threshold."""
        return any(one.after != one.before for one in self.labels.values())

    @property
    def finds_nothing(self) -> bool:
        """Whether no label is told better than by giving every image the same answer, although there is one to tell."""
        known = [one for one in self.labels.values() if one.f1_same_answer]
        return bool(known) and all(one.finds_nothing(self.target is not None) for one in known)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts that JSON can hold."""
        return {
            "images": self.images,
            "folds": self.folds,
            "target_false_alarms": self.target,
            "changed": self.changed,
            "finds_nothing": self.finds_nothing,
            "labels": {name: asdict(one) for name, one in self.labels.items()},
        }

    def text(self) -> str:
        """Format thresholds and gains for a terminal."""
        rows = [["label", "threshold", "F1 before", "in-sample", "cross-fitted", "recall", "false alarms", ""]]
        for name, one in self.labels.items():
            f1 = (f"{value:.4f}" for value in (one.f1_before, one.f1_in_sample, one.f1_cross_fitted))
            rates = [
                "-" if value is None else f"{value:{kind}}"
                for value, kind in ((one.recall, ".3f"), (one.false_alarms, ".1f"))
            ]
            rows.append([name, f"{one.after:.4f}", *f1, *rates, "kept" if one.after == one.before else ""])
        wanted = "the best F1" if self.target is None else f"the best recall with at most {self.target:g} false alarms"
        lines = [
            columns(rows),
            "",
            f"calibrated for {wanted} on {self.images} images; false alarms: images per 1,000 without the label",
        ]
        if self.finds_nothing:
            why = "the same answer for every image has as good an F1" if self.target is None else "no image is recalled"
            lines.append(f"{NOTHING_BETTER}: {why}")
        else:
            lines += [
                f"label {name}: F1 {one.f1_cross_fitted:.4f}; the same answer for every image has {one.f1_same_answer:.4f}:"
                " finds nothing better than nothing"
                for name, one in self.labels.items()
                if one.finds_nothing(self.target is not None)
            ]
        return "\n".join(lines)


def choose_thresholds(
    names: Sequence[str],
    probabilities: np.ndarray,
    truth: np.ndarray,
    now: Sequence[float],
    groups: np.ndarray,
    *,
    folds: int,
    seed: int,
    target: float | None = None,
) -> LabelCalibration:
    """Choose the threshold of every label.

    Args:
        names: of the L labels.
        probabilities: (N, L) 0..1.
        truth: (N, L) bool.
        now: L thresholds in use.
        groups: (N,) images of one group are never parted.
        folds: parts of the images, 3 or more.
        seed: fixes the parts.
        target: largest number of false alarms per 1,000 images without the label; None: the best F1 is wanted.
    """
    rank = np.argsort(np.argsort(-truth.sum(axis=0), kind="stable"), kind="stable") + 1
    fold_of = make_folds(groups, (truth * rank).max(axis=1), folds, seed)
    labels = {
        name: _choose_one(probabilities[:, k].astype(np.float64), truth[:, k], float(now[k]), fold_of, target)
        for k, name in enumerate(names)
    }
    return LabelCalibration(len(truth), int(fold_of.max()) + 1, target, labels)


def _choose_one(p: np.ndarray, truth: np.ndarray, now: float, fold_of: np.ndarray, target: float | None) -> LabelResult:
    best = _best(p, truth, now, target)
    crossed = np.empty(len(p))
    for fold in range(int(fold_of.max()) + 1):
        crossed[fold_of == fold] = _best(p[fold_of != fold], truth[fold_of != fold], now, target)
    before, in_sample, honest = (_f1(p >= threshold, truth) for threshold in (now, best, crossed))
    after = best if target is not None or honest > before + EQUAL else now
    said = p >= after
    positives = int(truth.sum())
    return LabelResult(
        now,
        after,
        before,
        in_sample,
        honest,
        _f1(np.ones(len(p), np.bool_), truth),
        float((said & truth).sum() / positives) if positives else None,
        1000 * float((said & ~truth).sum()) / (len(p) - positives) if positives < len(p) else None,
    )


def _best(p: np.ndarray, truth: np.ndarray, now: float, target: float | None) -> float:
    """Choose the best threshold on some images: midway between two probabilities, of equals the nearest to ``now``."""
    if truth.all() or not truth.any():
        return now
    values = np.unique(p)
    tried = np.unique([now, values[0] / 2, *((values[1:] + values[:-1]) / 2), (values[-1] + 1) / 2])
    # By sorting: each threshold beside each image is ten GB for 100,000 of them.
    hit, false = (np.count_nonzero(part) - np.searchsorted(np.sort(p[part]), tried) for part in (truth, ~truth))
    if target is None:
        worth = 2 * hit / (hit + false + truth.sum())
    else:
        allowed = false <= target * np.count_nonzero(~truth) / 1000 + EQUAL
        worth = np.where(allowed, hit, -1.0 - false)
    equal = tried[worth >= worth.max() - EQUAL]
    return float(equal[np.argmin(abs(equal - now))])


def _f1(said: np.ndarray, truth: np.ndarray) -> float:
    both = said.sum() + truth.sum()
    return float(2 * (said & truth).sum() / both) if both else 0.0
