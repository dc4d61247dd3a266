"""From which score on an image gives an alarm, so that a given share of clean images does."""

import math

import numpy as np

TAIL = 0.2  # share of the scores, the largest, that the tail is fitted to
FEWEST = 8  # scores of a tail


def alarm_threshold(scores: np.ndarray, false_alarms: float) -> float:
    """Return the score that a share of clean images exceeds.

    Where there are many more images than false alarms, that is a quantile. Else a quantile would be one of the few largest scores,
    which chance decides: beyond the quantile of ``TAIL`` the scores are taken to fall off exponentially, as the tail of
    a maximum of many values does (Gumbel; the estimate of the tail's mean is Hill's on a linear scale).

    Args:
        scores: ``(N,)`` of clean images that the memory does not know.
        false_alarms: share, above 0 and below 1.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    if false_alarms >= TAIL or len(ordered) < 2:
        return float(np.quantile(ordered, 1 - false_alarms))
    count = min(len(ordered) - 1, max(FEWEST, round(TAIL * len(ordered))))
    base = ordered[-count - 1]
    excess = float((ordered[-count:] - base).mean())
    return float(base + excess * np.log(count / len(ordered) / false_alarms))


def _spread(false_alarms: float) -> float:
    """Return the relative standard deviation of the share that is really let through, of one image; N have it / sqrt(N).

    Of a quantile it is that of a binomial share. Of the tail's fit: of the number of images beyond its base, and of the mean of
    their excess, by which the logarithm of the share goes (delta method).
    """
    if false_alarms >= TAIL:
        return math.sqrt((1 - false_alarms) / false_alarms)
    return math.sqrt((1 - TAIL) / TAIL + math.log(TAIL / false_alarms) ** 2 / TAIL)


def expected_alarms(count: int, false_alarms: float) -> tuple[float, float]:
    """Compute between which shares of other clean images give an alarm, with 95 % certainty.

    Args:
        count: independent images that the threshold was found by.
        false_alarms: share that was asked for, above 0 and below 1.

    Returns:
        Both ends, 0..1.
    """
    factor = math.exp(1.96 * _spread(false_alarms) / math.sqrt(count))
    return false_alarms / factor, min(1.0, false_alarms * factor)


def images_for(false_alarms: float, within: float = 0.3) -> int:
    """Compute how many independent images it takes until the share is ``within`` of what was asked, with 95 % certainty."""
    return math.ceil((1.96 * _spread(false_alarms) / within) ** 2)
