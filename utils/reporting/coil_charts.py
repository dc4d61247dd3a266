"""Profiles of a coil for its page, as shapes for the template: defects along and across the strip, and its brightness."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from utils.coil.coil import Coil
from utils.coil.tables import among, texts
from utils.coil.zones import Stretch
from utils.reporting.coil_map import bare, nice_step, spelled
from utils.reporting.legends import short
from utils.reporting.page import shown
from utils.reporting.plots import NEUTRAL, colour

TALL, WIDE = 1000.0, 1000.0  # of a chart's own units; the page stretches it
MOST_CLASSES = 7  # with a colour of their own in a chart; all others are one
BINS_ACROSS = 48
STEP = 10.0  # metres, of a coil that is long enough
TICKS = 8


@dataclass(frozen=True)
class Series:
    """One area or line of a chart: its name, its colour and an SVG path."""

    name: str
    colour: str
    path: str
    line: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart as the template draws it.

    Attributes:
        title: what it shows.
        text: what a reader who cannot see it is told.
        series: bottom first.
        x_ticks: place in percent from the left, and its text.
        y_ticks: place in percent from the bottom, and its text.
        gaps: place and width in percent of what no image shows.
    """

    title: str
    text: str
    series: Sequence[Series]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    gaps: Sequence[tuple[float, float]] = ()


def charts(coil: Coil, names: Sequence[str]) -> list[Chart]:
    """Return the charts of a coil.

    Args:
        coil: all of it.
        names: of its classes in the order of their colours.
    """
    units, (left, right) = coil.units, coil.edges
    real = coil.defects[coil.real]
    along = (real["along0"].to_numpy(float) + real["along1"].to_numpy(float)) / 2
    across = (real["across0"].to_numpy(float) + real["across1"].to_numpy(float)) / 2 - left
    classes = texts(real["class_name"])
    length, width = max(coil.length, 1e-9), max(right - left, 1e-9)
    step = STEP * units.per_along if units.along == "m" else nice_step(length, 100)
    if length < 10 * step:
        step = nice_step(length, 20)
    step = max(step, length / 4000)
    found = [
        _counts(
            f"Defects per {bare(step / units.per_along)} {units.along} along the strip",
            along,
            classes,
            names,
            np.arange(math.ceil(length / step - 1e-9) + 1) * step,
            _ticks(length, units.per_along, units.along),
            length,
            coil.grade.not_seen,
        )
    ]
    across_step = nice_step(width, BINS_ACROSS)
    found.append(
        _counts(
            f"Defects across the strip, in lanes of {bare(across_step)} {units.across} from the left edge",
            across,
            classes,
            names,
            np.arange(math.ceil(width / across_step - 1e-9) + 1) * across_step,
            _ticks(width, 1.0, units.across),
            width,
            (),
        )
    )
    for axis, span, begin, per, unit in (
        ("along", length, 0.0, units.per_along, units.along),
        ("across", width, left, 1.0, units.across),
    ):
        light = coil.light[texts(coil.light["axis"]) == axis]
        if len(light):
            found.append(_light(axis, light, span, begin, _ticks(span, per, unit)))
    return found


def _counts(
    title: str,
    at: np.ndarray,
    classes: np.ndarray,
    names: Sequence[str],
    edges: np.ndarray,
    x_ticks: list[tuple[float, str]],
    span: float,
    gaps: Sequence[Stretch],
) -> Chart:
    """Stack the counts of the classes on each other; beyond seven classes the rest is one."""
    at = np.clip(at, 0, np.nextafter(edges[-1], 0))
    numbers = {name: int((classes == name).sum()) for name in names}
    named = sorted(sorted(names, key=lambda name: -numbers[name])[:MOST_CLASSES], key=list(names).index)
    groups = [(shown(short(spelled(name))), colour(list(names).index(name)), classes == name) for name in named]
    if len(names) > len(named):
        groups.append((f"{len(names) - len(named)} other classes", NEUTRAL, ~among(classes, named)))
    base = np.zeros(len(edges) - 1)
    stacked = []
    for name, tint, chosen in groups:
        top = base + np.histogram(at[chosen], edges)[0]
        stacked.append((name, tint, base, top))
        base = top
    high = max(float(base.max(initial=0)), 1.0)
    tick = max(1.0, nice_step(high, 4))
    ceiling = math.ceil(high / tick) * tick
    series = [
        Series(name, tint, _area(np.minimum(edges / span, 1.0), low / ceiling, top / ceiling))
        for name, tint, low, top in stacked
        if (top > low).any()
    ]
    most = int(np.argmax(base)) if len(base) else 0
    text = f"{title}: at most {int(base.max(initial=0)):,}, in the part that begins at {100 * edges[most] / span:.0f} % of it"
    missing = [(100 * a / span, 100 * (b - a) / span) for a, b in gaps]
    y_ticks = [(100 * k * tick / ceiling, f"{k * tick:,.0f}") for k in range(round(ceiling / tick) + 1)]
    return Chart(title, text, series, x_ticks, y_ticks, missing)


def _light(axis: str, light: pd.DataFrame, span: float, begin: float, x_ticks: list[tuple[float, str]]) -> Chart:
    """Draw the mean grey level, a line for each camera; it breaks where nothing was seen."""
    series = []
    for index, (camera, rows) in enumerate(light.groupby(texts(light["camera"]), sort=True)):
        ordered = rows.sort_values("at")
        x = ((ordered["at"].to_numpy(float) - begin) / span).clip(0, 1)
        y = ordered["grey"].to_numpy(float).clip(0, 255) / 255
        step = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
        apart = np.concatenate([[True], np.diff(x) > 4 * step]) if len(x) else np.zeros(0, np.bool_)
        words = [
            f"{'M' if first or not np.isfinite(b) else 'L'}{_short(a * WIDE)} {_short((1 - b) * TALL)}"
            for a, b, first in zip(x, y, apart, strict=True)
            if np.isfinite(a) and np.isfinite(b)
        ]
        path = "".join(words)
        series.append(
            Series(
                f"camera {short(spelled(str(camera)))}" if camera else "brightness",
                colour(index),
                "M" + path[1:],
                line=True,
            )
        )
    title = f"Brightness {axis} the strip: mean grey level, 0 to 255"
    return Chart(title, title, series, x_ticks, [(0, "0"), (100 * 128 / 255, "128"), (100, "255")])


def _area(edges: np.ndarray, low: np.ndarray, top: np.ndarray) -> str:
    """Return the outline of bars beside each other that stand on others, as an SVG path; empty bars are left out."""
    words = []
    for x0, x1, y0, y1 in zip(edges[:-1] * WIDE, edges[1:] * WIDE, (1 - low) * TALL, (1 - top) * TALL, strict=True):
        if y1 < y0:
            words.append(f"M{_short(x0)} {_short(y0)}V{_short(y1)}H{_short(x1)}V{_short(y0)}Z")
    return "".join(words)


def _ticks(span: float, per: float, unit: str) -> list[tuple[float, str]]:
    """Return the places of an axis in percent, and their texts; the unit stands at the first."""
    step = nice_step(span / per, TICKS)
    values = np.arange(math.floor(span / per / step + 1e-9) + 1) * step
    return [(100 * value * per / span, f"{bare(value)}{f' {unit}' if not k else ''}") for k, value in enumerate(values)]


def _short(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
