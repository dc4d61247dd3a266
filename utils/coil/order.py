"""Which places of images contradict the order in which the images were taken."""

from bisect import bisect_right

import numpy as np

# A strip that returns does so slowly: a step back, and those beside it, are no longer than this many usual steps.
_RETURN_STEPS = 1.25


def crossing(places: np.ndarray, may_return: bool) -> np.ndarray:
    """Find the images whose places contradict the order in which they were taken.

    Kept is what every longest sequence of places without a step back has. So a single wrong place goes alone, and of two
    exchanged ones both, since nobody knows which one is right.

    Args:
        places: finite, in the order in which the images were taken.
        may_return: the strip may have run backwards for a while: steps back among usual steps are no contradiction.

    Returns:
        Bool, True where a place is not to be trusted.
    """
    steps = np.diff(places)
    if not steps.size or (steps >= 0).all() or (steps <= 0).all():
        return np.zeros(len(places), dtype=bool)
    if np.count_nonzero(steps < 0) > np.count_nonzero(steps > 0):  # taken from tail to head
        places, steps = -places, -steps
    if may_return and _returns(steps):
        return np.zeros(len(places), dtype=bool)
    before = _longest(places)
    after = _longest(-places[::-1])[::-1]
    whole = int(before.max())
    on_one = before + after - 1 == whole
    number = np.bincount(before[on_one], minlength=whole + 1)
    sure: np.ndarray = on_one & (number[before] == 1)
    return ~sure


def _returns(steps: np.ndarray) -> bool:
    """Check whether all steps back look like a strip that runs backwards: of usual length, as those beside them."""
    moved = np.abs(steps[steps != 0])
    usual = _RETURN_STEPS * float(np.median(moved))
    back = np.flatnonzero(steps < 0)
    beside = np.unique(np.clip(np.concatenate([back - 1, back, back + 1]), 0, len(steps) - 1))
    return bool((np.abs(steps[beside]) <= usual).all())


def _longest(places: np.ndarray) -> np.ndarray:
    """Return for each place the length of the longest sequence without a step back that ends there (patience sorting)."""
    ends: list[float] = []
    length = np.zeros(len(places), dtype=np.int64)
    for number, place in enumerate(places.tolist()):
        at = bisect_right(ends, place)
        if at == len(ends):
            ends.append(place)
        else:
            ends[at] = place
        length[number] = at + 1
    return length
