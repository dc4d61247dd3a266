"""The verdict on a coil: each rule measures some of the defects and fires from a limit on; the gravest rule that fires decides.

What counts: defects of the rule's classes, zones, sides and sizes; static marks never do. A long defect counts in a
stretch by the part of its area or length that lies there, and as one defect in every stretch that it touches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from utils.coil.plan import CoilPlan, Measure, Rule
from utils.coil.tables import among, count_texts, texts
from utils.coil.units import Units
from utils.coil.zones import ACROSS, ZONES, Stretch, camera_gaps, not_seen, stretches, strip_edges, total, touching
from utils.errors import InputError
from utils.settings import nearest

GAPS = ("not_seen", "camera_gaps")
PER_METRE = ("count_per_m", "area_per_m")
SMALLEST_MISS = 1e-9  # of a limit, by which a sum of fractions may miss it


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a rule measured.

    Attributes:
        rule: that was asked.
        value: measured, in the rule's unit.
        fired: whether it reaches the rule's limit.
        unit: of value and limit, in words.
        begin, end: the stretch where the value was measured.
        defects: numbers of the defects that make the value; of ``largest_area`` and ``longest`` those from the limit on.
        repeats: numbers of the series, of ``repeats``.
        text: one sentence for a reader.
    """

    rule: Rule
    value: float
    fired: bool
    unit: str
    begin: float
    end: float
    defects: np.ndarray
    repeats: tuple[int, ...]
    text: str


@dataclass(frozen=True, eq=False)
class Grade:
    """The verdict and its reasons.

    Attributes:
        verdict: one of the plan's words; empty: none was given, ``why`` says why.
        rank: its place among the plan's verdicts, 0 is the best; -1 without a verdict.
        outcomes: of all rules, those that fired first, gravest first, then in the order of the plan.
        not_seen: stretches that no camera shows.
        why: no verdict was given.
        camera_gaps: stretches for which at least one camera has no image.
    """

    verdict: str
    rank: int
    outcomes: tuple[Outcome, ...]
    not_seen: tuple[Stretch, ...]
    why: str = ""
    camera_gaps: tuple[Stretch, ...] = ()

    @property
    def fired(self) -> tuple[Outcome, ...]:
        """The outcomes of the rules that fired, gravest first."""
        return tuple(outcome for outcome in self.outcomes if outcome.fired)


def check_rules(plan: CoilPlan) -> None:
    """Refuse rules that nothing can be measured for, before any image is read.

    Raises:
        InputError: a rule needs metres where the scale is unknown, a zone that has no width, or a verdict or word that is none.
    """
    for rule in plan.rules:
        place = f"coil.yaml, rule {rule.name!r}"
        if rule.verdict not in plan.verdicts:
            known = ", ".join(plan.verdicts)
            raise InputError(
                f"{place}: verdict {rule.verdict!r} is none of {known}{nearest(rule.verdict, plan.verdicts)}"
            )
        if rule.measure not in get_args(Measure):
            raise InputError(f"{place}: no measure {rule.measure!r}{nearest(rule.measure, get_args(Measure))}")
        needs = rule.measure if rule.measure in PER_METRE else "window_m" if rule.window_m is not None else ""
        if needs and plan.unit == "px":
            raise InputError(f"{place}: {needs} needs metres; give mm_per_px, or use a measure of the whole coil")
        if not rule.at_least > 0 or not np.isfinite(rule.at_least):
            raise InputError(f"{place}: at_least {rule.at_least:g}; expected a number above 0")
        if rule.window_m is not None and not 0 < rule.window_m < np.inf:
            raise InputError(f"{place}: window_m {rule.window_m:g}; expected a length above 0")
        for zone in rule.zones:
            if zone not in ZONES:
                raise InputError(f"{place}: no zone {zone!r}{nearest(zone, ZONES)}")
            if zone in ("edge", "head", "tail") and not getattr(plan.zones, zone) > 0:
                raise InputError(f"{place}: the zone {zone} has no width; give it under zones")


