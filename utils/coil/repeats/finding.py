"""Find the series of a coil: follow chains of marks, judge each as a whole, take the best, and look again without it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utils.coil.plan import CoilPlan
from utils.coil.repeats.background import log_densities
from utils.coil.repeats.links import Indices, link, ranges
from utils.coil.repeats.parts import joined
from utils.coil.repeats.rolls import rank_rolls
from utils.coil.repeats.scales import Floats, Scales, scales_of
from utils.coil.repeats.series import Points, Series, divided, extend, halves, refine, score, split
from utils.coil.repeats.tracks import Tracks, follow, start_costs
from utils.coil.tables import REPEAT_COLUMNS

_TELLING = 1.0  # defects that lie so dense that a mark there would bring less than this are left out
_ROUNDS = 12  # searches of one coil, each without what the last one found
_JUDGED = 8.0  # chains are judged from this far below the threshold on: the share of marks seen is guessed till then
_FEWEST = 4  # marks of a series
_FRESH = 0.7  # share of marks that a chain must have to itself


@dataclass(frozen=True)
class Repeats:
    """Series of a coil.

    Attributes:
        table: a row for each, with ``REPEAT_COLUMNS``, surest first.
        numbers: (N,) number of the series that each defect belongs to, 0: none.
    """

    table: pd.DataFrame
    numbers: NDArray[np.int64]


def find_repeats(
    along: Floats,
    across: Floats,
    class_names: Sequence[str],
    length: float,
    plan: CoilPlan,
    frame: float | None = None,
) -> Repeats:
    """Return the series of defects at one place across the strip with a fixed step along it, and their rolls.

    Args:
        along: (N,) middle of each defect along the strip, in the unit of the plan.
        across: (N,) across it.
        class_names: (N,) class of each.
        length: of the coil.
        plan: lanes, windows, rolls and the number of false alarms that is accepted.
        frame: step from one frame to the next along the strip, where it is fixed. A series that lies at the same place of
            every frame is dirt on a lens that was taken for defects; it is left out.

    Returns:
        The table of series, and the series of each defect.
    """
    order = np.argsort(along, kind="stable")
    names, classes = np.unique(np.asarray(class_names, dtype=str), return_inverse=True)
    points = Points(
        np.asarray(along, float)[order],
        np.asarray(across, float)[order],
        classes[order],
        np.zeros(len(order)),
        np.isfinite(along)[order] & np.isfinite(across)[order],
    )
    scales = scales_of(plan)
    found = search(points, length, scales, plan) if points.free.sum() >= _FEWEST else []
    found = whole(found, points, scales)
    if frame is not None:
        found = [one for one in found if not fixed_to_frames(points.along[one.series.marks], frame, scales)]
    numbers = np.zeros(len(order), np.int64)
    rows = []
    for number, one in enumerate(sorted(found, key=lambda one: -one.score), 1):
        numbers[order[one.companions]] = number
        numbers[order[one.series.marks]] = number
        rows.append(row(number, one, points, names, plan, scales))
    return Repeats(pd.DataFrame(rows, columns=list(REPEAT_COLUMNS)), numbers)


@dataclass(frozen=True)
class Found:
    """A series that was taken, with its score and the other parts of its marks."""

    series: Series
    score: float
    companions: Indices


def search(points: Points, length: float, scales: Scales, plan: CoilPlan) -> list[Found]:
    """Return the series of a coil; marks as taken the defects that belong to them."""
    threshold = -math.log(plan.repeats.false_alarms)
    log_range = math.log(math.log(scales.longest / scales.shortest))
    found: list[Found] = []
    wanted = points.free.copy()
    for _ in range(_ROUNDS):
        free = points.free
        chosen = np.flatnonzero(free & wanted)
        if len(chosen) < _FEWEST:
            break
        density = log_densities(
            points.along[free], points.across[free], points.along[chosen], points.across[chosen], length, scales.lane
        )
        points.log_density[chosen] = density
        telling = density < scales.log_mark - _TELLING
        chosen, density = chosen[telling], density[telling]
        if len(chosen) < _FEWEST:
            break
        along, across = points.along[chosen], points.across[chosen]
        area = max(length, float(np.ptp(points.along[free]))) * (float(np.ptp(points.across[free])) + scales.lane)
        start = start_costs(density, area)
        links = link(along, across, density, scales)
        tracks = follow(links, density, start, scales)
        wanted = np.zeros(len(points.free), bool)
        for marks, turns in chains(tracks, threshold - _JUDGED):
            if not points.free[chosen[marks]].all():
                continue
            series = Series(chosen[marks], turns, float(start[marks[0]]))
            taken = judge(series, points, scales, log_range, threshold, plan)
            if taken is None:
                continue
            for one in taken:
                wanted |= np.abs(points.across - np.median(points.across[one.series.marks])) < 2 * scales.lane
            found += [one for one in taken if one.score > -math.inf]
        if not wanted.any():
            break
    return found


def whole(found: Sequence[Found], points: Points, scales: Scales) -> list[Found]:
    """Return the series with the parts of each put together, see ``joined``."""
    parts: list[Found] = []
    for one in sorted(found, key=lambda one: float(points.along[one.series.marks[0]])):
        for index, before in enumerate(parts):
            series = joined(before.series, one.series, points, scales)
            if series is not None:
                companions = np.concatenate([before.companions, one.companions])
                parts[index] = Found(series, before.score + one.score, companions)
                break
        else:
            parts.append(one)
    return parts


def chains(tracks: Tracks, threshold: float, most: int = 60) -> list[tuple[Indices, Indices]]:
    """List the best chains, best first, each with the defects that no better one has: defects and their turns."""
    used = np.zeros(len(tracks.score), bool)
    defect, track = np.nonzero(tracks.score > threshold)
    order = np.argsort(-tracks.score[defect, track], kind="stable")
    found: list[tuple[Indices, Indices]] = []
    tried = 0
    for one in order:
        if used[defect[one]]:
            continue
        marks, turns = tracks.chain(int(defect[one]), int(track[one]))
        tried += 1
        fresh = ~used[marks]
        # Series that cross share a mark now and then; variants of one series share most of them.
        if fresh.mean() >= _FRESH and fresh.sum() >= _FEWEST:
            used[marks] = True
            found.append((marks[fresh], turns[fresh] - turns[fresh][0]))
        if len(found) >= most or tried >= 20 * most:
            break
    return found


def judge(
    series: Series, points: Points, scales: Scales, log_range: float, threshold: float, plan: CoilPlan
) -> list[Found] | None:
    """Return the series that a chain stands for and mark their defects as taken; none: it may be chance.

    A step that a third of it or less explains, which is below the shortest, is no series. Its defects are taken, so that
    they do not come back as many series.
    """
    series = extend(series, points, scales)
    divisor = divided(series, points, scales)
    period = series.period(points)
    if divisor > 1:
        finer = refine(series, points, scales, divisor)
        if period / divisor < 0.97 * scales.shortest and divisor > 2:
            points.free[finer.marks] = False
            return [Found(finer, -math.inf, finer.marks)]
        series = extend(finer, points, scales)
        period = series.period(points)
    fits = None
    if plan.rolls and plan.unit == "mm":
        fits = [bool(rank_rolls(period * n, 0.0, plan.rolls)) and period * n <= scales.longest for n in range(1, 5)]
    # No roll is so small that it leaves half of the shortest step: then its marks lie opposite each other.
    opposite = period < 0.97 * scales.shortest
    parts = halves(series) if opposite else split(series, points, scales, log_range, fits)
    taken: list[tuple[Series, float]] = []
    # Parts that are too short to be sure of alone may be sure together.
    for tried in [parts] if opposite or len(parts) == 1 else [parts, [series]]:
        values = [(one, score(one, points, scales, log_range)) for one in tried if len(one.marks) >= _FEWEST]
        sure = [(one, value) for one, value in values if value >= threshold]
        if len(sure) == len(parts) > 1:
            taken = sure
            break
        if sum(value for _, value in sure) > sum(value for _, value in taken):
            taken = sure
    if not taken:
        return None
    found = []
    for one, _ in taken:
        points.free[one.marks] = False
    for one, value in taken:
        beside = companions(one, points, scales)
        points.free[beside] = False
        found.append(Found(one, value, beside))
    return found


def fixed_to_frames(along: Floats, frame: float, scales: Scales) -> bool:
    """Check whether marks lie at one place of the frame, or at two opposite ones: a strip slips, a lens does not."""
    for places in (1, 2):
        mean = abs(np.exp(2j * np.pi * places * along / frame).mean())
        if frame / (2 * np.pi * places) * math.sqrt(-2 * math.log(min(max(mean, 1e-12), 1.0))) < 0.1 * scales.lane:
            return True
    return False


def companions(series: Series, points: Points, scales: Scales) -> Indices:
    """List the free defects that lie beside the marks of a series: other parts of the same marks."""
    along, across = points.along[series.marks], points.across[series.marks]
    low, high = (np.searchsorted(points.along, along + sense * scales.lane / 2) for sense in (-1, 1))
    mark, near = ranges(low, high)
    return near[points.free[near] & (np.abs(points.across[near] - across[mark]) <= scales.lane / 2)]


def row(
    number: int, found: Found, points: Points, names: NDArray[np.str_], plan: CoilPlan, scales: Scales
) -> dict[str, object]:
    """Return the row of a series in the table."""
    series = found.series
    along = points.along[series.marks]
    period = series.period(points)
    far = np.diff(series.turns).astype(float)
    residual = np.diff(along) - far * period
    slip = float(np.sum(residual**2) / np.sum(far))
    last = float(series.turns[-1])
    error = math.sqrt(max(slip, scales.slip / 9) * last + 2 * scales.place) / last
    drift = 0.0
    if len(along) >= 8:
        # Two halves: their mean steps are half of the series apart.
        middle = int(np.searchsorted(series.turns, last / 2))
        middle = min(max(middle, 2), len(along) - 3)
        before = (along[middle] - along[0]) / series.turns[middle]
        after = (along[-1] - along[middle]) / (last - series.turns[middle])
        drift = 2 * (after - before) / period
    rolls = rank_rolls(period, error, plan.rolls) if plan.unit == "mm" else []
    return {
        "repeat": number,
        "across": float(np.median(points.across[series.marks])),
        "period": period,
        "period_error": error,
        "drift": drift,
        "onset": float(along[0]),
        "end": float(along[-1]),
        "hits": len(along),
        "turns": series.count,
        "false_alarms": math.exp(-max(found.score, 0.0)),
        "class_name": str(names[np.bincount(points.classes[series.marks]).argmax()]),
        "roll": rolls[0].name if rolls else "",
        "diameter": rolls[0].diameter if rolls else math.nan,
        "rolls": ";".join(one.name for one in rolls),
    }
