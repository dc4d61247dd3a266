"""Which boxes lie near each other: all pairs, without comparing every box with every other."""

from collections.abc import Iterator

import numpy as np

PAIRS_AT_ONCE = 2_000_000


def near_pairs(
    low: np.ndarray, high: np.ndarray, keys: np.ndarray, reach: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find the pairs of boxes with the same key whose gap on each axis is at most ``reach``.

    The boxes are sorted by where they begin on that axis on which they meet fewer others; each one then meets a run of
    its followers. This takes time in proportion to the boxes and to the pairs that meet on that axis.

    Args:
        low, high: (N, 2) float, first and last coordinates of the boxes.
        keys: (N,) int from 0, only boxes with the same key make a pair.
        reach: (2,) float, largest gap on each axis, not negative.

    Yields:
        Two (M,) int arrays, the boxes of M pairs, each pair once, in no order.
    """
    if len(low) < 2:
        return
    begins, ends = low.min(axis=0), high.max(axis=0)
    span = ends - begins + reach + 1  # boxes of different keys are farther apart than this
    swept = []
    for axis in (0, 1):
        start = keys * span[axis] + (low[:, axis] - begins[axis])
        stop = keys * span[axis] + (high[:, axis] - begins[axis]) + reach[axis]
        order = np.argsort(start, kind="stable")
        # Rounding of the sums above must lose no pair; too many are sorted out below.
        last = np.searchsorted(start[order], stop[order] + 1e-6 * span[axis], "right")
        followers = np.maximum(last - np.arange(len(order)) - 1, 0)
        swept.append((int(followers.sum()), order, followers))
    _, order, followers = min(swept, key=lambda one: one[0])
    for first, last in _chunks(followers):
        counts = followers[first:last]
        left = np.repeat(np.arange(first, last), counts)
        right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
        i, j = order[left], order[right]
        kept = keys[i] == keys[j]
        for axis in (0, 1):
            kept &= gaps(low[:, axis], high[:, axis], i, j) <= reach[axis]
        yield i[kept], j[kept]


def _chunks(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut a list into runs whose counts sum to about ``PAIRS_AT_ONCE``."""
    sums = np.cumsum(counts)
    first = 0
    while first < len(counts):
        before = sums[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(sums, before + PAIRS_AT_ONCE, "right")))
        yield first, last
        first = last


def gaps(low: np.ndarray, high: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return the gap between the intervals of pairs; negative: how far they overlap.

    Args:
        low, high: (N,) float, the intervals.
        i, j: (M,) int, the pairs.

    Returns:
        (M,) float.
    """
    return np.maximum(low[i], low[j]) - np.minimum(high[i], high[j])