def grade(
    defects: pd.DataFrame,
    repeats: pd.DataFrame,
    plan: CoilPlan,
    length: float,
    frames: pd.DataFrame | None = None,
    gaps: pd.DataFrame | None = None,
) -> Grade:
    """Compute the verdict on a coil.

    Args:
        defects: ``DEFECT_COLUMNS``.
        repeats: ``REPEAT_COLUMNS``.
        plan: with the rules.
        length: of the strip in the unit of the plan.
        frames: ``FRAME_COLUMNS``, for the strip's edges where the plan does not give them.
        gaps: ``GAP_COLUMNS``; what no camera shows does not count among the metres.

    Raises:
        InputError: a rule that nothing can be measured for.
    """
    check_rules(plan)
    edges = strip_edges(plan, frames if frames is not None else pd.DataFrame())
    if edges is None:
        for rule in plan.rules:
            if plan.zones.edge and any(zone in ACROSS for zone in rule.zones):
                raise InputError(f"coil.yaml, rule {rule.name!r}: where are the strip's edges? give width or edges")
    unseen = tuple(not_seen(gaps, length)) if gaps is not None else ()
    partly = tuple(camera_gaps(gaps, length)) if gaps is not None else ()
    seen = total([(0.0, length)], unseen)
    if not plan.rules:
        return Grade("", -1, (), unseen, "coil.yaml has no rules", partly)
    if not seen > 0:
        return Grade("", -1, (), unseen, "no image shows any of the coil", partly)
    coil = _Measured(defects, repeats, plan, length, edges or (0.0, 0.0), unseen, partly)
    outcomes = [coil.outcome(rule) for rule in plan.rules]
    rank = max((plan.verdicts.index(one.rule.verdict) for one in outcomes if one.fired), default=0)
    outcomes.sort(key=lambda one: (not one.fired, -plan.verdicts.index(one.rule.verdict) if one.fired else 0))
    return Grade(plan.verdicts[rank], rank, tuple(outcomes), unseen, camera_gaps=partly)


class _Measured:
    """A coil whose rules are measured one by one."""

    def __init__(
        self,
        defects: pd.DataFrame,
        repeats: pd.DataFrame,
        plan: CoilPlan,
        length: float,
        edges: Stretch,
        unseen: tuple[Stretch, ...],
        partly: tuple[Stretch, ...],
    ) -> None:
        self.defects = defects[defects["artefact"].fillna(0) == 0] if len(defects) else defects
        self.repeats, self.plan, self.length, self.edges, self.unseen = repeats, plan, length, edges, unseen
        self.partly = partly
        self.units = Units.of(plan.unit)

    def outcome(self, rule: Rule) -> Outcome:
        """Measure one rule."""
        if rule.measure == "repeats":
            return self._series(rule)
        if rule.measure in GAPS:
            return self._gaps(rule, self.unseen if rule.measure == "not_seen" else self.partly)
        chosen = self.defects[self._counts(rule)]
        begin, end = chosen["along0"].to_numpy(float), chosen["along1"].to_numpy(float)
        amount, spread = _amounts(rule.measure, chosen)
        if rule.measure in ("largest_area", "longest"):
            value = float(amount.max(initial=0.0))
            here = amount >= min(rule.at_least * (1 - SMALLEST_MISS), value) if len(amount) else np.zeros(0, np.bool_)
            low = float(begin[here].min()) if here.any() else 0.0
            high = float(end[here].max()) if here.any() else self.length
            return self._made(rule, value, low, high, chosen[here])
        seen = Seen.of(stretches(rule.zones, self.plan, self.length), self.unseen)
        window = None if rule.window_m is None else rule.window_m * self.units.per_along
        metres = seen.length
        if window is None or window >= (metres if rule.measure in PER_METRE else self.length):
            value, here = float(amount.sum()), np.ones(len(chosen), np.bool_)
            low, high = (float(begin.min()), float(end.max())) if len(chosen) else (0.0, self.length)
        elif rule.measure in PER_METRE:
            # Of strip that was seen: what lies in a gap makes the defects on both sides of it no thinner.
            metres = window
            value, place = densest(seen.before(begin), seen.before(end), amount, window, seen.length, spread)
            low, high = seen.begin_at(place), seen.end_at(place + window)
            here = (begin < high) & (end > low)
        else:
            value, low = densest(begin, end, amount, window, self.length, spread)
            high = low + window
            here = (begin < high) & (end > low)
        if rule.measure in PER_METRE:
            value = value / (metres / self.units.per_along) if metres > 0 else 0.0
        return self._made(rule, value, low, high, chosen[here])

    def _counts(self, rule: Rule) -> np.ndarray:
        """Check which defects a rule is about."""
        table = self.defects
        counts = touching(table, rule.zones, self.plan, self.length, self.edges)
        counts &= table["area"].fillna(0).to_numpy(float) >= rule.smallest_area
        if rule.classes:
            counts &= among(texts(table["class_name"]), rule.classes)
        if rule.sides:
            counts &= among(texts(table["side"]), rule.sides)
        return counts

    def _series(self, rule: Rule) -> Outcome:
        """Count the series of repeating marks."""
        table = self.repeats
        across = table["across"].to_numpy(float)
        boxes = pd.DataFrame(
            {
                "along0": table["onset"],
                "along1": table["end"],
                "across0": across,
                "across1": np.nextafter(across, np.inf),
            }
        )
        counts = touching(boxes, rule.zones, self.plan, self.length, self.edges)
        if rule.classes:
            counts &= among(texts(table["class_name"]), rule.classes)
        if rule.sides and self.plan.side not in rule.sides:
            counts &= False
        chosen = table[counts]
        onset, end = chosen["onset"].to_numpy(float), chosen["end"].to_numpy(float)
        window = None if rule.window_m is None else rule.window_m * self.units.per_along
        if window is not None and window < self.length:
            value, low = densest(onset, end, np.ones(len(chosen)), window, self.length, False)
            high = low + window
            chosen = chosen[(onset < high) & (end > low)]
        else:
            value = float(len(chosen))
            low, high = (float(onset.min()), float(end.max())) if len(chosen) else (0.0, self.length)
        numbers = tuple(int(number) for number in chosen["repeat"])
        return self._made(rule, value, low, high, self.defects[self.defects["repeat"].isin(numbers)], numbers)

    def _gaps(self, rule: Rule, gaps: tuple[Stretch, ...]) -> Outcome:
        """Measure the length without an image."""
        where = stretches(rule.zones, self.plan, self.length)
        pairs = [(max(a, c), min(b, d)) for a, b in where for c, d in gaps]
        begin, end = np.array([pair for pair in pairs if pair[1] > pair[0]], float).reshape(-1, 2).T
        window = None if rule.window_m is None else rule.window_m * self.units.per_along
        if window is not None and window < self.length:
            value, low = densest(begin, end, end - begin, window, self.length, True)
            high = low + window
        else:
            value = float((end - begin).sum())
            low, high = (float(begin.min()), float(end.max())) if len(begin) else (0.0, self.length)
        return self._made(rule, value, low, high, self.defects[:0])

    def _made(
        self, rule: Rule, value: float, low: float, high: float, chosen: pd.DataFrame, repeats: tuple[int, ...] = ()
    ) -> Outcome:
        fired = value >= rule.at_least * (1 - SMALLEST_MISS)
        text = self._sentence(rule, value, low, high, chosen, repeats)
        numbers = chosen["defect"].to_numpy(np.int64)
        return Outcome(rule, value, fired, unit_of(rule, self.units), low, high, numbers, repeats, text)

    def _sentence(
        self, rule: Rule, value: float, low: float, high: float, chosen: pd.DataFrame, repeats: tuple[int, ...]
    ) -> str:
        """Say what was measured, where, of which classes, and the limit."""
        unit = unit_of(rule, self.units)
        parts = [f"{MEANING[rule.measure]}: {figure(value)} {unit}".strip(), f"limit {figure(rule.at_least)}"]
        counts = count_texts(texts(chosen["class_name"]))
        if len(counts) and rule.measure not in ("repeats", *GAPS):
            shown = [f"{name} {count:,}" for name, count in list(counts.items())[:4]]
            parts.append(", ".join(shown + [f"{len(counts) - 4} more"] * (len(counts) > 4)))
        if repeats:
            parts.append(f"series {', '.join(map(str, repeats[:6]))}{' ...' if len(repeats) > 6 else ''}")
        if len(chosen) or repeats or (rule.measure in GAPS and value):
            parts.append(self.units.stretch(low, high))
        if about := about_rule(rule):
            parts.append(about)
        return "; ".join(parts)


