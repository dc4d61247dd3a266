"""The Dice that people train with beside the one that is scored: smoothed, and on probabilities.

Exact Dice is ``2 tp / (2 tp + fp + fn)`` of decided masks, 1 where both are empty. Smooth Dice adds ``SMOOTH`` pixels
above and below the bar. Soft Dice is smooth Dice with probabilities in place of decided pixels,
``(2 sum(p t) + 1) / (sum(p) + sum(t) + 1)``. Both are easy to optimise, and neither is the competition's score: on a clean
image smooth Dice forgives a few false pixels, and soft Dice pays for every bit of probability.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from utils.scoring.counts import Counts
from utils.scoring.scores import pair_dice
from utils.text import TOGETHER

SMOOTH = 1.0  # pixels


def soft_sums(
    probabilities: Iterable[np.ndarray], truth: np.ndarray, ignored: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sum up the probabilities of one image: all that soft Dice needs.

    Args:
        probabilities: of each class an (H, W) float64 array 0..1, one after the other: only one is in memory.
        truth: (C, H, W) bool.
        ignored: (H, W) bool, pixels that count as if they had the probability 0; none: all count.

    Returns:
        (2, C) float64: the sum over labelled pixels, and the sum over all pixels; and (C,) float64, the largest.
    """
    sums, peaks = np.zeros((2, len(truth))), np.zeros(len(truth))
    for index, plane in enumerate(probabilities):
        plane = plane if ignored is None else np.where(ignored, 0.0, plane)
        sums[:, index] = plane[truth[index]].sum(), plane.sum()
        peaks[index] = plane.max()
    return sums, peaks


@dataclass(frozen=True)
class ThreeDice:
    """Three kinds of Dice of the same pairs of image and class; ``defect_``: of the pairs with ground truth."""

    exact: float
    smooth: float
    soft: float
    defect_exact: float | None
    defect_smooth: float | None
    defect_soft: float | None


def compare_dice(counts: Counts, sums: np.ndarray, class_names: Sequence[str]) -> dict[str, ThreeDice]:
    """Compute the three kinds of Dice.

    Args:
        counts: of N >= 1 images and C classes.
        sums: (N, 2, C) float64, of each image what ``soft_sums`` gave, in the order of the counts.
        class_names: C names.

    Returns:
        By class name, and over all pairs by ``together``.
    """
    tp, fp, fn = (part.numpy().astype(np.float64) for part in (counts.tp, counts.fp, counts.fn))
    kinds = {
        "exact": pair_dice(counts).numpy(),
        "smooth": (2 * tp + SMOOTH) / (2 * tp + fp + fn + SMOOTH),
        "soft": (2 * sums[:, 0] + SMOOTH) / (sums[:, 1] + tp + fn + SMOOTH),
    }
    known = tp + fn > 0
    rows = {}
    for name, columns in [*((name, [k]) for k, name in enumerate(class_names)), (TOGETHER, [*range(len(class_names))])]:
        values: dict[str, Any] = {}
        for kind, dice in kinds.items():
            pairs, defects = dice[:, columns], known[:, columns]
            values[kind] = float(pairs.mean())
            values[f"defect_{kind}"] = float(pairs[defects].mean()) if defects.any() else None
        rows[name] = ThreeDice(**values)
    return rows


def to_dict(rows: dict[str, ThreeDice]) -> dict[str, Any]:
    """Return everything as plain dicts that JSON can hold."""
    return {"smooth_px": SMOOTH, **{name: asdict(row) for name, row in rows.items()}}
