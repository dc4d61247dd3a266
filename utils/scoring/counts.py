"""Pixel counts per image and class, from which every score is made.

Scores of several batches or processes are never averaged: their counts are collected and the score is computed once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


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


def _nothing() -> Tensor:
    return torch.zeros(0, 0, dtype=torch.int64)


@dataclass(eq=False)
class Counts:
    """Counts of many images, in the order in which they were added.

    Attributes:
        images: the N names of the images.
        tp, fp, fn, tn: (N, C) int64 pixels on the CPU; (0, 0) before the first image.

    Example:
        >>> counts = Counts()
        >>> counts.add(["a.png"], *count(torch.ones(1, 2, 4, 8).bool(), torch.zeros(1, 2, 4, 8).bool()))
        >>> counts.fp
        tensor([[32, 32]])
    """

    images: list[str] = field(default_factory=list)
    tp: Tensor = field(default_factory=_nothing)
    fp: Tensor = field(default_factory=_nothing)
    fn: Tensor = field(default_factory=_nothing)
    tn: Tensor = field(default_factory=_nothing)

    def add(self, images: Sequence[str], tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor) -> None:
        """Append the counts of one batch, as ``count`` gives them.

        Args:
            images: N names.
            tp, fp, fn, tn: (N, C) int64 pixels, on any device.

        Raises:
            ValueError: a shape does not fit the names or the classes counted so far.
        """
        # One transfer instead of four: on a GPU each one waits for the kernels before it.
        batch = torch.stack((tp, fp, fn, tn)).cpu()
        classes = self.tp.shape[1] if self.images else batch.shape[-1]
        if batch.dtype != torch.int64 or batch.shape != (4, len(images), classes):
            raise ValueError(
                f"expected ({len(images)}, {classes}) int64 counts, got {tuple(batch.shape[1:])} {batch.dtype}"
            )
        if self.images:
            batch = torch.cat((torch.stack((self.tp, self.fp, self.fn, self.tn)), batch), dim=1)
        self.images = [*self.images, *images]
        self.tp, self.fp, self.fn, self.tn = batch

    def merge(self, other: "Counts") -> None:
        """Append the counts of another process or of another part of the images."""
        if other.images:
            self.add(other.images, other.tp, other.fp, other.fn, other.tn)

    def without(self, images: Collection[str]) -> "Counts":
        """Return the counts of all images but these."""
        left = [row for row, image in enumerate(self.images) if image not in images]
        rows = torch.tensor(left, dtype=torch.int64)
        parts = (part[rows] for part in (self.tp, self.fp, self.fn, self.tn))
        return Counts([self.images[row] for row in left], *parts)

    def sorted_by_image(self) -> "Counts":
        """Return the counts in order of the images' names, each image once.

        Several processes score images in another order than one process does, and a distributed sampler repeats some
        images to fill the last batch. In this order, and without the repetitions, sums over images are bit-equal.

        Returns:
            New counts; of an image that was added several times, the first.
        """
        first: dict[str, int] = {}
        for row, image in enumerate(self.images):
            first.setdefault(image, row)
        images = sorted(first)
        rows = torch.tensor([first[image] for image in images], dtype=torch.int64)
        return Counts(images, self.tp[rows], self.fp[rows], self.fn[rows], self.tn[rows])
