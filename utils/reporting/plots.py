"""Plots in one style: labelled axes with units, letters readable at half size, the class colours of the overlays.

Everything here makes ``matplotlib.figure.Figure`` objects and writes them with the Agg or SVG canvas. pyplot is never
used: it keeps figures in a global list and asks for a screen.
"""

import io
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator

from utils.reporting.legends import add_legend, labels_of, literal, short
from utils.reporting.overlays import as_hex, class_colour

# The first use on a machine takes seconds to list its fonts and says so on standard error: nobody can act on that.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

INK, GRID = "#1b1f24", "#d5dae0"
NEUTRAL = "#5b6770"  # for what is not a class
SHADES = "Blues"  # light to dark in every kind of sight and on grey paper
DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (1, 1)))
SIZE = (6.4, 4.2)  # inches: two beside each other on a screen of 1366 pixels

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
    "font.size": 13,
    "axes.titlesize": 13,
    "axes.labelsize": 13,
    "legend.fontsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": NEUTRAL,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.fonttype": "path",  # letters as shapes: no font of the reader's machine can push them over each other
    "svg.hashsalt": "steel",  # equal figures, equal bytes
}

# Around a function that draws: letters and lines take their sizes when they are made, not when they are written.
in_style = matplotlib.rc_context(STYLE)


def colour(index: int) -> str:
    """Return the colour of class ``index + 1`` as ``#rrggbb``, the one that it has in the overlays."""
    return as_hex(class_colour(index))


def line_style(index: int) -> dict[str, Any]:
    """Return what ``Axes.plot`` needs for class ``index + 1``: its colour and dashes of its own.

    The dashes tell lines apart without colours. Colours that white paper swallows get a thin dark edge.
    """
    red, green, blue = class_colour(index)
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 190  # brightness as the eye weighs it, ITU-R BT.601
    edge = [Stroke(linewidth=3.6, foreground=INK, alpha=0.8), Normal()] if light else []
    dashes = DASHES[index % len(DASHES)]
    return {"color": colour(index), "linestyle": dashes, "linewidth": 2.2, "path_effects": edge}


def bar_style(index: int) -> dict[str, Any]:
    """Return what ``Axes.bar`` needs for class ``index + 1``: its colour and a thin dark edge."""
    return {"color": colour(index), "edgecolor": INK, "linewidth": 0.8}


@in_style
def new_figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = SIZE, **sharing: Any
) -> tuple[Figure, np.ndarray]:
    """Make an empty figure in the project's style.

    Args:
        rows: of axes.
        columns: of axes.
        size: of each pair of axes in inches, (width, height); letters have 13 points.
        **sharing: ``sharex`` and ``sharey``, as in ``Figure.subplots``.

    Returns:
        The figure, and its axes as a (rows, columns) array.

    Example:
        >>> figure, axes = new_figure()
        >>> axes[0, 0].set(xlabel="area in px", ylabel="defects") is not None
        True
    """
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **sharing)


@in_style
def draw_curves(
    series: Sequence[tuple[str, Any, Any]],
    x_label: str,
    y_label: str,
    title: str = "",
    *,
    colours: Sequence[int] | None = None,
    x_log: bool = False,
    y_log: bool = False,
) -> Figure:
    """Draw lines, each with its name in the legend.

    Args:
        series: name, x values and y values of each.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        title: short; none where the caption says it all.
        colours: class index of each line; none: 0, 1, 2 ...
        x_log: logarithmic x axis.
        y_log: logarithmic y axis.
    """
    figure, axes = new_figure()
    ax = axes[0, 0]
    for number, (_, x, y) in enumerate(series):
        index = number if colours is None else colours[number]
        # One point makes no line.
        ax.plot(x, y, marker="o" if len(np.atleast_1d(x)) == 1 else None, **line_style(index))
    finish(ax, x_label, y_label, title)
    if x_log:
        ax.set_xscale("log")
    if y_log:
        ax.set_yscale("log")
    if len(series) > 1:
        add_legend(ax, ax.lines, labels_of([name for name, _, _ in series]))
    return figure


@in_style
def draw_bars(
    names: Sequence[str],
    series: Mapping[str, Sequence[float]],
    x_label: str,
    y_label: str,
    title: str = "",
    *,
    colours: Sequence[int] | None = None,
    write: str = "{:,.0f}",
) -> Figure:
    """Draw bars in groups, each with its number above it.

    Args:
        names: of the groups.
        series: by name, one height per group; a legend is drawn when there are several.
        x_label: what the groups are.
        y_label: what the heights are, with their unit.
        title: short; none where the caption says it all.
        colours: class index of each group when there is one series, of each series otherwise; none: all alike.
        write: format of the numbers; empty for none.
    """
    figure, axes = new_figure()
    ax = axes[0, 0]
    places, width = np.arange(len(names)), 0.8 / len(series)
    groups = []
    for number, heights in enumerate(series.values()):
        values = np.nan_to_num(np.asarray(heights, dtype=float))
        if colours is None:
            style: dict[str, Any] = {"color": NEUTRAL, "alpha": 1 - 0.6 * number / len(series)}
        elif len(series) > 1:
            style = bar_style(colours[number])
        else:
            style = {"color": [colour(index) for index in colours], "edgecolor": INK, "linewidth": 0.8}
        bars = ax.bar(places + (number - (len(series) - 1) / 2) * width, values, width * 0.94, **style)
        groups.append(bars)
        if write:
            ax.bar_label(bars, [write.format(value) for value in values], padding=2, fontsize=11)
    ax.set_xticks(places, labels_of(names))
    if sum(len(short(name)) for name in names) > 42:
        ax.tick_params(axis="x", rotation=35)
        for tick in ax.get_xticklabels():
            tick.set_ha("right")
    ax.margins(y=0.12)
    finish(ax, x_label, y_label, title)
    ax.grid(axis="x", visible=False)
    if len(series) > 1:
        add_legend(ax, groups, labels_of(list(series)))
    return figure


