"""Pixel counts per image and class, from which every score is made.

Scores of several batches or processes are never averaged: their counts are collected and the score is computed once.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from utils.scoring.rows import ImageRows


def count(predicted: Tensor, target: Tensor, ignored: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Count true and false positives and negatives of every image and class.

    Args:
        predicted: (N, C, H, W) bool or uint8, nonzero = defect, on any device.
        target: the same shape and device, bool or uint8.
        ignored: (N, H, W) bool, pixels that count for nothing; none: all count.

    Returns:
        tp, fp, fn, tn: (N, C) int64 pixels, on the same device.

    Raises:
        ValueError: the shapes differ or a dtype is neither bool nor uint8.
    """
    if predicted.shape != target.shape or predicted.ndim != 4:
        raise ValueError(f"expected two (N, C, H, W) masks, got {tuple(predicted.shape)} and {tuple(target.shape)}")
    if not {predicted.dtype, target.dtype} <= {torch.bool, torch.uint8}:
        raise ValueError(f"expected bool or uint8 masks, got {predicted.dtype} and {target.dtype}")
    pixels: Tensor | int = predicted.shape[2] * predicted.shape[3]
    if ignored is not None and ignored.any():
        counted = ~ignored[:, None]
        predicted, target = predicted.bool() & counted, target.bool() & counted
        pixels = counted.sum((2, 3))
    if predicted.device.type == "cpu":
        tp, positive, true = _count_on_cpu(predicted, target)
    else:
        predicted, target = predicted.bool(), target.bool()
        tp, positive, true = (mask.sum((2, 3)) for mask in (predicted & target, predicted, target))
    return tp, positive - tp, true - tp, pixels - positive - true + tp


def _count_on_cpu(predicted: Tensor, target: Tensor) -> list[Tensor]:
    # numpy counts a bool array 30 to 80 times faster than torch, which widens every pixel to int64 first.
    shape = predicted.shape[:2]
    numbers = np.empty((3, *shape), dtype=np.int64)
    for image, label in np.ndindex(*shape):
        one, other = (mask[image, label].numpy().astype(bool, copy=False) for mask in (predicted, target))
        numbers[:, image, label] = np.count_nonzero(one & other), np.count_nonzero(one), np.count_nonzero(other)
    return list(torch.from_numpy(numbers))


class Counts(ImageRows):
    """Counts of many images, in the order in which they were added.

    Example:
        >>> counts = Counts()
        >>> counts.add(["a.png"], *count(torch.ones(1, 2, 4, 8).bool(), torch.zeros(1, 2, 4, 8).bool()))
        >>> counts.fp
        tensor([[32, 32]])
    """

    KINDS, DTYPE, WORD = 4, torch.int64, "counts"

    @property
    def tp(self) -> Tensor:
        """True positives, ``(N, C)`` int64 pixels."""
        return self.table[0]

    @property
    def fp(self) -> Tensor:
        """False positives, ``(N, C)`` int64 pixels."""
        return self.table[1]

    @property
    def fn(self) -> Tensor:
        """False negatives, ``(N, C)`` int64 pixels."""
        return self.table[2]

    @property
    def tn(self) -> Tensor:
        """True negatives, ``(N, C)`` int64 pixels."""
        return self.table[3]

    def add(self, images: Sequence[str], tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> None:
        """Append the counts of one batch, as ``count`` gives them.

        Args:
            images: N names.
            tp, fp, fn, tn: (N, C) int64 pixels, on any device.

        Raises:
            ValueError: a shape does not fit the names or the classes counted so far.
        """
        self._append(images, (tp, fp, fn, tn))
