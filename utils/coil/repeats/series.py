"""A chain of marks judged as a whole: its ends, its step, and whether half, a third or twice the step explains it better."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlogy

from utils.coil.repeats.links import Indices
from utils.coil.repeats.scales import Floats, Scales
from utils.coil.repeats.tracks import SEEN

_SECOND_MARK = 7.0  # log of the odds against a second mark on a roll that has one: its place around the roll
_SCRATCHES = (0.05, 0.1, 0.2)  # how much the gaps of a broken scratch vary, as a share of the mean gap
_SCRATCH_ODDS = 2.0  # log of the odds of a broken scratch against a series of marks
_CROWD_ODDS = 9.0  # the same, added at most for other defects on the same line
_LINE, _BESIDE = 0.12, 0.5  # half the width of that line, and of what lies on both sides of it, in lanes
_SPLIT_ODDS = 5.0  # log of the odds against marks that only look like one at a finer step
_ROLL_ODDS = 20.0  # the same for marks whose step no roll has, where one has twice that
# The bound on false alarms adds up all chains, and the background is that of the densest box: on drawn clutter no chain
# but those along scratches, which are judged apart, came nearer to the threshold than twice this.
_SLACK = 2.0
_FINEST = 10  # the step is divided by numbers up to this


@dataclass(frozen=True)
class Points:
    """The defects among which series are looked for, in order along the strip.

    Attributes:
        along, across: (N,) middles.
        classes: (N,) numbers of their classes.
        log_density: (N,) background, one over square units.
        free: (N,) whether the defect belongs to no series yet.
    """

    along: Floats
    across: Floats
    classes: Indices
    log_density: Floats
    free: NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """Marks at a fixed step.

    Attributes:
        marks: (h,) indices of points, in order.
        turns: (h,) turn of each, from 0.
        start: log prior that a series begins at the first one.
    """

    marks: Indices
    turns: Indices
    start: float

    @property
    def count(self) -> int:
        """Return the number of turns from the first mark to the last, both counted."""
        return int(self.turns[-1]) + 1

    def period(self, points: Points) -> float:
        """Return the mean step. Slip adds up, so that the two ends know all there is to know (random walk)."""
        along = points.along[self.marks]
        return float(along[-1] - along[0]) / float(self.turns[-1])


def gains(series: Series, points: Points, scales: Scales, log_range: float) -> tuple[Floats, Floats]:
    """Return what every link of a series brings, apart from seen and missed marks: (h - 1,) in all, and along alone.

    The first link tells the period: any is as likely by its logarithm.
    """
    along, across = points.along[series.marks], points.across[series.marks]
    far = np.diff(series.turns).astype(float)
    distance = np.diff(along)
    # The period at each link is the mean of its neighbourhood, without the link itself where there are others.
    period = local_periods(along, series.turns)
    steady = 2 * scales.place / np.maximum(far, 1) ** 2 + (3e-4 * period) ** 2
    spread = scales.spread(far, np.minimum(steady, scales.slip / 4))
    along_gain = scales.log_along(distance - far * period, spread)
    along_gain[0] = -math.log(distance[0]) - log_range
    across_gain = scales.log_across(np.diff(across), distance)
    return along_gain + across_gain - points.log_density[series.marks[1:]], along_gain


def local_periods(along: Floats, turns: Indices, half: int = 6) -> Floats:
    """Return the step around each link: of up to ``half`` links before it and after it, without itself."""
    number = len(along) - 1
    link = np.arange(number)
    begin, end = np.maximum(link - half, 0), np.minimum(link + half, number - 1) + 1
    distance, far = np.diff(along), np.diff(turns).astype(float)
    whole, steps = along[end] - along[begin], (turns[end] - turns[begin]).astype(float)
    alone = end - begin <= 1
    return np.where(alone, distance / far, (whole - distance) / np.maximum(steps - far, 1e-9))


def evidence(gain: float, seen: float, turns: float) -> float:
    """Return the log likelihood of marks seen in some turns, any share of seen marks being as likely.

    Args:
        gain: what the links bring in all, without seen and missed.
        seen: links, without the first mark.
        turns: turns after the first mark.
    """
    return gain + float(betaln(seen + 1, turns - seen + 1))


def score(series: Series, points: Points, scales: Scales, log_range: float) -> float:
    """Return the log of likelihood x prior of a series over that of the background, or of a broken scratch.

    A scratch in parts has gaps of about one length, a turn of a roll is far more even. Where gaps that vary by a
    twentieth to a fifth of the step explain the marks nearly as well, they are no series.
    """
    gain, along_gain = gains(series, points, scales, log_range)
    links, turns = len(series.marks) - 1, series.count - 1
    likely = _SLACK + series.start + evidence(float(gain.sum()), links, turns)
    far = np.diff(series.turns).astype(float)
    residual = np.diff(points.along[series.marks]) - far * series.period(points)
    over_scratch = math.inf
    for share in _SCRATCHES:
        width = share * series.period(points) * np.sqrt(far)
        scratch = -0.5 * (residual / width) ** 2 - np.log(width) - 0.5 * math.log(2 * math.pi)
        over_scratch = min(over_scratch, float((along_gain - scratch)[1:].sum()))
    return min(likely, over_scratch - _SCRATCH_ODDS - crowd(series, points, scales))


def crowd(series: Series, points: Points, scales: Scales) -> float:
    """Return the log of the odds of a scratch that the other defects on the line of a series speak for.

    Most parts of a scratch are off the step, while between the marks of a roll lies what lies before and after them. The
    log likelihood of the count, given three times the density on the same line beyond the ends, or on both sides of it
    where that is larger (a short coil may have no strip beyond the ends), up to a limit.
    """
    along, across = points.along[series.marks], points.across[series.marks]
    extent = along[-1] - along[0]
    beyond = max(scales.reach, extent)
    low, begin, end, high = np.searchsorted(points.along, (along[0] - beyond, along[0], along[-1], along[-1] + beyond))
    off = np.abs(points.across[low:high] - np.interp(points.along[low:high], along, across))
    off[~points.free[low:high]] = math.inf
    within = slice(begin - low, end - low)
    line, beside = off < _LINE * scales.lane, (off >= _LINE * scales.lane) & (off < _BESIDE * scales.lane)
    inside = line[within].sum() + 1 - len(series.marks)
    outside = (line.sum() - line[within].sum()) * extent / (2 * beyond)
    expected = 1.0 + 3.0 * max(outside, beside[within].sum() * _LINE / (_BESIDE - _LINE))
    if inside <= expected:
        return 0.0
    return float(min(inside * math.log(inside / expected) - inside + expected, _CROWD_ODDS))


def extend(series: Series, points: Points, scales: Scales) -> Series:
    """Add marks before the first and after the last one, as long as they bring more than missed turns cost."""
    for sense in (-1, 1):
        while True:
            marks, turns = series.marks, series.turns
            end = 0 if sense < 0 else -1
            few = slice(0, 12) if sense < 0 else slice(-12, None)
            near_turns, near = turns[few], points.along[marks[few]]
            period = (near[-1] - near[0]) / (near_turns[-1] - near_turns[0])
            here, across = points.along[marks[end]], points.across[marks[end]]
            reach = min(scales.reach, scales.most_turns * period) + scales.lane
            bounds = (here - reach, here - period / 2) if sense < 0 else (here + period / 2, here + reach)
            low, high = np.searchsorted(points.along, bounds)
            found = np.arange(low, high)
            found = found[points.free[low:high] & (np.abs(points.across[low:high] - across) <= scales.across)]
            if not len(found):
                break
            distance = np.abs(points.along[found] - here)
            far = np.maximum(np.rint(distance / period), 1.0)
            doubt = np.full(len(found), (2 * scales.place + scales.slip * np.ptp(near_turns)) / np.ptp(near_turns) ** 2)
            gain = scales.log_along(distance - far * period, scales.spread(far, doubt))
            gain += scales.log_across(points.across[found] - across, distance) - points.log_density[found]
            gain += math.log(SEEN) + (far - 1) * math.log1p(-SEEN)
            best = int(gain.argmax())
            if gain[best] <= 0.0:
                break
            step = int(far[best])
            if sense < 0:
                series = Series(
                    np.concatenate([[found[best]], marks]), np.concatenate([[0], turns + step]), series.start
                )
            else:
                series = Series(
                    np.concatenate([marks, [found[best]]]), np.concatenate([turns, [turns[-1] + step]]), series.start
                )
    return series


def phases(series: Series, points: Points, scales: Scales) -> tuple[Indices, Floats]:
    """List the free points in the lane of a series between its ends, and the turn at which each lies."""
    along, across = points.along[series.marks], points.across[series.marks]
    low, high = np.searchsorted(points.along, (along[0], along[-1]))
    found = np.arange(low, high + 1)[: len(points.along) - low]
    middle = np.interp(points.along[found], along, across)
    found = found[points.free[found] & (np.abs(points.across[found] - middle) <= scales.lane / 3)]
    return found, np.interp(points.along[found], along, series.turns.astype(float))


def divided(series: Series, points: Points, scales: Scales) -> int:
    """Return by what number the step has to be divided to be the right one; 1: it is right.

    For each divisor the marks in between are looked for at its phases. They must be seen at each phase nearly as often as
    the marks of the series, which those of a second mark on the roll are not, and chance must not explain how many of the lane's defects lie there (Chernoff's bound of the
    binomial tail); the divisor that chance explains least is taken.
    """
    found, phase = phases(series, points, scales)
    rest = ~np.isin(found, series.marks)
    fraction, turn = phase[rest] % 1.0, np.floor(phase[rest])
    number = len(fraction)
    tolerance = 2.5 * math.sqrt(2 * scales.place + 2 * scales.slip) / series.period(points)
    best, least = 1, -8.0
    for divisor in range(2, _FINEST + 1):
        share = 2 * tolerance * (divisor - 1)
        if number < 2 or share + 2 * tolerance > 0.5:  # the comb would take most of what lies there
            break
        between = np.rint(fraction * divisor)
        hit = (np.abs(fraction - between / divisor) < tolerance) & (between > 0) & (between < divisor)
        places = np.unique(turn[hit] * divisor + between[hit]).astype(np.int64) % divisor
        seen = np.bincount(places, minlength=divisor)[1:].min()
        part = float(hit.mean())
        if part <= share or seen < 0.4 * (len(series.marks) - 1):
            continue
        tail = -number * (part * math.log(part / share) + float(xlogy(1 - part, (1 - part) / (1 - share))))
        if tail < least:
            best, least = divisor, tail
    return best


def refine(series: Series, points: Points, scales: Scales, divisor: int) -> Series:
    """Return the series with a step that is the ``divisor``-th part, with the marks in between."""
    found, phase = phases(series, points, scales)
    turn = np.rint(phase * divisor).astype(np.int64)
    tolerance = 3 * math.sqrt(2 * scales.place + scales.slip) / (series.period(points) / divisor)
    off = np.abs(phase * divisor - turn)
    off[np.isin(found, series.marks)] = -1.0
    order = np.lexsort((off, turn))
    order = order[np.flatnonzero(np.diff(turn[order], prepend=-1))]
    order = order[off[order] < min(tolerance, 0.3)]
    return replace(series, marks=found[order], turns=turn[order])


def split(
    series: Series, points: Points, scales: Scales, log_range: float, fits: list[bool] | None = None
) -> list[Series]:
    """Return the series of the marks of one roll: two where every second turn is another mark, as of opposite marks.

    Two marks at opposite sides of a roll look like one mark at half its step. They differ in how often they are seen, in
    class, in place across, or in not lying quite opposite; or no roll has half the step and one has the whole.

    Args:
        series: with the step found.
        points: among which its marks are.
        scales: lengths of the search.
        log_range: log of the log of the range of periods.
        fits: whether some roll fits the step, twice it, three times it, ...; none: there are no rolls.
    """
    gain, _ = gains(series, points, scales, log_range)
    mean = float(np.median(gain[1:])) if len(gain) > 1 else float(gain[0])
    links, turns = len(series.marks) - 1, series.count - 1
    whole = evidence(links * mean, links, turns)
    best, parts = whole, [series]
    for factor in (2, 3, 4):
        if factor * series.period(points) > 1.03 * scales.longest:
            break
        residue = series.turns % factor
        total = 0.0
        found: list[Series] = []
        for one in range(factor):
            chosen = residue == one
            if chosen.sum() < 3:  # left to chance: they bring nothing
                continue
            marks, its_turns = series.marks[chosen], (series.turns[chosen] - one) // factor
            its_turns = its_turns - its_turns[0]
            total += evidence(chosen.sum() * mean, len(marks) - 1, int(its_turns[-1]))
            total -= mean if not found else _SECOND_MARK
            found.append(Series(marks, its_turns, series.start))
        if not found or len(found) > 2:
            continue
        total += differ(series, residue, points, scales)
        if fits is not None and fits[factor - 1] and not fits[0]:
            total += _ROLL_ODDS
        if total > best + _SPLIT_ODDS:
            best, parts = total, found
    return parts


def halves(series: Series) -> list[Series]:
    """Return the marks of even and of odd turns as two series with twice the step."""
    found = []
    for one in range(2):
        chosen = series.turns % 2 == one
        if chosen.any():
            turns = series.turns[chosen] // 2
            found.append(Series(series.marks[chosen], turns - turns[0], series.start))
    return found


def differ(series: Series, residue: Indices, points: Points, scales: Scales) -> float:
    """Return by how much the log likelihood grows when the marks of each residue have a class, a place across and a
    place along of their own (half the Bayesian information criterion)."""
    total, number = 0.0, len(residue)
    along = points.along[series.marks]
    turns = series.turns.astype(float)
    # Off the line through the neighbours: marks that lie not quite opposite alternate.
    off = np.zeros(number)
    if number >= 5:
        off[1:-1] = along[1:-1] - (
            along[:-2] + (along[2:] - along[:-2]) * (turns[1:-1] - turns[:-2]) / (turns[2:] - turns[:-2])
        )
    for values, floor in ((off, scales.lane / 20), (points.across[series.marks], scales.lane / 20)):
        detrended = values - np.convolve(np.pad(values, 4, "edge"), np.ones(9) / 9, "valid") if number >= 9 else values
        free = sum(
            float(((detrended[residue == r] - np.median(detrended[residue == r])) ** 2).sum())
            for r in np.unique(residue)
        )
        bound = float(((detrended - np.median(detrended)) ** 2).sum())
        variance = max(free / number, floor**2)
        total += max((bound - free) / (2 * variance) - 0.5 * math.log(number), 0.0)
    numbers = np.unique(points.classes[series.marks], return_inverse=True)[1]
    counts = np.array([np.bincount(numbers[residue == one], minlength=numbers.max() + 1) for one in np.unique(residue)])
    more = log_shares(counts).sum() - float(log_shares(counts.sum(axis=0, keepdims=True)).sum())
    return total + max(more - 0.5 * math.log(number) * (counts.shape[1] - 1), 0.0)


def log_shares(counts: NDArray[np.int64]) -> Floats:
    """Return the log likelihood of each row of counts (R, K) under the shares of its own: (R,)."""
    shares = (counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 0.5 * counts.shape[1])
    return (counts * np.log(shares)).sum(axis=1)
