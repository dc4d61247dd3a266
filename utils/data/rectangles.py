"""Defects as rectangles of pixels, read from run-length codes.

A training crop needs a small part of a mask. Rectangles say where the defects are, follow a resizing exactly, and draw any
window of the mask without drawing the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Rectangles:
    """The defect pixels of one class in one image, as rectangles that do not overlap.

    Attributes:
        height: of the image, pixels.
        width: of the image, pixels.
        sides: (4, R) int64 pixels: top, bottom, left, right of each rectangle, none of them empty; bottom and right
            are one past the last pixel.
    """

    height: int
    width: int
    sides: np.ndarray

    @classmethod
    def of_runs(cls, runs: np.ndarray, height: int, width: int) -> "Rectangles":
        """Take over the runs of a code, each one pixel wide.

        Args:
            runs: (n, 2) int64 start and length, as ``rle.parse`` gives them for an image of this size.
            height: of the image, pixels.
            width: of the image, pixels.
        """
        start, end = runs[:, 0] - 1, runs[:, 0] + runs[:, 1] - 1
        first, last = start // height, (end - 1) // height
        if (first != last).any():  # a run that goes on at the top of the next column is one rectangle a column
            columns = last - first + 1
            of_run = np.repeat(np.arange(len(runs)), columns)
            column = first[of_run] + np.arange(len(of_run)) - np.repeat(np.cumsum(columns) - columns, columns)
            start = np.maximum(start[of_run], column * height)
            end = np.minimum(end[of_run], (column + 1) * height)
            first = column
        return cls(height, width, np.stack([start - first * height, end - first * height, first, first + 1]))

    @property
    def count(self) -> int:
        """Number of defect pixels."""
        top, bottom, left, right = self.sides
        return int(((bottom - top) * (right - left)).sum())

    def resized(self, height: int, width: int) -> "Rectangles":
        """Return the rectangles of the mask resized by nearest neighbour, see ``nearest_source``."""
        if (height, width) == (self.height, self.width):
            return self
        top, bottom = np.searchsorted(nearest_source(height, self.height), self.sides[:2])
        left, right = np.searchsorted(nearest_source(width, self.width), self.sides[2:])
        return Rectangles(height, width, _without_empty(np.stack([top, bottom, left, right])))

    def window(self, top: int, left: int, height: int, width: int) -> "Rectangles":
        """Cut out a part; what lies beyond the image is left out."""
        height, width = min(height, self.height - top), min(width, self.width - left)
        sides = self.sides - np.array([[top], [top], [left], [left]])
        np.clip(sides[:2], 0, height, out=sides[:2])
        np.clip(sides[2:], 0, width, out=sides[2:])
        return Rectangles(height, width, _without_empty(sides))

    def pixel(self, number: int) -> tuple[int, int]:
        """Find the row and column of a defect pixel by its number from 0 in reading order: along the rows, then down."""
        top, bottom, left, right = self.sides
        steps = np.bincount(top, weights=right - left, minlength=self.height + 1)
        steps -= np.bincount(bottom, weights=right - left, minlength=self.height + 1)
        before = np.cumsum(np.cumsum(steps)).astype(np.int64)  # defect pixels down to the end of each row
        row = int(np.searchsorted(before, number, side="right"))
        rest = number - (int(before[row - 1]) if row else 0)
        crossing = np.flatnonzero((top <= row) & (row < bottom))
        crossing = crossing[np.argsort(left[crossing])]
        before = np.cumsum(right[crossing] - left[crossing])
        place = int(np.searchsorted(before, rest, side="right"))
        return row, int(right[crossing[place]]) - int(before[place]) + rest


def union(parts: Sequence[Rectangles]) -> Rectangles:
    """Join the defects of several classes, whose rectangles are one pixel wide, into one."""
    height, width = parts[0].height, parts[0].width
    top, bottom, left, _ = np.concatenate([part.sides for part in parts], axis=1)
    order = np.argsort(left * height + top, kind="stable")
    start, end = (left * height + top)[order], np.maximum.accumulate((left * height + bottom)[order])
    # A group of overlapping runs begins where everything before it has ended, thus never reaches into another column.
    begins = np.flatnonzero(np.concatenate([[True], start[1:] >= end[:-1]])) if start.size else np.zeros(0, np.intp)
    start, end = start[begins], end[np.concatenate([begins[1:] - 1, [-1]])] if start.size else end
    column = start // height
    return Rectangles(height, width, np.stack([start - column * height, end - column * height, column, column + 1]))


def draw(parts: Sequence[Rectangles]) -> np.ndarray:
    """Draw a mask.

    Args:
        parts: C classes of one image.

    Returns:
        (H, W, C) uint8 of 0 and 1.
    """
    height, width, classes = parts[0].height, parts[0].width, len(parts)
    mask = np.zeros((height, width, classes), dtype=np.uint8)
    flat = mask.reshape(-1)
    for index, part in enumerate(parts):
        top, bottom, left, right = part.sides
        wide = right - left
        if (wide > 1).any():  # make columns of them
            first = np.repeat(np.cumsum(wide) - wide, wide)
            top, bottom, left = (np.repeat(side, wide) for side in (top, bottom, left))
            left = left + np.arange(len(first)) - first
        # One index per defect pixel: that of the column's first one, and a row further for each that follows.
        length = bottom - top
        row = classes * width
        begin = top * row + left * classes + index - (np.cumsum(length) - length) * row
        total = int(length.sum())
        flat[np.repeat(begin, length) + np.arange(0, total * row, row)] = 1
    return mask


def nearest_source(length: int, source: int) -> np.ndarray:
    """Return the row (or column) that each row of a mask is taken from when it is resized by nearest neighbour.

    Args:
        length: rows after resizing.
        source: rows before.

    Returns:
        (length,) intp, ascending: the row that holds the centre of each.
    """
    return np.minimum((np.arange(length) + 0.5) * source / length, source - 1).astype(np.intp)


def _without_empty(sides: np.ndarray) -> np.ndarray:
    filled = (sides[0] < sides[1]) & (sides[2] < sides[3])
    return sides if filled.all() else sides[:, filled]