MEANING: dict[str, str] = {
    "count": "defects",
    "count_per_m": "defects per metre",
    "area": "area of defects",
    "area_per_m": "area of defects per metre",
    "largest_area": "largest defect",
    "length": "length of defects",
    "longest": "longest defect",
    "repeats": "series of repeating marks",
    "not_seen": "strip that no image shows",
    "camera_gaps": "strip that not every camera shows",
}


def unit_of(rule: Rule, units: Units) -> str:
    """Return the unit of a rule's value and limit in words; nothing for numbers of things."""
    return {
        "count": "",
        "count_per_m": f"per {units.along}",
        "area": units.area,
        "area_per_m": f"{units.area} per {units.along}",
        "largest_area": units.area,
        "length": units.across,
        "longest": units.across,
        "repeats": "",
        "not_seen": units.across,
        "camera_gaps": units.across,
    }[rule.measure]


def about_rule(rule: Rule) -> str:
    """Say which defects a rule is about, where not about all."""
    window = "" if rule.window_m is None else f"in any {rule.window_m:g} m"
    words = [
        f"of {', '.join(rule.classes)}" if rule.classes else "",
        f"in {' or '.join(rule.zones)}" if rule.zones else "",
        f"on {' and '.join(rule.sides)}" if rule.sides else "",
        f"from {figure(rule.smallest_area)} on" if rule.smallest_area else "",
        window,
    ]
    return " ".join(filter(None, words))


