"""Make one entry of defects that belong together: scratches in parts, dense patches, stretches with more than elsewhere.

Three kinds, each of what the ones before it left over:

- *scratch*: long narrow defects of one class in a line. Each is linked to the next one ahead beside its track, when the
  gap is so small that chance seldom puts a long defect of the class there (``CHANCE_IN_LINE``, less where there are many).
- *patch*: defects of any class that are linked when they lie nearer than ``r``, where a circle of radius ``r`` holds
  ``NEIGHBOURS`` others of an even background. In such a background the number of defects that hang together is at most
  that of a branching process (Borel distribution), so a size can be stated that chance reaches on one coil in
  ``1 / FALSE_ALARMS``.
- *stretch*: defects of one class, more often from an onset to an end than before and after: the interval with the largest
  likelihood ratio of two Poisson rates (Kulldorff 1997), with the number of intervals counted in.

A group goes on to the tail when the strip ends sooner after its last defect than three of its mean distances.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.special import gammaln

from utils.coil.neighbours import near_pairs
from utils.coil.plan import CoilPlan
from utils.coil.tables import GROUP_COLUMNS

# Expected number of patches, and of stretches, found on a coil whose defects have nothing to do with each other.
FALSE_ALARMS = 0.01
# A long defect is so many times as long as wide; a scratch has so many parts at least.
SLENDER, FEWEST_PARTS = 4.0, 3
CHANCE_IN_LINE = 0.02
NEIGHBOURS = 0.2
# A patch that is so many times as long as the strip is wide is called a stretch.
LONG_PATCH = 3.0
# A stretch has so many defects at least, so many times as many a metre as the rest; borders that are tried for it.
FEWEST_IN_STRETCH, DENSER, BORDERS = 10, 3.0, 300
# Stretches and lanes that say what the background is.
CELLS = (60, 8)


@dataclass(frozen=True)
class _Places:
    """Boxes of defects; axis 0 along the strip, axis 1 across it."""

    low: np.ndarray
    high: np.ndarray
    length: float
    width: float

    @property
    def middle(self) -> np.ndarray:
        return (self.low + self.high) / 2


def group(defects: pd.DataFrame, plan: CoilPlan, length: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Find the groups of a coil's defects.

    Args:
        defects: table with ``DEFECT_COLUMNS``; static marks and repeating marks are in no group.
        plan: width of the strip, and the gap up to which parts lie in one line whatever chance does (``join``).
        length: of the strip, in the unit of the plan.

    Returns:
        Table with ``GROUP_COLUMNS`` in the order along the strip, and (N,) int, each defect's group, 0: none.
    """
    numbers = np.zeros(len(defects), int)
    if defects.empty:
        return pd.DataFrame(columns=list(GROUP_COLUMNS)), numbers
    low, high = (defects[[f"along{k}", f"across{k}"]].to_numpy(float) for k in (0, 1))
    width = plan.width or max(float(high[:, 1].max() - low[:, 1].min()), 1.0)
    places = _Places(low, high, max(length, float(high[:, 0].max())), width)
    classes = pd.factorize(defects["class_name"])[0]
    free = (defects["artefact"].to_numpy() == 0) & (defects["repeat"].to_numpy() == 0)
    found: list[tuple[str, np.ndarray]] = []
    for kind in range(classes.max() + 1):
        found += [("scratch", one) for one in _scratches(places, np.flatnonzero(free & (classes == kind)), plan.join)]
    _take(free, found)
    for one in _patches(places, np.flatnonzero(free)):
        extent = float(high[one, 0].max() - low[one, 0].min())
        found.append(("stretch" if extent > LONG_PATCH * width else "patch", one))
    _take(free, found)
    for kind in range(classes.max() + 1):
        found += [
            ("stretch", one) for one in _stretches(places, np.flatnonzero(free & (classes == kind)), classes.max() + 1)
        ]
    found.sort(key=lambda one: (low[one[1], 0].min(), low[one[1], 1].min()))
    rows = []
    for number, (kind_name, members) in enumerate(found, 1):
        numbers[members] = number
        rows.append((number, kind_name, *_entry(defects.iloc[members], places, members)))
    return pd.DataFrame(rows, columns=list(GROUP_COLUMNS)), numbers


def _take(free: np.ndarray, found: list[tuple[str, np.ndarray]]) -> None:
    for _, members in found:
        free[members] = False


def _entry(own: pd.DataFrame, places: _Places, members: np.ndarray) -> tuple[object, ...]:
    """Return the columns of a group's row from its class on."""
    low, high = places.low[members].min(axis=0), places.high[members].max(axis=0)
    starts = np.sort(places.low[members, 0])
    usual = (starts[-1] - starts[0]) / max(len(members) - 1, 1)
    to_tail = bool(places.length - high[0] <= 3 * usual)
    name = own["class_name"].mode().iloc[0]
    return name, low[0], high[0], low[1], high[1], len(members), to_tail


