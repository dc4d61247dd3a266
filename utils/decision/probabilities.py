"""Probabilities from logits: of masks and of whole images, by sigmoid or by softmax.

Three functions for masks, since training wants all classes at once on the network's device, an evaluation float64 with
one class in memory at a time, and the table of defects a few pixels of one class in float32.
"""

from collections.abc import Iterator

import numpy as np
import torch


def mask_probabilities(logits: torch.Tensor, task: str) -> torch.Tensor:
    """Compute the probability of each scored class in each pixel.

    Args:
        logits: ``(N, K, H, W)`` float; for ``multiclass`` channel 0 is the background.
        task: ``multiclass`` (softmax over the channels); else each channel is a class of its own (sigmoid).

    Returns:
        ``(N, C, H, W)`` 0..1, of the dtype and on the device of ``logits``.
    """
    return logits.softmax(1)[:, 1:] if task == "multiclass" else logits.sigmoid()


def label_probabilities(labels: torch.Tensor) -> np.ndarray:
    """Compute the probabilities of whole images, float32 on the CPU, from ``(N, L)`` logits on any device.

    A logit that is not finite gives nan: an infinite one would look like certainty.
    """
    logits = labels.float()
    return torch.where(logits.isfinite(), logits.sigmoid(), torch.nan).cpu().numpy()


def class_probabilities(logits: np.ndarray, task: str) -> Iterator[np.ndarray]:
    """Yield the probability of each class in each pixel: all at once would be the largest thing in memory.

    Args:
        logits: ``(K, H, W)`` float32.
        task: as in ``mask_probabilities``.

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
            yield _sigmoid(channel, np.float64)


def pixel_probability(logits: np.ndarray, task: str, index: int) -> np.ndarray:
    """Compute the probability of one class in some pixels.

    Args:
        logits: ``(K, pixels)`` float32 for ``multiclass``, else ``(1, pixels)`` of the class.
        task: as in ``mask_probabilities``.
        index: of the class, from 0.

    Returns:
        ``(pixels,)`` float32 0..1.
    """
    if task == "multiclass":
        shifted = np.exp(logits - logits.max(axis=0))
        return shifted[index + 1] / shifted.sum(axis=0)
    return _sigmoid(logits[0], np.float32)


def _sigmoid(values: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + _exp(-values, dtype))


def _exp(values: np.ndarray, dtype: type[np.floating] = np.float64) -> np.ndarray:
    return np.exp(values, dtype=dtype)