def figure(value: float) -> str:
    """Write a measured value: whole numbers as such, others with three digits or more."""
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _amounts(measure: str, chosen: pd.DataFrame) -> tuple[np.ndarray, bool]:
    """Return what each defect adds to a measure, and whether a part of it adds a part of that."""
    if measure in ("count", "count_per_m"):
        return np.ones(len(chosen)), False
    if measure in ("area", "area_per_m", "largest_area"):
        return chosen["area"].fillna(0).to_numpy(float), True
    along = (chosen["along1"] - chosen["along0"]).to_numpy(float)
    across = (chosen["across1"] - chosen["across0"]).to_numpy(float)
    return np.maximum(along, across), True


@dataclass(frozen=True)
class Seen:
    """Parts of the strip laid end to end.

    Attributes:
        begins, ends: (K,) of the parts along the strip, in order and apart.
    """

    begins: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, whole: Sequence[Stretch], without: Sequence[Stretch]) -> "Seen":
        """Return what is left of stretches, in order and apart, without others."""
        parts = list(whole)
        for low, high in without:
            cut = [((begin, min(end, low)), (max(begin, high), end)) for begin, end in parts]
            parts = [part for pair in cut for part in pair if part[1] > part[0]]
        begins, ends = np.array(parts, float).reshape(-1, 2).T
        return cls(begins, ends)

    @property
    def length(self) -> float:
        """Of all parts together."""
        return float((self.ends - self.begins).sum())

    def before(self, places: np.ndarray) -> np.ndarray:
        """Return how much of the parts lies before each place of the strip, (N,)."""
        knots = np.column_stack([self.begins, self.ends]).ravel()
        sums = np.column_stack([self._sums, self._sums + self.ends - self.begins]).ravel()
        return np.interp(places, knots, sums)

    def begin_at(self, length: float) -> float:
        """Return the place of the strip before which so much of the parts lies, the last of several."""
        return self._place(length, "right")

    def end_at(self, length: float) -> float:
        """Return the place of the strip before which so much of the parts lies, the first of several."""
        return self._place(length, "left")

    def _place(self, length: float, side: Literal["left", "right"]) -> float:
        part = max(int(np.searchsorted(self._sums, length, side)) - 1, 0)
        return float(min(self.begins[part] + length - self._sums[part], self.ends[part]))

    @property
    def _sums(self) -> np.ndarray:
        """How much of the parts lies before each of them, (K,)."""
        lengths = self.ends - self.begins
        return np.asarray(np.cumsum(lengths) - lengths)


def densest(
    begin: np.ndarray, end: np.ndarray, amount: np.ndarray, window: float, length: float, spread: bool
) -> tuple[float, float]:
    """Find the stretch of a given length that has most.

    Args:
        begin: (N,) where each defect begins along the strip.
        end: (N,) where it ends.
        amount: (N,) what it adds.
        window: length of the stretch, below ``length``.
        length: of the strip.
        spread: a defect adds by the part of it that lies in the stretch; else all of it where any part does.

    Returns:
        The largest sum, and where its stretch begins.
    """
    if not len(begin):
        return 0.0, 0.0
    begin, end = np.clip(begin, 0, np.nextafter(length, 0)), np.clip(end, 0, length)
    last = length - window
    if spread:
        return _densest_spread(begin, np.maximum(end, begin + 1e-9 * length), amount, window, last)
    # A defect is touched by stretches that begin inside the open interval (begin - window, end).
    starts = np.where(begin >= window, begin - window, -1.0)
    ends = np.maximum(end, np.nextafter(begin, np.inf))
    places = np.concatenate([ends, starts])
    steps = np.concatenate([-amount, amount])
    order = np.lexsort((np.arange(len(places)), places))  # at one place, what ends goes before what starts
    places, sums = places[order], np.cumsum(steps[order])
    following = np.append(places[1:], last)
    possible = (places < last) & (following > places) & (following > 0)
    best = int(np.argmax(np.where(possible, sums, -np.inf)))
    low, high = max(0.0, float(places[best])), min(last, float(following[best]))
    return float(sums[best]), (low + high) / 2


def _densest_spread(
    begin: np.ndarray, end: np.ndarray, amount: np.ndarray, window: float, last: float
) -> tuple[float, float]:
    # The sum before a place is linear between the ends of defects, so the best stretch begins or ends at one of them.
    knots = np.unique(np.concatenate([begin, end]))
    slope = np.zeros(len(knots) + 1)
    density = amount / (end - begin)
    np.add.at(slope, np.searchsorted(knots, begin), density)
    np.add.at(slope, np.searchsorted(knots, end), -density)
    rate = np.cumsum(slope)[: len(knots) - 1]
    before = np.concatenate([[0.0], np.cumsum(rate * np.diff(knots))])
    starts = np.unique(np.clip(np.concatenate([knots, knots - window]), 0, last))
    sums = np.interp(starts + window, knots, before) - np.interp(starts, knots, before)
    best = int(np.argmax(sums))
    return float(sums[best]), float(starts[best])
