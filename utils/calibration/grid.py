"""The settings that a calibration tries for a class: two probability thresholds, and the ends of the areas that count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from utils.decision.decision import ClassDecision

# Steps of 5 %, closer at both ends, where networks that are sure of themselves have most of their pixels.
THRESHOLDS = (0.01, 0.02, *(k / 20 for k in range(1, 20)), 0.98, 0.99)
# What a defect may have to reach somewhere; below the first, a threshold for its pixels does as well.
HIGH_THRESHOLDS = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
# Areas scatter over orders of magnitude; a quarter more is the least that is told apart.
RATIO = 1.25


@dataclass(frozen=True, eq=False)
class ClassGrid:
    """What is tried for one class.

    Attributes:
        thresholds: (T,) float64, ascending, inside 0..1.
        areas: (B,) int64, ascending from 1: bin b holds the defects of ``areas[b]`` to ``areas[b + 1] - 1`` pixels, the
            last bin all larger ones.
        peaks: (Q,) int64, ascending from 0: defects of peak q reach ``peaks[q]`` thresholds or more, fewer than
            ``peaks[q + 1]``, at their likeliest pixel.
        low: (P,) first bin of the defects that stay, for each of P choices of limits.
        high: (P,) one past their last bin; B: no limit.
        peak: (P,) their lowest peak, an index of ``peaks``; 0: not asked.
        now: the setting in use, which is on the grid.
    """

    thresholds: np.ndarray
    areas: np.ndarray
    peaks: np.ndarray
    low: np.ndarray
    high: np.ndarray
    peak: np.ndarray
    now: ClassDecision

    @property
    def shape(self) -> tuple[int, int]:
        """(T, P): the settings that are tried."""
        return len(self.thresholds), len(self.low)

    def setting(self, cell: int) -> ClassDecision:
        """Return the setting of a cell of the (T, P) grid, counted row by row."""
        level, pair = divmod(int(cell), len(self.low))
        low, high, reached = int(self.low[pair]), int(self.high[pair]), int(self.peaks[self.peak[pair]])
        return ClassDecision(
            float(self.thresholds[level]),
            int(self.areas[low]) if low else 0,
            int(self.areas[high]) - 1 if high < len(self.areas) else None,
            float(self.thresholds[reached - 1]) if reached > level + 1 else 0.0,  # else every defect reaches it
        )

    def with_choice(self, pair: int) -> "ClassGrid":
        """Return the grid with one of the P choices of limits alone."""
        return replace(self, low=self.low[[pair]], high=self.high[[pair]], peak=self.peak[[pair]])

    @cached_property
    def now_cell(self) -> int:
        """The cell of the setting in use."""
        level = int(np.searchsorted(self.thresholds, self.now.threshold))
        low, high = _bins(self.areas, self.now)
        peak = int(np.searchsorted(self.peaks, _reached(self.thresholds, self.now)))
        pair = int(np.flatnonzero((self.low == low) & (self.high == high) & (self.peak == peak))[0])
        return level * len(self.low) + pair

    @cached_property
    def distance(self) -> np.ndarray:
        """How far each cell is from the setting in use, (T * P,): of equally good settings the nearest is taken."""
        level, pair = divmod(self.now_cell, len(self.low))
        steps = abs(np.arange(len(self.thresholds)) - level)
        bins = sum(abs(part - part[pair]) for part in (self.low, self.high, self.peak))
        return (steps[:, None] + bins).ravel()


def make_grid(
    now: ClassDecision,
    largest: int,
    limits: tuple[int, int] | None = None,
    *,
    search_areas: bool = True,
    search_high: bool = True,
) -> ClassGrid:
    """Build the grid of one class.

    Args:
        now: the setting in use.
        largest: area of the largest labelled defect in pixels; larger limits would all do the same.
        limits: smallest and largest area, when they are not searched for.
        search_areas: try every pair of areas; else ``limits``, or those in use.
        search_high: try every high threshold, each with every second area, or the search would take seven times as long;
            else the one in use.
    """
    known_high = [now.high_threshold] if now.high_threshold else []
    thresholds = np.unique([*THRESHOLDS, now.threshold, *known_high])
    steps = np.ceil(RATIO ** np.arange(1 + np.ceil(np.log(max(largest, 2)) / np.log(RATIO))))
    known = [now, *([ClassDecision(0, *limits)] if limits else [])]
    ends = [end for one in known for end in (max(one.min_area, 1), *([one.max_area + 1] if one.max_area else []))]
    areas = np.unique([1, *steps.astype(np.int64), *ends])
    if search_areas:
        low, high = np.triu_indices(len(areas) + 1, 1)
    else:
        low, high = np.array(sorted({_bins(areas, one) for one in known})).T
    reached = [
        _reached(thresholds, ClassDecision(0, high_threshold=t)) for t in (HIGH_THRESHOLDS if search_high else ())
    ]
    peaks = np.unique([0, _reached(thresholds, now), *reached])
    low_now, high_now = _bins(areas, now)
    coarse = ((low % 2 == 0) | (low == low_now)) & ((high % 2 == 0) | (high == len(areas)) | (high == high_now))
    peak, pair = (part.ravel() for part in np.indices((len(peaks), len(low))))
    tried = (peak == 0) | coarse[pair] | (not search_areas) if search_high else peak == len(peaks) - 1
    return ClassGrid(thresholds, areas, peaks, low[pair[tried]], high[pair[tried]], peak[tried], now)


def limits_of(areas: Sequence[int] | np.ndarray) -> tuple[int, int] | None:
    """Return the 2nd and the 98th percentile of the areas of labelled defects, as published; None without any."""
    if not len(areas):
        return None
    low, high = np.percentile(areas, [2, 98])
    return int(np.floor(low)), int(np.ceil(high))


def _reached(thresholds: np.ndarray, setting: ClassDecision) -> int:
    """Count the thresholds that a defect must reach somewhere; the last of them is the high threshold."""
    return int(np.searchsorted(thresholds, setting.high_threshold)) + 1 if setting.high_threshold else 0


def _bins(areas: np.ndarray, setting: ClassDecision) -> tuple[int, int]:
    low = int(np.searchsorted(areas, max(setting.min_area, 1)))
    high = len(areas) if setting.max_area is None else int(np.searchsorted(areas, setting.max_area + 1))
    return low, high
