"""Scores of a coil's map against what is true of the coil: joins, places, repeating marks, static marks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utils.coil.plan import CoilPlan
from utils.data.coil_truth import Truth
from utils.errors import InputError
from utils.text import plural

# A period is right within this share of it.
PERIOD_TOLERANCE = 0.01
# Least overlap (intersection over union) of a defect and what the map shows for it.
LEAST_OVERLAP = 0.1
# What lies in another box by at least this share of its own area is a part of it.
MOSTLY = 0.5
# Least share of a series, or of the true one where that is shorter, along which both go.
LEAST_COMMON = 0.1

Boxes = NDArray[np.float64]  # (N, 4): along0, along1, across0, across1
_SIDES = ("along0", "along1", "across0", "across1")


@dataclass(frozen=True)
class JoinScores:
    """How the defects of a map agree with the true ones.

    Attributes:
        defects: true ones that any image shows.
        joined: of these, those that are one defect of the map, and nothing else's.
        cut: true ones that several images show a part of.
        cut_joined: of these, those that are joined.
        split: true ones of which the map makes several.
        wrong_joins: defects of the map that hold several true ones, farther apart than twice the gap that parts of one
            defect may have.
        near_joins: true ones that lie nearer than that to others, and are one with them on the map.
        missed: true ones that the map lacks.
        false: defects of the map where none is.
        class_right: joined ones of the right class.
        along, across: of the joined ones, the larger error of the two ends of their box, in pixels.
    """

    defects: int
    joined: int
    cut: int
    cut_joined: int
    split: int
    wrong_joins: int
    near_joins: int
    missed: int
    false: int
    class_right: int
    along: tuple[float, ...]
    across: tuple[float, ...]

    def text(self) -> str:
        """Return both lines for a terminal."""
        lines = [
            f"defects: {self.joined} of {self.defects} joined rightly ({self.cut_joined} of {self.cut} that borders cut),"
            f" {self.split} split, {plural(self.wrong_joins, 'wrong join')}, {self.missed} missed, {self.false} false"
        ]
        if self.near_joins:
            lines[0] += f"; {self.near_joins} nearer than twice the gap and joined"
        if self.class_right < self.joined:
            lines[0] += f"; {self.joined - self.class_right} of another class"
        if self.joined:
            within = sum(one <= 1.0 and other <= 1.0 for one, other in zip(self.along, self.across, strict=True))
            errors = ", ".join(
                f"{np.median(values):.2f} px {name} (largest {max(values):.2f})"
                for name, values in (("along", self.along), ("across", self.across))
            )
            lines.append(f"position: {errors}; {within} of {self.joined} within one pixel")
        return "\n".join(lines)


@dataclass(frozen=True)
class RepeatScores:
    """How the series of a map agree with the true ones.

    Attributes:
        series: true ones.
        found: of these, those at whose place across and along the map has one.
        period_right: of these, those whose period is within 1 %.
        rolls: found ones whose roll the plan lists.
        roll_right: of these, those whose likeliest roll it is.
        doubles: further series of the map that are the same one: it is reported in parts.
        other_periods: series of the map at the place of a true one that is found, of another period.
        false_alarms: series of the map where none is.
        covered: of the right ones, the share of their stretch that the map shows.
        onset_turns, end_turns: by how many turns the first and the last mark that the map shows of them are off.
    """

    series: int
    found: int
    period_right: int
    rolls: int
    roll_right: int
    doubles: int
    other_periods: int
    false_alarms: int
    covered: tuple[float, ...] = ()
    onset_turns: tuple[float, ...] = ()
    end_turns: tuple[float, ...] = ()

    def text(self) -> str:
        """Return the line for a terminal."""
        line = f"repeats: {self.found} of {self.series} found, {self.period_right} with the right period (1 %)"
        if self.rolls:
            line += f", {self.roll_right} of {self.rolls} with the right roll first"
        if self.onset_turns:
            line += (
                f", over {np.mean(self.covered):.0%} of their length (onset {np.median(self.onset_turns):.1f} and end"
                f" {np.median(self.end_turns):.1f} turns off in the middle)"
            )
        if self.doubles:
            line += f", {plural(self.doubles, 'further part')} of them"
        if self.other_periods:
            line += f", {self.other_periods} of another period at their place"
        return f"{line}, {plural(self.false_alarms, 'false alarm')}"


@dataclass(frozen=True)
class ArtefactScores:
    """How the static marks of a map agree with the true ones: true ones, those found, and those that are none."""

    artefacts: int
    found: int
    false: int

    def text(self) -> str:
        """Return the line for a terminal."""
        return f"static marks: {self.found} of {self.artefacts} found, {self.false} false"


@dataclass(frozen=True)
class CoilScores:
    """Scores of a coil's map.

    Attributes:
        joins: of the defects.
        repeats: of the series of marks; none: the truth does not tell them.
        artefacts: of the static marks; none: nobody asked, or the truth does not tell them.
        drawn: the coil is drawn by the computer.
    """

    joins: JoinScores
    repeats: RepeatScores | None
    artefacts: ArtefactScores | None
    drawn: bool

    def text(self) -> str:
        """Return all scores as text for a terminal."""
        parts = [self.joins.text()]
        if self.repeats is not None:
            parts.append(self.repeats.text())
        if self.artefacts is not None:
            parts.append(self.artefacts.text())
        if self.drawn:
            parts.append("the coil is drawn by the computer: these scores are simulation")
        return "\n".join(parts)


def score(
    defects: pd.DataFrame, repeats: pd.DataFrame, truth: Truth, plan: CoilPlan, artefacts: pd.DataFrame | None = None
) -> CoilScores:
    """Score the map of a coil.

    Args:
        defects: of the map, ``DEFECT_COLUMNS``; those that belong to a static mark do not count.
        repeats: ``REPEAT_COLUMNS``.
        truth: what is true.
        plan: of the map.
        artefacts: ``ARTEFACT_COLUMNS``; none: they are not scored.

    Raises:
        InputError: the map and the truth have different units.
    """
    if plan.unit != truth.unit:
        missing = "coil.yaml has no mm_per_pixel" if plan.unit == "px" else "coil.yaml has mm_per_pixel"
        raise InputError(f"the truth is in {truth.unit}, but {missing}; give the coil.yaml that belongs to it")
    return CoilScores(
        score_joins(defects, truth, plan.join),
        score_repeats(repeats, truth, plan) if truth.drawn or len(truth.repeats) else None,
        score_artefacts(artefacts, truth) if artefacts is not None and (truth.drawn or len(truth.artefacts)) else None,
        truth.drawn,
    )


def score_joins(defects: pd.DataFrame, truth: Truth, gap: float) -> JoinScores:
    """Score which defects of a map are which true ones.

    Pairs are made one to one, those with the largest overlap first. A true defect whose part is left over on the map is
    split; a defect of the map that holds another true one beside its own is a wrong join.

    Args:
        defects: of the map.
        truth: what is true.
        gap: largest gap between two parts of one defect.
    """
    real = truth.defects[truth.defects["views"].astype(int) > 0]
    shown = defects[defects["artefact"] == 0] if "artefact" in defects else defects
    true_boxes, boxes = _boxes(real), _boxes(shown)
    pad = np.array([-truth.px_along, truth.px_along, -truth.px_across, truth.px_across])
    # A pixel more on every side: thin defects would not overlap what is a pixel beside them.
    padded_true, padded = true_boxes + pad / 2.0, boxes + pad / 2.0
    first, second = overlapping(padded_true, padded)
    common = _common(padded_true[first], padded[second])
    area_true, area = _area(padded_true), _area(padded)
    same = real["class_name"].to_numpy()[first] == shown["class_name"].to_numpy()[second]
    overlap = common / (area_true[first] + area[second] - common)

    of_true = np.full(len(real), -1)
    of_shown = np.full(len(shown), -1)
    for pair in np.lexsort((-overlap, ~same)):
        one, other = first[pair], second[pair]
        if overlap[pair] >= LEAST_OVERLAP and of_true[one] < 0 and of_shown[other] < 0:
            of_true[one], of_shown[other] = other, one

    held: dict[int, set[int]] = {int(other): {int(one)} for other, one in enumerate(of_shown) if one >= 0}
    parts: dict[int, set[int]] = {int(one): {int(other)} for one, other in enumerate(of_true) if other >= 0}
    for pair in np.flatnonzero(same):
        one, other = int(first[pair]), int(second[pair])
        if of_true[one] < 0 and common[pair] >= MOSTLY * area_true[one]:
            held.setdefault(other, set()).add(one)
        if of_shown[other] < 0 and common[pair] >= MOSTLY * area[other]:
            parts.setdefault(one, set()).add(other)

    wrong = {other for other, ones in held.items() if len(ones) > 1 and not _near(true_boxes[sorted(ones)], 2.0 * gap)}
    near = {one for other, ones in held.items() if len(ones) > 1 and other not in wrong for one in ones}
    in_wrong = {one for other in wrong for one in held[other]}
    split = {one for one, others in parts.items() if len(others) > 1}
    explained = {one for ones in held.values() for one in ones} | set(parts)
    joined = [one for one in range(len(real)) if of_true[one] >= 0 and one not in split | near | in_wrong]
    used = {other for others in parts.values() for other in others} | set(held)
    cut = set(np.flatnonzero(real["views"].to_numpy(int) > 1).tolist())
    ends = np.abs(boxes[of_true[joined]] - true_boxes[joined]) if joined else np.zeros((0, 4))
    names = (real["class_name"].to_numpy()[joined], shown["class_name"].to_numpy()[of_true[joined]])
    return JoinScores(
        defects=len(real),
        joined=len(joined),
        cut=len(cut),
        cut_joined=len(cut & set(joined)),
        split=len(split),
        wrong_joins=len(wrong),
        near_joins=len(near),
        missed=len(real) - len(explained),
        false=len(shown) - len(used),
        class_right=int((names[0] == names[1]).sum()),
        along=tuple((ends[:, :2].max(axis=1) / truth.px_along).tolist()),
        across=tuple((ends[:, 2:].max(axis=1) / truth.px_across).tolist()),
    )


def score_repeats(repeats: pd.DataFrame, truth: Truth, plan: CoilPlan) -> RepeatScores:
    """Score which series of a map are which true ones.

    A series is found when the map has one within a lane of it across, along at least a tenth of it. Two like marks
    half a turn apart are a series of half the period as well: either is right.

    Args:
        repeats: of the map.
        truth: what is true.
        plan: of the map: its lanes and rolls.
    """
    real, found = truth.repeats, repeats
    close, right, common = _compare(real, found, plan.repeats.lane)
    hit = np.full(len(real), -1)
    taken = np.zeros(len(found), dtype=bool)
    for wanted in (close & right, close):
        ones, others = np.nonzero(wanted)
        for pair in np.argsort(-common[ones, others], kind="stable"):
            one, other = ones[pair], others[pair]
            if hit[one] < 0 and not taken[other]:
                hit[one], taken[other] = other, True
        # What repeats a right series serves for no other one.
        taken = taken | np.any(close & right, axis=0)
    doubles = np.any(close & right, axis=0) & ~np.isin(np.arange(len(found)), hit)
    left = ~taken
    beside = left & np.any(close[hit >= 0], axis=0)
    hits = [(one, int(other)) for one, other in enumerate(hit) if other >= 0]
    sure = [one for one, other in hits if right[one, other]]
    shown = [_shown(real.iloc[one], found[(close & right)[one]]) for one in sure]
    listed = {roll.name for roll in plan.rolls}
    known = [(one, other) for one, other in hits if real["roll"].iloc[one] in listed]
    return RepeatScores(
        series=len(real),
        found=len(hits),
        period_right=len(sure),
        rolls=len(known),
        roll_right=sum(found["roll"].iloc[other] == real["roll"].iloc[one] for one, other in known),
        doubles=int(doubles.sum()),
        other_periods=int(beside.sum()),
        false_alarms=int((left & ~beside).sum()),
        covered=tuple(one[0] for one in shown),
        onset_turns=tuple(one[1] for one in shown),
        end_turns=tuple(one[2] for one in shown),
    )


def _shown(true: pd.Series, parts: pd.DataFrame) -> tuple[float, float, float]:
    """Return how much of a series its parts on the map cover, and by how many turns their outer ends are off."""
    onset, end, step = (float(true[name]) for name in ("onset", "end", "period"))
    covered, reached = 0.0, onset
    for begin, finish in sorted(zip(parts["onset"], parts["end"], strict=True)):
        low, high = max(begin, reached), min(finish, end)
        covered += max(0.0, high - low)
        reached = max(reached, high)
    share = covered / (end - onset) if end > onset else 1.0
    return share, abs(parts["onset"].min() - onset) / step, abs(parts["end"].max() - end) / step


def _compare(
    real: pd.DataFrame, found: pd.DataFrame, lane: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Compare every true series with every one of a map.

    Returns:
        (true, found) arrays: whether they go along the same place, whether the period is right, and the length that they
        go together.
    """
    onset, end, across, period = (real[name].to_numpy(float)[:, None] for name in ("onset", "end", "across", "period"))
    begins, ends, places, steps = (found[name].to_numpy(float)[None] for name in ("onset", "end", "across", "period"))
    common = np.minimum(end, ends) - np.maximum(onset, begins)
    shorter = np.maximum(0.0, np.minimum(end - onset, ends - begins))
    close = (np.abs(places - across) <= lane) & (common >= LEAST_COMMON * shorter)
    right = np.abs(steps / period - 1.0) <= PERIOD_TOLERANCE
    for one, others in enumerate(real["others"]):
        for other in filter(None, str(others).split(";")):
            right[one] |= np.abs(steps[0] / float(other) - 1.0) <= PERIOD_TOLERANCE
    return close, right, common


