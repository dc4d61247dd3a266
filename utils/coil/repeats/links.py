"""Pairs of defects that may be marks of one series, one after the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.coil.repeats.scales import Floats, Scales

Indices = NDArray[np.int64]

_MOST = 40  # earlier defects that one is linked with: bounds time where defects lie dense


@dataclass(frozen=True)
class Links:
    """Pairs of defects, in an order in which every defect comes after those it is linked with.

    Attributes:
        first, second: (E,) indices of the two defects.
        distance: (E,) along the strip, positive.
        log_across: (E,) log density of their offset across, were they marks of one series.
        levels: (L + 1,) where each level begins; the defects of a level are not linked with each other.
    """

    first: Indices
    second: Indices
    distance: Floats
    log_across: Floats
    levels: Indices


def ranges(begin: Indices, end: Indices) -> tuple[Indices, Indices]:
    """List the integers of many half-open ranges: (which range, integer)."""
    counts = np.maximum(end - begin, 0)
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + begin[which]


def link(along: Floats, across: Floats, log_density: Floats, scales: Scales) -> Links:
    """Return the pairs of defects that may follow each other in a series.

    Args:
        along: (N,) along the strip, ascending.
        across: (N,) across it.
        log_density: (N,) background; where there are too many, links from dense places go first.
        scales: lengths of the search.
    """
    row = np.floor(across / scales.across).astype(np.int64)
    row -= row.min() - 1
    pitch = float(along.max() - along.min()) + 2 * scales.reach + 1.0
    place = along - along.min()
    key = row * pitch + place
    order = np.argsort(key, kind="stable")
    key_sorted = key[order]
    firsts, seconds = [], []
    for step in (-1, 0, 1):
        base = (row + step) * pitch + place
        begin = np.searchsorted(key_sorted, base - scales.reach, "left")
        end = np.searchsorted(key_sorted, base - 0.98 * scales.shortest, "right")
        which, position = ranges(begin, end)
        other = order[position]
        near = np.abs(across[other] - across[which]) <= scales.across
        firsts.append(other[near])
        seconds.append(which[near])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    distance = along[second] - along[first]
    worth = np.log(distance) + 0.5 * log_density[first]
    order = np.lexsort((worth, second))
    first, second = first[order], second[order]
    begin = np.searchsorted(second, np.arange(len(along) + 1))
    kept = np.arange(len(second)) - begin[second] < _MOST
    first, second = first[kept], second[kept]

    begin = np.searchsorted(second, np.arange(len(along) + 1))
    level = np.zeros(len(along), np.int64)
    for one in np.flatnonzero(np.diff(begin)):
        level[one] = level[first[begin[one] : begin[one + 1]]].max() + 1
    order = np.argsort(level[second], kind="stable")
    first, second = first[order], second[order]
    levels = np.searchsorted(level[second], np.arange(1, level.max() + 2))
    distance = along[second] - along[first]
    return Links(first, second, distance, scales.log_across(across[second] - across[first], distance), levels)
