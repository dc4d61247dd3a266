"""How far a score would move on other images of the same kind: images are drawn again, with replacement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.scoring.counts import Counts
from utils.scoring.scores import pair_dice
from utils.text import TOGETHER

LEVEL = 0.95
_BATCH = 2**21  # drawn images at once: bounds the memory to some ten MB


@dataclass(frozen=True)
class Intervals:
    """Bootstrap intervals of mean Dice and defect-only Dice (Efron and Tibshirani 1993, percentile method).

    Attributes:
        level: share of the resamples that lie inside, 0..1.
        resamples: number of times that as many images as there are were drawn with replacement.
        seed: of ``numpy.random.default_rng``; resample r takes the r-th N numbers of ``integers(0, N)``, which point
            at the images sorted by name.
        mean_dice: by class name and ``together``: low and high end.
        defect_dice: likewise; resamples without any ground truth are left out, None when all are.
    """

    level: float
    resamples: int
    seed: int
    mean_dice: dict[str, tuple[float, float]]
    defect_dice: dict[str, tuple[float, float] | None]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts and lists that JSON can hold."""
        plain = {
            name: {key: ends if ends is None else list(ends) for key, ends in getattr(self, name).items()}
            for name in ("mean_dice", "defect_dice")
        }
        return {"level": self.level, "resamples": self.resamples, "seed": self.seed, **plain}


def bootstrap(counts: Counts, class_names: Sequence[str], resamples: int, seed: int) -> Intervals:
    """Draw the images again and again, and see how the scores scatter.

    Images are drawn, not pairs of image and class: the classes of one image depend on each other.

    Args:
        counts: of N >= 1 images and C classes.
        class_names: C names.
        resamples: at least 1; 2,000 fix the ends of a 95 % interval to about a twentieth of its width.
        seed: fixes the drawing.
    """
    counts = counts.sorted_by_image()
    dice = pair_dice(counts).numpy()
    known = ((counts.tp + counts.fn) > 0).numpy().astype(np.float64)
    # Every score is a ratio of sums over images, and a resample gives each image a weight: one product of matrices.
    sums = resampled(np.concatenate([dice, dice * known, known], axis=1), resamples, seed)
    classes = len(class_names)
    all_pairs, defects, number = sums[:, :classes], sums[:, classes : 2 * classes], sums[:, 2 * classes :]
    mean = {name: all_pairs[:, k] / len(dice) for k, name in enumerate(class_names)}
    mean[TOGETHER] = all_pairs.sum(1) / (len(dice) * classes)
    only = {name: _ratio(defects[:, k], number[:, k]) for k, name in enumerate(class_names)}
    only[TOGETHER] = _ratio(defects.sum(1), number.sum(1))
    return Intervals(
        LEVEL,
        resamples,
        seed,
        {name: ends(values) for name, values in mean.items()},
        {name: ends(values) if len(values) else None for name, values in only.items()},
    )


def resampled(columns: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Compute the sums of (N, K) columns over each resample of the rows: (resamples, K)."""
    rng, rows = np.random.default_rng(seed), len(columns)
    sums = np.empty((resamples, columns.shape[1]))
    step = max(1, _BATCH // rows)
    for start in range(0, resamples, step):
        number = min(step, resamples - start)
        drawn = rng.integers(0, rows, (number, rows)) + np.arange(number)[:, None] * rows
        weights = np.bincount(drawn.ravel(), minlength=number * rows).reshape(number, rows)
        sums[start : start + number] = weights.astype(np.float64) @ columns
    return sums


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return over[under > 0] / under[under > 0]


def ends(values: np.ndarray) -> tuple[float, float]:
    """Return the low and the high end of the interval of some resampled values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