def _connected(number: int, i: np.ndarray, j: np.ndarray) -> list[np.ndarray]:
    """Return the sets of those that links connect."""
    labels = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(number, number)), directed=False)[1]
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _scratches(places: _Places, chosen: np.ndarray, join: float) -> list[np.ndarray]:
    """Return the sets of long defects of one class that lie in a line."""
    extent = places.high[chosen] - places.low[chosen]
    chosen = chosen[extent[:, 0] >= SLENDER * extent[:, 1]]
    if len(chosen) < FEWEST_PARTS:
        return []
    low, high = places.low[chosen], places.high[chosen]
    density = _background((low + high) / 2, places)
    # So that a chain of two links by chance is as seldom as the other false alarms, however many long defects there are.
    chance = min(CHANCE_IN_LINE, (FALSE_ALARMS / len(chosen)) ** 0.5)
    usual = float(np.median(high[:, 1] - low[:, 1]))
    # A gap as long as the parts, with a track twice as wide as they are.
    reach = max(float(np.quantile(high[:, 0] - low[:, 0], 0.9)), 3 * join)
    links: list[tuple[np.ndarray, np.ndarray]] = []
    for i, j in near_pairs(low, high, np.zeros(len(chosen), int), np.array([reach, max(usual, join)])):
        ahead = np.maximum(np.maximum(low[i, 0], low[j, 0]) - np.minimum(high[i, 0], high[j, 0]), 0)
        beside = np.maximum(np.maximum(low[i, 1], low[j, 1]) - np.minimum(high[i, 1], high[j, 1]), 0)
        track = np.maximum(high[i, 1] - low[i, 1], high[j, 1] - low[j, 1]) + 2 * beside + usual
        shorter = np.maximum(high[i, 0] - low[i, 0], high[j, 0] - low[j, 0])
        line = (np.maximum(density[i], density[j]) * ahead * track <= chance) & (
            ahead <= np.maximum(2 * shorter, 3 * join)
        )
        links.append((i[line], j[line]))
    i, j = (np.concatenate(one) for one in zip(*links, strict=True))
    return [chosen[one] for one in _connected(len(chosen), i, j) if len(one) >= FEWEST_PARTS]


def _patches(places: _Places, chosen: np.ndarray) -> list[np.ndarray]:
    """Return the sets of defects that lie nearer together than chance puts them."""
    if len(chosen) < 5:
        return []
    middle = places.middle[chosen]
    density = _background(middle, places)
    # A circle of the radius holds NEIGHBOURS others; where it is wider than the strip, a rectangle across the strip.
    radius = np.sqrt(NEIGHBOURS / (np.pi * density))
    radius = np.where(radius > places.width / 2, NEIGHBOURS / (2 * places.width * density), radius)
    radius = np.maximum(radius, 1e-9)
    least = _chance_size(len(chosen))
    dense = [one for one in _near(middle, radius) if len(one) >= least]
    if not dense:
        return []
    # Two patches with a small hole between them are one.
    members = np.concatenate(dense)
    return [chosen[members[one]] for one in _near(middle[members], 2 * radius[members])]


def _near(middle: np.ndarray, radius: np.ndarray) -> list[np.ndarray]:
    """Return the sets of places that hang together by steps of at most their radius."""
    pairs = cKDTree(middle).query_pairs(float(np.quantile(radius, 0.99)), output_type="ndarray")
    away = np.hypot(*(middle[pairs[:, 0]] - middle[pairs[:, 1]]).T)
    near = pairs[away <= np.minimum(radius[pairs[:, 0]], radius[pairs[:, 1]])]
    return _connected(len(middle), near[:, 0], near[:, 1])


def _background(middle: np.ndarray, places: _Places) -> np.ndarray:
    """Return (N,) float, defects per area around each one without those of dense places.

    Each lane has its own (edges have more); cells with far more than the lane's other cells count as three times these.
    """
    cells = [CELLS[0], max(min(CELLS[1], len(middle) // 20), 1)]
    left = places.low[:, 1].min()
    where = [
        np.clip(
            ((middle[:, k] - (0, left)[k]) / (places.length, places.width)[k] * cells[k]).astype(int), 0, cells[k] - 1
        )
        for k in (0, 1)
    ]
    counts = np.zeros(cells)
    np.add.at(counts, tuple(where), 1)
    most = 3 * (np.median(counts, axis=0) + 1)
    lanes = np.minimum(counts, most).mean(axis=0)
    area = places.length * places.width / np.prod(cells)
    even = np.minimum(counts, most).mean()
    return np.maximum(lanes, 0.3 * even)[where[1]] / area


def _chance_size(number: int) -> int:
    """Return the size that chance reaches in one background of ``number`` defects out of ``1 / FALSE_ALARMS``."""
    n = np.arange(1, 200)
    log = -NEIGHBOURS * n + (n - 1) * np.log(NEIGHBOURS * n) - gammaln(n + 1)
    tail = np.cumsum(np.exp(log)[::-1])[::-1]
    return int(n[np.argmax(tail * number <= FALSE_ALARMS)])


def _stretches(places: _Places, chosen: np.ndarray, tests: int) -> list[np.ndarray]:
    """Return the stretch of one class that has clearly more defects than the rest, or nothing."""
    if len(chosen) < FEWEST_IN_STRETCH:
        return []
    order = np.argsort(places.low[chosen, 0], kind="stable")
    along = places.low[chosen[order], 0]
    every = np.unique(np.linspace(0, len(along) - 1, BORDERS).astype(int))
    first, last = (one.ravel() for one in np.meshgrid(every, every, indexing="ij"))
    kept = last - first + 1 >= FEWEST_IN_STRETCH
    first, last = first[kept], last[kept]
    if not len(first):
        return []
    count, total = last - first + 1.0, float(len(along))
    # The interval begins and ends with a defect: the two are given by where it is, not found in it.
    share = np.clip((along[last] - along[first]) / places.length, 1e-9, 1 - 1e-9)
    inside, outside = (count - 2) / share, (total - count) / (1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(total > count, (total - count) * np.log((total - count) / (total * (1 - share))), 0)
        gain = np.where(inside >= DENSER * outside, (count - 2) * np.log((count - 2) / (total * share)) + rest, 0)
    k = int(gain.argmax())
    if gain[k] < np.log(len(first) * tests / FALSE_ALARMS):
        return []
    return [chosen[order[first[k] : last[k] + 1]]]
