"""From which score on an image gives an alarm, so that a given share of clean images does."""

import math

import numpy as np

FEWEST = 8  # scores, the largest, that tell how the scores fall off beyond them


def alarm_threshold(scores: np.ndarray, false_alarms: float) -> float:
    """Return the score that a share of clean images exceeds.

    It is the quantile of Harrell and Davis (1982), a mean of all scores with weights around the one that is asked for: less is
    left to chance than by that one alone, and nothing is supposed of how the scores fall off. Where there is less than one
    false alarm among the images, they are taken to fall off exponentially beyond the quantile of one.

    Args:
        scores: ``(N,)`` of clean images that the memory does not know.
        false_alarms: share, above 0 and below 1.
    """
    from scipy.stats import beta  # takes a second to import

    ordered = np.sort(np.asarray(scores, np.float64))
    count = len(ordered)
    share = max(false_alarms, min(1 / count, 0.5))
    weights = np.diff(beta.cdf(np.arange(count + 1) / count, (count + 1) * (1 - share), (count + 1) * share))
    quantile = float(weights @ ordered / weights.sum())
    if share <= false_alarms:
        return quantile
    largest = ordered[-min(FEWEST, count) :]
    return quantile + float((largest - largest[0]).mean()) * math.log(share / false_alarms)


def _spread(false_alarms: float) -> float:
    """Return the relative standard deviation of the share that is really let through, of one image; N have it / sqrt(N).

    That of a binomial share.
    """
    return math.sqrt((1 - false_alarms) / false_alarms)


def expected_alarms(count: int, false_alarms: float) -> tuple[float, float]:
    """Compute between which shares of other clean images give an alarm, with 95 % certainty.

    Args:
        count: independent images that the threshold was found by, or groups of images that are alike.
        false_alarms: share that was asked for, above 0 and below 1.

    Returns:
        Both ends, 0..1.
    """
    factor = math.exp(1.96 * _spread(false_alarms) / math.sqrt(count))
    return false_alarms / factor, min(1.0, false_alarms * factor)


def images_for(false_alarms: float, within: float = 0.3) -> int:
    """Compute how many independent images it takes until the share is ``within`` of what was asked, with 95 % certainty."""
    return math.ceil((1.96 * _spread(false_alarms) / within) ** 2)
