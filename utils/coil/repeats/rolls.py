"""Which rolls may have left a series: the diameter that its step means, against the diameters that a roll may have."""

import math
from dataclasses import dataclass

from scipy.special import ndtr

from utils.coil.plan import Roll

_DOUBT = 0.003  # relative standard deviation of the elongation: it drifts by about this much over a coil
_FARTHEST = 4.0  # standard deviations outside its range from which on a roll does not fit


@dataclass(frozen=True)
class Candidate:
    """A roll that fits, with the diameter that the period means for it and its share of the probability."""

    name: str
    diameter: float
    probability: float


def rank_rolls(period: float, error: float, rolls: tuple[Roll, ...]) -> list[Candidate]:
    """Return the rolls that fit a period, likeliest first.

    The diameter is period / (pi x elongation). A roll is as likely as the normal density of its diameter, averaged over
    the diameters as ground, all of which count as equally likely: of two rolls that fit, the one with the narrower range
    foretold the period better. Rolls farther than four standard errors from their range do not fit.

    Args:
        period: step along the strip, millimetres.
        error: one standard error of it.
        rolls: of the plan.
    """
    found = []
    for roll in rolls:
        diameter = period / (math.pi * roll.elongation)
        sigma = math.hypot(error / (math.pi * roll.elongation), _DOUBT * diameter)
        above, below = (diameter - roll.smallest) / sigma, (diameter - roll.largest) / sigma
        if above < -_FARTHEST or below > _FARTHEST:
            continue
        width = roll.largest - roll.smallest
        if width > 0.01 * sigma:
            # Of two tails that both round to 1 or to 0, the difference is taken on the side where it does not vanish.
            upper = ndtr(-below) - ndtr(-above) if above > 0 else ndtr(above) - ndtr(below)
            likelihood = math.log(max(float(upper), 1e-300)) - math.log(width)
        else:
            likelihood = -0.5 * above**2 - math.log(sigma * math.sqrt(2 * math.pi))
        # In relative diameters, so that small and large rolls are compared alike.
        found.append((likelihood + math.log(diameter), roll.name, diameter))
    if not found:
        return []
    best = max(found)[0]
    weights = [math.exp(one - best) for one, _, _ in found]
    total = sum(weights)
    candidates = [
        Candidate(name, diameter, weight / total) for weight, (_, name, diameter) in zip(weights, found, strict=True)
    ]
    return sorted(candidates, key=lambda one: (-one.probability, one.name))
