"""How far the next mark of a roll may lie from where one turn more would put it, along and across the strip.

Every length grows with the width of the lane, so that the same numbers serve millimetres and pixels: in a lane of 60 mm
a defect is placed within 2.5 mm, the strip slips 3 mm a turn, and it weaves by 12 mm.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.coil.plan import CoilPlan
from utils.errors import InputError

Floats = NDArray[np.float64]

_LANE = 60.0  # the lengths below are for a lane this wide
_WIDE = 0.3  # share of marks that lie farther off: outliers of slip, defects cut in two
_LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Scales:
    """Lengths and rates of a search, in the unit of the plan.

    Attributes:
        lane: width of a lane.
        reach: farthest two marks of a series that are linked directly.
        shortest, longest: periods that are tried.
        most_turns: marks farther apart than this many turns are not linked directly.
    """

    lane: float
    reach: float
    shortest: float
    longest: float
    most_turns: int = 12

    @property
    def across(self) -> float:
        """Return how far apart across the strip two marks may be that are linked."""
        return 0.6 * self.lane

    @property
    def place(self) -> float:
        """Return the variance of where a mark is said to lie, against where it lies."""
        return (2.5 / _LANE * self.lane) ** 2

    @property
    def slip(self) -> float:
        """Return the variance of the strip's slip in one turn."""
        return (3.0 / _LANE * self.lane) ** 2

    @property
    def log_mark(self) -> float:
        """Return the log density of a mark where the next turn puts it, at most."""
        none = np.zeros(1)
        return float(self.log_along(none, self.spread(none + 1.0, none))[0] + self.log_across(none, none)[0])

    def spread(self, turns: Floats, period_variance: Floats) -> Floats:
        """Return the variance of the distance of two marks, some turns apart."""
        return 2 * self.place + turns * self.slip + turns**2 * period_variance

    def log_along(self, residual: Floats, variance: Floats) -> Floats:
        """Return the log density of a distance that is longer by ``residual`` than turns x period: a normal, and one
        twice as wide for a part of the marks."""
        square = residual**2 / variance
        near = (1 - _WIDE) * np.exp(-0.5 * square) + 0.5 * _WIDE * np.exp(-0.125 * square)
        return np.log(near + 1e-300) - 0.5 * np.log(variance) - 0.5 * _LOG_2_PI

    def log_across(self, offset: Floats, distance: Floats) -> Floats:
        """Return the log density of the offset across of two marks: near each other, little; far, as the strip weaves."""
        unit = self.lane / _LANE
        variance = 2 * (3 * unit) ** 2 + 2 * (8.5 * unit) ** 2 * -np.expm1(-2 * distance / self.reach)
        wide = (20 * unit) ** 2
        near = (1 - _WIDE) * np.exp(-0.5 * offset**2 / variance) / np.sqrt(variance)
        far = _WIDE * np.exp(-0.5 * offset**2 / wide) / math.sqrt(wide)
        return np.log(near + far + 1e-300) - 0.5 * _LOG_2_PI


def scales_of(plan: CoilPlan) -> Scales:
    """Return the lengths of a search: what the plan says, else 5 lanes to an eighth of the window, and the rolls' steps.

    Raises:
        InputError: the longest period is not above the shortest.
    """
    settings = plan.repeats
    rolls = plan.rolls if plan.unit == "mm" else ()
    steps = [math.pi * size * roll.elongation for roll in rolls for size in (roll.smallest, roll.largest)]
    shortest, longest = settings.shortest, settings.longest
    if shortest is None:
        shortest = min([5 * settings.lane, *[0.97 * step for step in steps]])
    if longest is None:
        longest = max([settings.window / 8, *[1.03 * step for step in steps]])
    if not 0 < shortest < longest:
        raise InputError(
            f"coil.yaml: repeats: periods from {shortest:g} to {longest:g} {plan.unit}; let shortest be above 0 and below longest"
        )
    return Scales(lane=settings.lane, reach=settings.window, shortest=shortest, longest=longest)
