"""Logits of those pixels alone that a class was decided for: of a large image a small part, and all that its defects need."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class DecidedLogits:
    """Logits of some pixels of an image.

    Attributes:
        size: height and width of the image in pixels.
        pixels: ``(n,)`` int64, ascending: row times width plus column.
        values: ``(K, n)`` float32, the logits there.
    """

    size: tuple[int, int]
    pixels: np.ndarray
    values: np.ndarray

    def at(self, pixels: np.ndarray) -> np.ndarray:
        """Return the logits of some of the pixels, ``(K, m)`` for ``(m,)`` int64 as in ``pixels``."""
        return self.values[:, np.searchsorted(self.pixels, pixels)]

    def plane(self, flags: torch.Tensor) -> torch.Tensor:
        """Return ``(1, C, 1, n)`` bool about these pixels as ``(1, C, H, W)`` about the image; false everywhere else."""
        classes = flags.shape[1]
        whole = torch.zeros(1, classes, self.size[0] * self.size[1], dtype=torch.bool)
        whole[:, :, torch.from_numpy(self.pixels)] = flags[:, :, 0].cpu()
        return whole.view(1, classes, *self.size)


class DecidedPieces:
    """Puts ``DecidedLogits`` together from the pieces of an image, in any order.

    Args:
        size: height and width of the image in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._pixels: list[np.ndarray] = []
        self._values: list[np.ndarray] = []

    def add(self, rows: slice, columns: slice, decided: np.ndarray, logits: np.ndarray) -> None:
        """Take a piece, which no other overlaps.

        Args:
            rows: of the image.
            columns: of the image.
            decided: ``(C, h, w)`` bool.
            logits: ``(K, h, w)`` float32.
        """
        row, column = np.nonzero(decided.any(axis=0))
        self._pixels.append((row + rows.start) * self.size[1] + column + columns.start)
        self._values.append(logits[:, row, column])

    def together(self) -> DecidedLogits:
        """Return the logits of all pieces."""
        pixels = np.concatenate(self._pixels)
        order = np.argsort(pixels)
        return DecidedLogits(self.size, pixels[order], np.concatenate(self._values, axis=1)[:, order])


def logits_at(logits: np.ndarray | DecidedLogits, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return ``(K, m)`` logits of the pixels in some rows and columns, in reading order."""
    if isinstance(logits, DecidedLogits):
        return logits.at(row.astype(np.int64) * logits.size[1] + column)
    return logits[:, row, column]
