"""A coil without pixels: the defects that perfect cameras would list, with what is true of it."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from utils.data.coil_truth import TRUE_DEFECT_COLUMNS, TRUE_REPEAT_COLUMNS, Truth
from utils.data.synthetic.coil.clutter import clutter
from utils.data.synthetic.coil.series import LEAST_TURNS, DrawnRoll, Stamp, Wander, print_marks, turns_of, weave_of
from utils.data.synthetic.statistics import CLASS_NAMES

# How many marks the rolls of one coil have, and where: each series is one of these.
ARRANGEMENTS = {"one": 0.6, "two": 0.15, "beside": 0.1, "opposite": 0.15}


@dataclass(frozen=True)
class EventSettings:
    """What is drawn, in millimetres.

    Attributes:
        length, width: of the strip.
        per_m: defects a metre that no roll prints.
        edge_share: share of the single ones near the edges.
        clean_share: share of the coil that has none.
        series: rolls that print marks; each takes another roll of ``rolls``, or one of its own.
        missed: probability that a mark is not seen.
        confused: probability that a mark is taken for another class.
        wander: slip, drift, weave and jitter.
        rolls: of the line; empty: each series draws one of any diameter.
        diameters: smallest and largest of a roll that is drawn.
        longest: longest period at the camera, which limits the elongation of a roll that is drawn.
        arrangement: ``one`` mark a turn, ``two`` at one place across, two ``beside`` each other, two ``opposite`` at one
            place, or ``any``.
        partial: probability that a series does not go through the whole coil.
        class_names: in the order pits, cracks, scratches, patches.
    """

    length: float = 600_000.0
    width: float = 1_250.0
    per_m: float = 0.5
    edge_share: float = 0.5
    clean_share: float = 0.15
    series: int = 1
    missed: float = 0.5
    confused: float = 0.1
    wander: Wander = Wander()
    rolls: tuple[DrawnRoll, ...] = ()
    diameters: tuple[float, float] = (150.0, 1000.0)
    longest: float = 5_000.0
    arrangement: str = "any"
    partial: float = 0.5
    class_names: tuple[str, ...] = CLASS_NAMES


def draw_rolls(rng: np.random.Generator, settings: EventSettings, count: int) -> list[DrawnRoll]:
    """Return rolls of any diameter, called R1, R2 ..., ground to somewhere within 6 % of their size when new."""
    rolls = []
    low, high = map(math.log, settings.diameters)
    for number in range(count):
        largest = math.exp(rng.uniform(low, high))
        diameter = largest * rng.uniform(0.94, 1.0)
        most = max(1.0, settings.longest / (math.pi * diameter))
        elongation = 1.0 if rng.random() < 0.4 else math.exp(rng.uniform(0.0, min(math.log(most), math.log(2.5))))
        rolls.append(DrawnRoll(f"R{number + 1}", diameter, 0.94 * largest, largest, elongation))
    return rolls


def draw_events(settings: EventSettings, seed: int | list[int]) -> tuple[pd.DataFrame, Truth]:
    """Draw a coil without pixels.

    Args:
        settings: what is drawn.
        seed: fixes every number.

    Returns:
        What is seen of the coil, a frame of ``TRUE_DEFECT_COLUMNS``, and what is true of it, whose ``defects`` are the
        same frame.
    """
    rng = np.random.default_rng(seed)
    parts = [
        clutter(
            rng,
            settings.length,
            settings.width,
            settings.per_m,
            settings.edge_share,
            settings.clean_share,
            settings.class_names,
        )
    ]
    parts[0]["repeat"] = 0
    rolls = list(settings.rolls) or draw_rolls(rng, settings, settings.series)
    chosen = [rolls[place] for place in rng.permutation(len(rolls))[: settings.series]]
    weave = weave_of(rng, settings.length, settings.wander)
    repeats: list[dict[str, object]] = []
    for roll in chosen:
        for marks, row in _series(rng, settings, roll, weave, len(repeats)):
            parts.append(marks)
            repeats.append(row)
    events = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return _finish(events, repeats, settings)


def _series(
    rng: np.random.Generator,
    settings: EventSettings,
    roll: DrawnRoll,
    weave: tuple[np.ndarray, np.ndarray],
    before: int,
) -> list[tuple[pd.DataFrame, dict[str, object]]]:
    """Draw the marks of one roll: a frame and the row of the truth for each place across."""
    length, width = settings.length, settings.width
    needed = min(length, max(LEAST_TURNS * roll.period, 0.25 * length))
    onset, end = 0.0, length
    if rng.random() < settings.partial:
        extent = rng.uniform(needed, length)
        onset = rng.uniform(0.0, length - extent)
        # A mark that comes in the middle of a coil mostly stays until the roll is changed.
        end = length if rng.random() < 0.4 else onset + extent
    # Half of the coils get longer towards the tail, the others shorter.
    wander = dataclasses.replace(settings.wander, drift=settings.wander.drift * rng.choice([-1.0, 1.0]))
    places = turns_of(rng, roll, onset, end, length, wander)
    if not len(places):
        return []
    shifts = np.interp(places, *weave)
    margin = min(settings.wander.weave + 10.0, 0.3 * width)
    arrangement = settings.arrangement
    if arrangement == "any":
        arrangement = str(rng.choice(list(ARRANGEMENTS), p=list(ARRANGEMENTS.values())))
    across = float(rng.uniform(margin, width - margin))
    size = (float(np.clip(rng.lognormal(2.1, 0.5), 3.0, 40.0)), float(np.clip(rng.lognormal(1.9, 0.5), 3.0, 40.0)))
    name = str(rng.choice(settings.class_names))
    stamps = [Stamp(float(rng.random()), across, size, name)]
    if arrangement == "two":
        stamps.append(Stamp((stamps[0].angle + rng.uniform(0.12, 0.42)) % 1.0, across, size, name))
    elif arrangement == "opposite":
        stamps.append(Stamp((stamps[0].angle + 0.5) % 1.0, across, size, name))
    elif arrangement == "beside":
        away = rng.uniform(0.2, 0.6) * width
        beside = across + away if across + away < width - margin else across - away
        stamps.append(Stamp(float(rng.random()), float(np.clip(beside, margin, width - margin)), size, name))
    printed = print_marks(
        rng, roll, stamps, places, shifts, settings.missed, settings.wander, settings.class_names, settings.confused
    )
    together = [printed] if arrangement in ("two", "opposite") else [[marks] for marks in printed]
    drawn: list[tuple[pd.DataFrame, dict[str, object]]] = []
    for group, stamp in zip(together, stamps, strict=False):
        marks = pd.concat(group, ignore_index=True)
        marks = marks[(marks["along"] >= 0.0) & (marks["along"] <= length)].copy()
        turns = places + stamp.angle * roll.period
        turns = turns[turns <= length]
        marks["kind"], marks["repeat"] = "mark", before + len(drawn) + 1
        period = float((turns[-1] - turns[0]) / (len(turns) - 1)) if len(turns) > 1 else roll.period
        row = {
            "repeat": before + len(drawn) + 1,
            "across": stamp.across + float(shifts.mean()),
            "period": period,
            "others": f"{period / 2.0:.4f}" if arrangement == "opposite" else "",
            "drift": wander.drift,
            "onset": float(turns[0]) if len(turns) else length,
            "end": float(turns[-1]) if len(turns) else length,
            "hits": len(marks),
            "turns": len(turns),
            "class_name": name,
            "roll": roll.name,
            "diameter": roll.diameter,
        }
        drawn.append((marks, row))
    return drawn


def _finish(
    events: pd.DataFrame, repeats: list[dict[str, object]], settings: EventSettings
) -> tuple[pd.DataFrame, Truth]:
    """Number what was drawn in the order along the strip and make boxes of it that lie on the strip."""
    for axis, most in (("along", settings.length), ("across", settings.width)):
        half = events[f"size_{axis}"] / 2.0
        events[f"{axis}0"] = (events[axis] - half).clip(0.0, most)
        events[f"{axis}1"] = (events[axis] + half).clip(0.0, most)
    events["area"] = 0.7 * (events["along1"] - events["along0"]) * (events["across1"] - events["across0"])
    events["views"] = 1
    events = events.sort_values(["along0", "across0"], kind="stable").reset_index(drop=True)
    events["defect"] = np.arange(1, len(events) + 1)
    defects = events[list(TRUE_DEFECT_COLUMNS)]
    table = pd.DataFrame(repeats, columns=list(TRUE_REPEAT_COLUMNS))
    return defects, Truth("mm", settings.length, settings.width, defects=defects, repeats=table)
