"""Say which defects were there already: lay the map of an earlier process stage on the map of this coil.

Between two stages a coil is turned round (head to tail), turned over (left to right) and rolled longer. So a place
``x`` of the earlier map lies at ``shift + elongation * x`` of this one (``shift - elongation * x`` when reversed), but
for a drift that changes slowly along the strip. All four ways round and all elongations are tried: each pair of defects
with equal class and nearly equal place across votes for the shift that it would need, and the shift wins that explains
the most defects above what chance brings together (surprise ``k ln(k/m) - k + m`` of k matches where m are expected, m
counted at wrong shifts nearby). The same search on earlier maps whose pieces were shuffled says how large the surprise
gets when nothing fits; a Gumbel distribution through these gives the significance. Where this is not clear, or two ways
round fit about as well, nothing is said.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from utils.coil.alignment import ACROSS, COARSE, Fit, StripMap, search, significance, turned
from utils.coil.plan import CoilPlan

# A registration is believed when chance gives as good a one this seldom, and with so many matches at least.
SURE, FEWEST = 1e-3, 6
# Another way round must not explain more than this share of the surprise.
SECOND_BEST = 0.8
# The search takes so many defects of each map, the largest.
MOST = 300


@dataclass(frozen=True)
class Registration:
    """How the map of an earlier stage lies on this one.

    Attributes:
        reversed: the earlier head is the tail now; none: it cannot be told how the maps lie, then all of the next are
            none too.
        elongation: length now divided by length before.
        shift: where the earlier map's place 0 lies now, in the unit of the plan.
        numbers: (N,) int, for each defect of this map its number on the earlier one, 0: none.
        text: one line for the page.
        mirrored: the earlier left edge is the right one now.
        drift: largest distance between the straight line and where the defects lie, in the unit of the plan.
        significance: chance of as good a fit between maps that have nothing in common.
    """

    reversed: bool | None
    elongation: float | None
    shift: float | None
    numbers: np.ndarray
    text: str
    mirrored: bool | None = None
    drift: float | None = None
    significance: float = 1.0


def register(defects: pd.DataFrame, earlier: pd.DataFrame, plan: CoilPlan) -> Registration:
    """Lay the map of an earlier stage on the map of a coil, and match their defects one to one.

    Args:
        defects: table with ``DEFECT_COLUMNS``; static marks are left out.
        earlier: the same of the earlier stage, in the same unit; without ``defect`` its rows count from 1.
        plan: unit and width.

    Returns:
        The registration; its text says so when it cannot be told.
    """
    ours, theirs = _chosen(defects), _chosen(earlier)
    numbers = np.zeros(len(defects), int)
    if min(len(ours), len(theirs)) < FEWEST:
        return _cannot_tell(numbers, f"a map has fewer than {FEWEST} defects")
    names = pd.factorize(pd.concat([defects["class_name"], earlier["class_name"]]))[0]
    if not set(names[: len(defects)]) & set(names[len(defects) :]):
        names[:] = 0  # two lines may call the same defects by other names
    wide = [plan.width or table["across1"].max() for table in (defects, earlier)]
    wide = wide if plan.unit == "px" else [max(wide)] * 2
    now = _map_of(defects.iloc[ours], names[: len(defects)][ours], wide[0])
    before = _map_of(earlier.iloc[theirs], names[len(defects) :][theirs], wide[1])
    few = [_telling(one, table.iloc[rows]) for one, table, rows in ((now, defects, ours), (before, earlier, theirs))]
    best, second = search(few[0], few[1], plan.unit)[:2]
    chance = significance(best, few[0], few[1], plan.unit)
    if chance > SURE:
        return _cannot_tell(numbers, f"no position fits better than chance does (p = {chance:.2g})", chance)
    if second.surprise > SECOND_BEST * best.surprise:
        return _cannot_tell(numbers, "two ways round fit about as well", chance)
    best, pairs, drift = _refined(now, before, best)
    if len(pairs) < FEWEST:
        return _cannot_tell(numbers, f"only {len(pairs)} defects match", chance)
    labels = earlier["defect"].to_numpy(int) if "defect" in earlier else np.arange(1, len(earlier) + 1)
    numbers[ours[pairs[:, 0]]] = labels[theirs[pairs[:, 1]]]
    text = _text(best, len(pairs), len(ours), len(theirs), drift, plan.unit, chance)
    return Registration(best.sense < 0, best.elongation, best.shift, numbers, text, best.mirrored, drift, chance)


def _chosen(table: pd.DataFrame) -> np.ndarray:
    """Return the numbers of the rows that lie on the strip."""
    own = table["artefact"].to_numpy() == 0 if "artefact" in table else np.ones(len(table), bool)
    return np.flatnonzero(own)


def _map_of(table: pd.DataFrame, kind: np.ndarray, width: float) -> StripMap:
    low, high = table[["along0", "across0"]].to_numpy(float), table[["along1", "across1"]].to_numpy(float)
    scale = np.array([1, max(width, 1e-9)])
    return StripMap((low + high) / 2 / scale, (high - low) / 2 / scale, kind)


def _telling(one: StripMap, table: pd.DataFrame) -> StripMap:
    """Return the largest defects; repeating marks, which fit each other at every turn, only where there are few others."""
    single = table["repeat"].to_numpy() == 0 if "repeat" in table else np.ones(len(table), bool)
    size = np.where(single, 1, 0 if single.sum() >= 4 * FEWEST else 1) * (one.half[:, 0] * one.half[:, 1] + 1e-12)
    chosen = np.argsort(-size, kind="stable")[:MOST]
    return one.only(np.sort(chosen[size[chosen] > 0]))


def _refined(now: StripMap, before: StripMap, fit: Fit) -> tuple[Fit, np.ndarray, float]:
    """Return the fit through all matches, the matched pairs (M, 2), and the largest drift off the straight line."""
    before = turned(before, fit.mirrored)
    length = np.ptp(now.middle[:, 0]) + 1e-9
    straight = fit.shift + fit.sense * fit.elongation * before.middle[:, 0]
    halves = before.half * np.array([fit.elongation, 1])
    least = np.array([2e-4 * length, 4e-3])
    reach = np.array([2 * COARSE * length, ACROSS])
    off, across = np.zeros(len(straight)), 0.0
    for _ in range(6):
        places = np.column_stack([straight + off, before.middle[:, 1] + across])
        pairs = _matched(now, places, halves, before.kind, reach)
        if len(pairs) < FEWEST:
            return fit, pairs, 0.0
        seen, line = now.middle[pairs[:, 0]], straight[pairs[:, 1]]
        across += float(np.median(seen[:, 1] - places[pairs[:, 1], 1]))
        off = _drift(line, seen[:, 0] - line, straight)
        left = np.column_stack(
            [seen[:, 0] - line - off[pairs[:, 1]], seen[:, 1] - before.middle[pairs[:, 1], 1] - across]
        )
        # Slowly: the first drift goes through few matches, and those that it misses come back.
        reach = np.clip(6 * 1.4826 * np.median(np.abs(left), axis=0), np.maximum(reach / 2, least), reach)
    x, y = before.middle[pairs[:, 1], 0], straight[pairs[:, 1]] + off[pairs[:, 1]]
    slope, begin = np.polyfit(x, y, 1)
    return (
        replace(fit, elongation=abs(float(slope)), shift=float(begin)),
        pairs,
        float(np.abs(y - begin - slope * x).max()),
    )


def _drift(line: np.ndarray, off: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return how far from the line places lie: lines through the matches around them (Cleveland 1979, made robust).

    Args:
        line: (M,) float, where the matches should lie.
        off: (M,) float, how far from there they lie.
        places: (N,) float, where the answer is wanted.
    """
    knots = np.quantile(line, np.linspace(0, 1, int(np.clip(len(line) // 5, 2, 40))))
    some = max(len(line) // 8, min(len(line), 12))
    values, slopes = np.zeros(len(knots)), np.zeros(len(knots))
    for k, knot in enumerate(knots):
        away = np.abs(line - knot)
        near = np.argpartition(away, some - 1)[:some]
        x, y = line[near] - knot, off[near]
        weights = (1 - np.clip(away[near] / (away[near].max() * 1.01 + 1e-9), 0, 1) ** 3) ** 3
        for _ in range(3):
            middle = np.average(x, weights=weights), np.average(y, weights=weights)
            spread = np.average((x - middle[0]) ** 2, weights=weights)
            slopes[k] = np.average((x - middle[0]) * (y - middle[1]), weights=weights) / max(spread, 1e-9)
            values[k] = middle[1] - slopes[k] * middle[0]
            left = np.abs(y - values[k] - slopes[k] * x)
            weights = weights / (1 + (left / (2 * np.median(left) + 1e-9)) ** 2)
    found = np.interp(places, knots, values)
    found += np.where(places < knots[0], (places - knots[0]) * slopes[0], 0)
    return found + np.where(places > knots[-1], (places - knots[-1]) * slopes[-1], 0)


def _matched(now: StripMap, places: np.ndarray, halves: np.ndarray, kinds: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return (M, 2) int, pairs of equal class within reach, one to one, nearest first."""
    tree = cKDTree(now.middle / reach)
    near = tree.query_ball_point(places / reach, 2**0.5)
    j = np.repeat(np.arange(len(near)), [len(one) for one in near])
    i = np.array([k for one in near for k in one], int)
    if not len(i):
        return np.zeros((0, 2), int)
    away = np.abs(now.middle[i] - places[j]) / reach
    kept = (now.kind[i] == kinds[j]) & (away <= 1).all(axis=1)
    i, j, away = i[kept], j[kept], away[kept]
    # Of two that are as near, the one of about the same size.
    size = np.abs(np.log((now.half[i].max(axis=1) + 1e-9) / (halves[j].max(axis=1) + 1e-9)))
    pairs, taken = [], (set[int](), set[int]())
    for k in np.argsort(np.hypot(*away.T) + 0.05 * np.minimum(size, 3), kind="stable").tolist():
        one, other = int(i[k]), int(j[k])
        if one not in taken[0] and other not in taken[1]:
            taken[0].add(one)
            taken[1].add(other)
            pairs.append((one, other))
    return np.array(pairs, int).reshape(-1, 2)


def _cannot_tell(numbers: np.ndarray, why: str, significance: float = 1.0) -> Registration:
    text = f"How the earlier map lies on this one cannot be told: {why}."
    return Registration(None, None, None, numbers, text, significance=significance)


def _text(fit: Fit, matches: int, ours: int, theirs: int, drift: float, unit: str, significance: float) -> str:
    ways = ["reversed head to tail" if fit.sense < 0 else "same head"]
    ways.append("mirrored left to right" if fit.mirrored else "same left edge")

    def length(value: float) -> str:
        return f"{value / 1000:.1f} m" if unit == "mm" else f"{value:.0f} px"

    return (
        f"{matches} of {ours} defects were there already, {ours - matches} are new, {theirs - matches} of the earlier "
        f"{theirs} are gone. Earlier map: {', '.join(ways)}, elongation {fit.elongation:.4g}, its start at "
        f"{length(fit.shift)}, drift up to {length(drift)} (by chance: {max(significance, 1e-12):.0e})."
    )