def score_artefacts(artefacts: pd.DataFrame, truth: Truth) -> ArtefactScores:
    """Score which static marks of a map are which true ones: those of the same camera whose boxes touch."""
    x, y, width, height = (artefacts[name].to_numpy(float) for name in ("x", "y", "width", "height"))
    cameras = artefacts["camera"].astype(str).to_numpy()
    found, used = 0, np.zeros(len(artefacts), dtype=bool)
    for true in truth.artefacts.to_dict("records"):
        touching = (cameras == str(true["camera"])) & (x <= true["x"] + true["width"]) & (true["x"] <= x + width)
        touching &= (y <= true["y"] + true["height"]) & (true["y"] <= y + height)
        found += bool(touching.any())
        used |= touching
    return ArtefactScores(len(truth.artefacts), found, int((~used).sum()))


def overlapping(first: Boxes, second: Boxes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the pairs of boxes that overlap.

    Args:
        first, second: (N, 4) and (M, 4).

    Returns:
        Indices into both, (P,) each.
    """
    order = np.argsort(second[:, 0], kind="stable")
    begins = second[order, 0]
    # The end of any box so far grows, so that those that end before a place are a run at the beginning.
    ends = np.maximum.accumulate(second[order, 1]) if len(order) else begins
    left = np.searchsorted(ends, first[:, 0], side="right")
    right = np.searchsorted(begins, first[:, 1], side="left")
    ones, others = [], []
    for one in np.flatnonzero(right > left):
        near = order[left[one] : right[one]]
        hits = near[
            (second[near, 1] > first[one, 0]) & (second[near, 3] > first[one, 2]) & (second[near, 2] < first[one, 3])
        ]
        ones.append(np.full(len(hits), one))
        others.append(hits)
    if not ones:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    return np.concatenate(ones), np.concatenate(others)


def _boxes(table: pd.DataFrame) -> Boxes:
    return table[list(_SIDES)].to_numpy(float).reshape(-1, 4)


def _area(boxes: Boxes) -> NDArray[np.float64]:
    return (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])


def _common(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Areas that pairs of overlapping boxes share."""
    along = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0])
    across = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 2], second[:, 2])
    return along * across


def _near(boxes: Boxes, reach: float) -> bool:
    """Check whether steps of at most ``reach`` lead from every box to every other."""
    waiting, reached = [0], {0}
    while waiting:
        here = boxes[waiting.pop()]
        along = np.maximum(boxes[:, 0] - here[1], here[0] - boxes[:, 1])
        across = np.maximum(boxes[:, 2] - here[3], here[2] - boxes[:, 3])
        fresh = set(np.flatnonzero(np.maximum(along, across) <= reach).tolist()) - reached
        reached |= fresh
        waiting += fresh
    return len(reached) == len(boxes)
