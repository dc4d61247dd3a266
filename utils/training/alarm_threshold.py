"""From which score on an image gives an alarm, so that a given share of clean images does."""

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
