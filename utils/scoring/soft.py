"""Soft Dice during training: image by image in tensors on any device; ``smooth`` has the same of a whole evaluation.

A network may have a good soft Dice and a bad exact one: soft Dice as a loss is content with isolated false positives.
The two side by side show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from utils.scoring.rows import ImageRows
from utils.scoring.smooth import SMOOTH


def soft_count(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum probabilities over the pixels of every image and class.

    Args:
        probabilities: (N, C, H, W) float, 0..1, on any device.
        target: the same shape and device, bool or uint8, nonzero = defect.

    Returns:
        Sums of p t, of p and of t: (N, C) float64, on the same device.

    Raises:
        ValueError: the shapes differ.
    """
    if probabilities.shape != target.shape or target.ndim != 4:
        raise ValueError(f"expected two (N, C, H, W), got {tuple(probabilities.shape)} and {tuple(target.shape)}")
    # Floats of the same kind: torch.where and a sum of bool each take several times as long on a CPU.
    truth = target.bool().to(probabilities.dtype)
    # Sums of a million float32 in pairs (torch's way) are exact to six digits; widening every pixel would cost more.
    true = truth.sum((2, 3)).double()
    both = truth.mul_(probabilities).sum((2, 3)).double()  # in place: another array costs more than the product
    return both, probabilities.sum((2, 3)).double(), true


class SoftCounts(ImageRows):
    """Soft sums of many images, in the order in which they were added."""

    KINDS, DTYPE, WORD = 3, torch.float64, "sums"

    @property
    def both(self) -> Tensor:
        """Sums of p t, ``(N, C)`` float64."""
        return self.table[0]

    @property
    def predicted(self) -> Tensor:
        """Sums of p, ``(N, C)`` float64."""
        return self.table[1]

    @property
    def true(self) -> Tensor:
        """Sums of t, ``(N, C)`` float64."""
        return self.table[2]

    def add(self, images: Sequence[str], both: Tensor, predicted: Tensor, true: Tensor) -> None:
        """Append the sums of one batch, as ``soft_count`` gives them.

        Raises:
            ValueError: a shape does not fit the names or the classes so far.
        """
        self._append(images, (both, predicted, true))


@dataclass(frozen=True)
class SoftDice:
    """Mean soft Dice of a set of images, to be read beside ``Scores``.

    Attributes:
        soft_dice: of all image-class pairs, 0..1.
        defect_soft_dice: of the pairs that have ground truth; None without any.
        classes: the same two of each class by its name.
    """

    soft_dice: float
    defect_soft_dice: float | None
    classes: dict[str, "SoftDice"] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the two numbers as a plain dict."""
        return {"soft_dice": self.soft_dice, "defect_soft_dice": self.defect_soft_dice}


def soft_dice(counts: SoftCounts, class_names: Sequence[str]) -> SoftDice:
    """Compute (2 sum p t + 1) / (sum p + sum t + 1) of every image and class, and its means.

    Args:
        counts: of N >= 1 images and C classes; their order does not matter, nor do images that were added twice.
        class_names: C different names.

    Raises:
        ValueError: there is no image, or the names are not C different ones.
    """
    counts = counts.sorted_by_image()
    if not counts.images:
        raise ValueError("no image to score")
    if len(set(class_names)) != len(class_names) or counts.true.shape[1] != len(class_names):
        raise ValueError(f"expected {counts.true.shape[1]} different class names, got {', '.join(class_names)}")
    dice = (2 * counts.both + SMOOTH) / (counts.predicted + counts.true + SMOOTH)
    known = counts.true > 0
    classes = {name: _means(dice[:, k], known[:, k]) for k, name in enumerate(class_names)}
    together = _means(dice, known)
    return SoftDice(together.soft_dice, together.defect_soft_dice, classes)


def _means(dice: Tensor, known: Tensor) -> SoftDice:
    return SoftDice(float(dice.mean()), float(dice[known].mean()) if known.any() else None)
