"""Search for the way to lay one map of defects on another one: turned or not, and longer by how much.

Each pair of defects with equal class and nearly equal place across votes, for each elongation, for the shift that it would
need. The shift wins that explains the most defects above what chance brings together: surprise ``k ln(k/m) - k + m`` of k
matches where m are expected, m counted at wrong shifts nearby. The same search on maps whose pieces were shuffled says how
large the surprise gets when nothing fits; a Gumbel distribution through these gives the significance.
"""

from dataclasses import dataclass, replace

import numpy as np

# Elongations in the search; in pixels the scales of the two cameras differ too.
ELONGATIONS = {"mm": (0.95, 5.3), "px": (0.2, 5.3)}
# First search: how far off a match may be along (share of the length) and across (share of the width).
COARSE, ACROSS = 0.004, 0.03
# Pieces of a shuffled map, and how many of these say what chance does.
PIECES, SHUFFLED = 8, 12
# Wrong shifts that say what chance brings together, in steps of the coarse search.
WRONG = np.concatenate([-np.arange(4, 16), np.arange(4, 16)])


@dataclass(frozen=True)
class StripMap:
    """Middles and half extents of defects; axis 0 along, 1 across as a share of the width; kinds: number of the class."""

    middle: np.ndarray
    half: np.ndarray
    kind: np.ndarray

    def only(self, chosen: np.ndarray) -> "StripMap":
        return StripMap(self.middle[chosen], self.half[chosen], self.kind[chosen])


@dataclass(frozen=True)
class Fit:
    """One way to lay the earlier map on this one."""

    surprise: float = 0.0
    sense: int = 1
    mirrored: bool = False
    elongation: float = 1.0
    shift: float = 0.0


def turned(one: StripMap, mirrored: bool) -> StripMap:
    return replace(one, middle=np.column_stack([one.middle[:, 0], 1 - one.middle[:, 1]])) if mirrored else one


def _beside(now: StripMap, before: StripMap, across: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of equal class whose places across differ by at most ``across``."""
    order = np.argsort(before.middle[:, 1], kind="stable")
    places = before.middle[order, 1]
    first = np.searchsorted(places, now.middle[:, 1] - across)
    counts = np.searchsorted(places, now.middle[:, 1] + across, "right") - first
    i = np.repeat(np.arange(len(counts)), counts)
    j = order[np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)]
    same = now.kind[i] == before.kind[j]
    return i[same], j[same]


def search(now: StripMap, before: StripMap, unit: str, senses: tuple[int, ...] = (1, -1)) -> list[Fit]:
    """Return the best fit of each way round, best first."""
    step = COARSE * np.ptp(now.middle[:, 0]) + 1e-9
    low, high = np.log(ELONGATIONS[unit])
    elongations = np.exp(np.arange(low, high, COARSE))
    found = []
    for mirrored in (False, True):
        i, j = _beside(now, turned(before, mirrored), ACROSS)
        if not len(i):
            continue
        for sense in senses:
            tried = []
            for some in np.array_split(elongations, max(1, len(i) * len(elongations) // 2_000_000)):
                shifts = now.middle[i, 0] - sense * some[:, None] * before.middle[j, 0]
                for elongation, surprise, shift in zip(some, *_fullest(shifts, step), strict=True):
                    tried.append(Fit(float(surprise), sense, mirrored, float(elongation), float(shift)))
            tried.sort(key=lambda fit: -fit.surprise)
            checked = [replace(fit, surprise=_one_to_one(fit, now, before, i, j, step)) for fit in tried[:6]]
            found.append(max(checked, key=lambda fit: fit.surprise))
    return [*sorted(found, key=lambda fit: -fit.surprise), Fit(), Fit()]


def _fullest(shifts: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of (E, P) shifts the surprise of the one with the most votes above those nearby, and that one."""
    begin = shifts.min(axis=1, keepdims=True)
    bins = ((shifts - begin) / step).astype(np.int32)
    number = int(bins.max()) + 2
    bins += np.arange(len(bins), dtype=np.int32)[:, None] * number
    votes = np.bincount(bins.ravel(), minlength=len(bins) * number).reshape(len(bins), number)
    votes[:, :-1] += votes[:, 1:]  # bins of two steps at half overlap
    wide = int(WRONG.max())
    sums = np.pad(votes, ((0, 0), (1, 0))).cumsum(axis=1)
    # Few bins have half as many votes as the fullest one, and one of these has the largest surprise in practice.
    row, at = np.nonzero(votes >= np.maximum(votes.max(axis=1, keepdims=True) // 2, 1))
    first, last = np.maximum(at - wide, 0), np.minimum(at + wide + 1, number)
    expected = (sums[row, last] - sums[row, first]) / (last - first)
    surprise = _surprise(votes[row, at], np.maximum(expected, 0.5))
    order = np.lexsort((-surprise, row))
    best = order[np.diff(row[order], prepend=-1) > 0]
    return surprise[best], begin[:, 0] + (at[best] + 1) * step


def _one_to_one(fit: Fit, now: StripMap, before: StripMap, i: np.ndarray, j: np.ndarray, step: float) -> float:
    """Return the surprise of a fit where a defect counts once, whatever number of others lie beside it."""
    if fit.surprise == 0:
        return 0.0
    off = now.middle[i, 0] - fit.sense * fit.elongation * before.middle[j, 0] - fit.shift

    def matches(shift: float) -> int:
        here = np.abs(off - shift) <= step
        return min(len(np.unique(i[here])), len(np.unique(j[here])))

    expected = np.mean([matches(k * step) for k in WRONG])
    return float(_surprise(np.array(matches(0)), np.maximum(expected, 0.5)))


def _surprise(count: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return -ln of the Poisson tail's Chernoff bound; 0 below the mean."""
    ratio = np.maximum(count, 1e-9) / expected
    return np.where(count > expected, count * np.log(ratio) - count + expected, 0.0)


def _shuffled(one: StripMap, random: np.random.Generator) -> StripMap:
    """Return a map whose pieces along the strip change places and are turned at random; bursts stay bursts."""
    along = one.middle[:, 0]
    borders = np.linspace(along.min(), along.max() + 1e-9, PIECES + 1)
    piece = np.clip(np.searchsorted(borders, along, "right") - 1, 0, PIECES - 1)
    length = borders[1] - borders[0]
    inside = (along - borders[piece] + random.uniform(0, length, PIECES)[piece]) % length
    inside = np.where(random.random(PIECES)[piece] < 0.5, inside, length - inside)
    across = np.where(random.random(PIECES)[piece] < 0.5, one.middle[:, 1], 1 - one.middle[:, 1])
    return replace(one, middle=np.column_stack([borders[random.permutation(PIECES)[piece]] + inside, across]))


def _gumbel(value: float, chance: np.ndarray) -> float:
    """Return the chance of ``value`` or more in a Gumbel distribution with the mean and spread of ``chance``."""
    scale = max(float(chance.std(ddof=1)) * 6**0.5 / np.pi, 0.3)
    return float(-np.expm1(-np.exp(-(value - (chance.mean() - 0.5772 * scale)) / scale)))


def significance(found: Fit, now: StripMap, before: StripMap, unit: str) -> float:
    """Return the chance that maps which have nothing in common give as large a surprise."""
    random = np.random.default_rng(0)
    # Pieces are turned at random, so one sense says what both would.
    chance = [search(now, _shuffled(before, random), unit, (1,))[0].surprise for _ in range(SHUFFLED)]
    return min(2 * _gumbel(found.surprise, np.array(chance)), 1.0)
