"""How dense defects lie around each of them, apart from any series: what chance alone would put where a mark is looked for."""

import numpy as np
from scipy.spatial import cKDTree

from utils.coil.repeats.scales import Floats

# Half length along in lanes, half width across in lanes, certainty in standard deviations: the coil at this place across
# (wide and narrow), a burst, a patch, a scratch (long and short). Small boxes count only as far as they are sure to hold
# more than the others, else one chance neighbour would count as a burst.
_BOXES = (
    (1500.0, 0.5, 0.0),
    (3000.0, 0.15, 1.0),
    (100.0, 0.75, 1.5),
    (10.0, 1.5, 1.0),
    (35.0, 0.12, 2.0),
    (10.0, 0.12, 2.0),
)


def log_densities(along: Floats, across: Floats, at: Floats, at_across: Floats, length: float, lane: float) -> Floats:
    """Return the log of the density of defects at some of them, in one over square units.

    The largest of several boxes around the place is taken: defects lie denser near the edges, in bursts, in patches and
    along scratches, and each would look like a series if it were judged by the mean of the coil.

    Args:
        along, across: (N,) all defects.
        at, at_across: (M,) places, each of them one of the defects.
        length: of the coil.
        lane: width of a lane.

    Returns:
        (M,) logs of densities.
    """
    left, right = across.min() - lane / 2, across.max() + lane / 2
    densities = np.zeros(len(at))
    for half_along, half_across, certainty in _BOXES:
        reach, width = half_along * lane, half_across * lane
        tree = cKDTree(np.column_stack([along / reach, across / width]))
        count = tree.query_ball_point(
            np.column_stack([at / reach, at_across / width]), 1.0, p=np.inf, return_length=True
        ).astype(float)
        clipped = np.minimum(at + reach, max(length, along.max())) - np.maximum(at - reach, min(0.0, along.min()))
        area = np.maximum(clipped, lane) * (np.minimum(at_across + width, right) - np.maximum(at_across - width, left))
        sure = count - certainty * np.sqrt(count)
        densities = np.maximum(densities, np.maximum(sure, 0.5 if certainty == 0 else 0.0) / area)
    return np.log(densities)