@in_style
def draw_histogram(
    counts: Sequence[float] | np.ndarray,
    edges: Sequence[float] | np.ndarray,
    x_label: str,
    y_label: str,
    title: str = "",
    *,
    index: int | None = None,
    x_log: bool = False,
) -> Figure:
    """Draw counts that were made before, as ``numpy.histogram`` gives them: no list of all values is needed.

    Args:
        counts: N heights.
        edges: N + 1 edges of the bins.
        x_label: what was counted, with its unit.
        y_label: what the heights are.
        title: short; none where the caption says it all.
        index: class index for the colour; none: not a class.
        x_log: logarithmic x axis.
    """
    figure, axes = new_figure()
    ax = axes[0, 0]
    fill = NEUTRAL if index is None else colour(index)
    ax.stairs(counts, edges, fill=True, facecolor=fill, edgecolor=INK, linewidth=0.8)
    ax.set_ylim(bottom=0)
    if x_log:
        ax.set_xscale("log")
    finish(ax, x_label, y_label, title)
    return figure


@in_style
def draw_matrix(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    x_label: str,
    y_label: str,
    title: str = "",
    *,
    write: str = "{:,.0f}",
    size: tuple[float, float] | None = None,
    blank: Sequence[tuple[int, int]] = (),
) -> Figure:
    """Draw a table of numbers as shaded squares with the number in each.

    Args:
        values: ``(R, C)`` numbers.
        rows: R names.
        columns: C names.
        x_label: what the columns are.
        y_label: what the rows are.
        title: short; none where the caption says it all.
        write: format of the numbers.
        size: inches; none: by the number of squares.
        blank: (row, column) of squares that mean nothing.
    """
    values = np.array(values, dtype=float)
    for place in blank:
        values[place] = np.nan
    fitting = (max(4.2, 2.0 + 0.95 * values.shape[1]), max(3.4, 1.6 + 0.7 * values.shape[0]))
    figure, axes = new_figure(size=size or fitting)
    ax = axes[0, 0]
    top = max(float(np.nanmax(values, initial=0)), 1e-12)
    ax.imshow(values, cmap=SHADES, vmin=0, vmax=top, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else write.format(value)
        ax.text(column, row, text, ha="center", va="center", color="white" if value > 0.55 * top else INK)
    ax.set_xticks(range(len(columns)), labels_of(columns))
    ax.set_yticks(range(len(rows)), labels_of(rows))
    if sum(len(short(name)) for name in columns) > 9 * fitting[0] - 12:
        ax.tick_params(axis="x", rotation=35)
        for tick in ax.get_xticklabels():
            tick.set_ha("right")
    finish(ax, x_label, y_label, title)
    ax.grid(False)
    ax.tick_params(length=0)
    return figure


@in_style
def draw_heatmap(
    values: np.ndarray,
    x_label: str,
    y_label: str,
    value_label: str,
    title: str = "",
    *,
    extent: tuple[float, float, float, float] | None = None,
    size: tuple[float, float] = SIZE,
) -> Figure:
    """Draw a field of numbers as shades, with a bar that tells what they mean.

    Args:
        values: ``(H, W)``; row 0 is on top, as in an image.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        value_label: what the shades mean, with their unit.
        title: short; none where the caption says it all.
        extent: left, right, bottom and top of the field in the axes' units; none: columns and rows.
        size: inches.
    """
    figure, axes = new_figure(size=size)
    ax = axes[0, 0]
    picture = ax.imshow(values, cmap=SHADES, vmin=0, aspect="auto", extent=extent, interpolation="nearest")
    bar = figure.colorbar(picture, ax=ax, pad=0.02)
    bar.set_label(value_label)
    bar.outline.set_visible(False)  # type: ignore[operator]
    finish(ax, x_label, y_label, title)
    ax.grid(False)
    return figure


def finish(ax: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Write the labels of axes, units in them, and the title."""
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    if title:
        ax.set_title(literal(title))


def whole_numbers(ax: Axes) -> None:
    """Mark only whole numbers on the x axis: epochs, images."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


@in_style
def to_svg(figure: Figure) -> str:
    """Return a figure as SVG text; equal figures give equal text."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


@in_style
def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure as the bytes of a PNG file, ``dpi`` pixels an inch."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi, metadata={"Software": None})
    return data.getvalue()
