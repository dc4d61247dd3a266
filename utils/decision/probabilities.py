"""Probabilities from logits, one class after the other: all of them at once would be the largest thing in memory."""

from collections.abc import Iterator

import numpy as np


def class_probabilities(logits: np.ndarray, task: str) -> Iterator[np.ndarray]:
    """Yield the probability of each class in each pixel.

    Args:
        logits: ``(K, H, W)`` float32; for ``multiclass`` channel 0 is the background.
        task: ``multiclass`` (softmax over the channels); else each channel is a class of its own (sigmoid).

    Yields:
        ``(H, W)`` float64 0..1 for each class in order. float64, so that sums of millions of them are exact to 1e-9.
    """
    if task == "multiclass":
        top = logits.max(axis=0)
        total = np.zeros(top.shape)
        for channel in logits:
            total += _exp(np.subtract(channel, top, dtype=np.float64))
        for channel in logits[1:]:
            yield _exp(np.subtract(channel, top, dtype=np.float64)) / total
    else:
        for channel in logits:
            with np.errstate(over="ignore"):
                yield 1 / (1 + _exp(-channel))


def _exp(values: np.ndarray) -> np.ndarray:
    return np.exp(values, dtype=np.float64)
