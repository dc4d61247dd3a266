"""Series that a long stretch without marks has cut in two, as one series again."""

import math

import numpy as np

from utils.coil.repeats.scales import Scales
from utils.coil.repeats.series import Points, Series

_SAME_PERIOD = 0.01  # steps that differ by more than this share are two rolls'
_DRIFT = 0.003  # by which the steps of both parts may differ whatever their errors are: the elongation drifts
_ENDS = 5  # marks at the end of a part that tell where it lies across


def joined(first: Series, second: Series, points: Points, scales: Scales) -> Series | None:
    """Return two parts as one series; none where they are not one: one ends before the other begins, at one place, same step.

    Two marks of one roll lie beside each other along the same stretch, and stay two. Parts that lie farther apart than both
    are long stay two as well: nobody knows whether the roll left marks between them.
    """
    along, across = points.along, points.across
    gap = float(along[second.marks[0]] - along[first.marks[-1]])
    extent = sum(float(along[one.marks[-1]] - along[one.marks[0]]) for one in (first, second))
    if not 0 < gap <= extent:
        return None
    place = np.median(across[first.marks[-_ENDS:]]) - np.median(across[second.marks[:_ENDS]])
    if abs(float(place)) > scales.lane / 2:
        return None
    one, other = first.period(points), second.period(points)
    period = (one * first.turns[-1] + other * second.turns[-1]) / float(first.turns[-1] + second.turns[-1])
    # Slip adds up from turn to turn, so the mean of n steps is off by its square root over that of n.
    error = math.sqrt(scales.slip / float(first.turns[-1]) + scales.slip / float(second.turns[-1]))
    if abs(one - other) > min(max(3 * error, _DRIFT * period), _SAME_PERIOD * period):
        return None
    begin = int(first.turns[-1]) + max(1, round(gap / period))
    return Series(
        np.concatenate([first.marks, second.marks]), np.concatenate([first.turns, second.turns + begin]), first.start
    )
