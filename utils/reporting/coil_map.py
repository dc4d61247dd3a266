"""The map of a coil as a picture: the strip at true proportions, broken into rows, each defect in the colour of its class."""

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from utils.coil.coil import Coil
from utils.coil.tables import texts
from utils.reporting.legends import labels_of, literal
from utils.reporting.plots import INK, NEUTRAL, colour, in_style, to_png
from utils.text import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches: as wide as the text of an A4 page, at most as high; room for places at the left, and between rows.
WIDTH, HEIGHT, LABEL, BETWEEN = 7.3, 8.4, 0.72, 0.14
LOWEST_ROW, TALLEST = 0.08, 30.0  # of a strip so long that the page cannot hold it
MARK = 0.016  # a defect is drawn at least so large
STEEL, GAP = "#e3e7eb", "#ffffff"
DPI, COLOURS, MOST_IN_LEGEND = 190, 64, 24


def class_order(coil: Coil) -> list[str]:
    """Return the names of a coil's classes in the order of their colours: numbers by value, then names by letters."""
    names = set(texts(coil.defects["class_name"]).tolist())
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def row_scale(length: float, width: float, room: float, height: float, between: float, lowest: float) -> float:
    """Return the scale at which a strip, broken into rows of ``room``, fills a height but does not exceed it.

    Args:
        length: of the strip.
        width: of the strip.
        room: length of a row on the page.
        height: of the page.
        between: two rows.
        lowest: rows are at least so high, whatever the height.

    Returns:
        Page units for a unit of the strip.
    """
    if room * width / length + between > height:  # one row is more than enough
        return (height - between) / width
    rows = 1
    while (rows + 1) * ((rows + 1) * room * width / length + between) <= height:
        rows += 1
    return max(rows * room / length, lowest / width)


@in_style
def draw_map(coil: Coil) -> Figure:
    """Draw the map.

    Args:
        coil: its defects without those of static marks.

    Returns:
        A figure as wide as an A4 page's text.
    """
    left, right = coil.edges
    length, width = max(coil.length, 1e-9), max(right - left, 1e-9)
    room = WIDTH - LABEL - 0.05
    scale = row_scale(length, width, room, HEIGHT, BETWEEN, LOWEST_ROW)
    scale = min(scale, math.sqrt(TALLEST * room / (length * width)))
    per_row, row_height = room / scale, width * scale
    rows = max(1, math.ceil(length / per_row - 1e-9))
    height = rows * (row_height + BETWEEN)
    names = class_order(coil)
    columns = 3
    lines = 1 + math.ceil(min(len(names), MOST_IN_LEGEND) / columns)
    below = 0.12 + 0.19 * lines
    figure = Figure(figsize=(WIDTH, height + below))
    axes = figure.add_axes((0, below / (height + below), 1, height / (height + below)))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")

    def place(begin: np.ndarray, end: np.ndarray, low: np.ndarray, high: np.ndarray, least: float) -> np.ndarray:
        """Return rectangles on the page, (M, 4, 2): what goes over the end of a row goes on in the next."""
        begin, end = np.clip(begin, 0, length), np.clip(end, 0, length)
        first = np.minimum(begin // per_row, rows - 1).astype(int)
        last = np.clip(np.ceil(end / per_row - 1e-9).astype(int) - 1, first, rows - 1)
        of = np.repeat(np.arange(len(begin)), last - first + 1)
        row = first[of] + np.arange(len(of)) - np.concatenate([[0], np.cumsum(last - first + 1)])[of]
        x0 = LABEL + np.clip(begin[of] - row * per_row, 0, per_row) * scale
        x1 = LABEL + np.clip(end[of] - row * per_row, 0, per_row) * scale
        top = row * (row_height + BETWEEN) + BETWEEN / 2
        y0, y1 = top + (low[of] - left) * scale, top + (high[of] - left) * scale
        more_x, more_y = np.maximum(0, least - (x1 - x0)) / 2, np.maximum(0, least - (y1 - y0)) / 2
        x0, x1, y0, y1 = x0 - more_x, x1 + more_x, y0 - more_y, y1 + more_y
        return np.stack([np.stack(pair, -1) for pair in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))], 1)

    def ones(*values: float) -> list[np.ndarray]:
        return [np.array([value], float) for value in values]

    _add(axes, place(*ones(0, length, left, right), 0), facecolors=STEEL)
    for begin, end in coil.grade.not_seen:
        _add(axes, place(*ones(begin, end, left, right), MARK), facecolors=GAP, edgecolors=NEUTRAL, hatch="////")
    real = coil.defects[coil.real]
    classes = texts(real["class_name"])
    boxes = [real[name].to_numpy(float) for name in ("along0", "along1", "across0", "across1")]
    for index, name in enumerate(names):
        chosen = classes == name
        if chosen.any():
            _add(axes, place(*(box[chosen] for box in boxes), MARK), facecolors=colour(index))
    for row in range(rows):
        middle = row * (row_height + BETWEEN) + BETWEEN / 2 + row_height / 2
        where = coil.units.place(row * per_row)
        axes.text(LABEL - 0.06, middle, where, ha="right", va="center", fontsize=7, color=INK)
    text = f"{coil.units.place(coil.length)} by {coil.units.size(width)}, true proportions"
    text += f", {plural(rows, 'row')} of {coil.units.place(min(per_row, length))}, head first"
    text += "; hatched: not seen" if coil.grade.not_seen else ""
    figure.text(0.01, (below - 0.06) / (height + below), text, fontsize=7.5, va="top", color=INK)
    handles = [Patch(facecolor=colour(index)) for index in range(len(names))][:MOST_IN_LEGEND]
    if handles:
        counts = coil.counts
        labels = [f"{label}: {counts.get(name, 0):,}" for label, name in zip(labels_of(names), names, strict=True)]
        if len(names) > len(handles):
            labels[len(handles) - 1] += literal(f" (and {len(names) - len(handles)} more classes)")
        figure.legend(
            handles,
            labels[: len(handles)],
            loc="lower left",
            ncols=columns,
            fontsize=7.5,
            bbox_to_anchor=(0.0, 0.0),
            borderaxespad=0.2,
            handlelength=1.2,
        )
    return figure


def map_png(coil: Coil) -> bytes:
    """Return the map as the bytes of a PNG file with a palette, so that it is small."""
    from PIL import Image

    whole = Image.open(io.BytesIO(to_png(draw_map(coil), DPI))).convert("RGB")
    data = io.BytesIO()
    whole.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
    return data.getvalue()


def _add(axes: "Axes", boxes: np.ndarray, **style: object) -> None:
    axes.add_collection(
        PolyCollection(list(boxes), closed=True, linewidths=0.3 if "edgecolors" in style else 0, **style)
    )  # type: ignore[arg-type]
