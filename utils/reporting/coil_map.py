"""The map of a coil as a picture: the strip at true proportions, broken into rows, each defect in the colour of its class."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from utils.coil.coil import Coil
from utils.coil.tables import texts
from utils.reporting.legends import labels_of
from utils.reporting.overlays import class_colour
from utils.reporting.plots import INK, colour, in_style
from utils.text import plural, visible

# Inches: as wide as the text of an A4 page, at most as high; room for places at the left, and between rows.
WIDTH, HEIGHT, LABEL, BETWEEN = 7.3, 5.4, 0.72, 0.12
LOWEST_ROW, TALLEST = 0.08, 30.0  # of a strip so long that this cannot hold it
PAGE = 9.6  # what an A4 page holds of it
MARK = 0.016  # a defect is drawn at least so large
MOST_GAPS = 500  # of single cameras that are hatched
FEW = 400  # defects that are drawn larger, with an edge
STEEL, HATCH = (227, 231, 235), (138, 148, 158)  # RGB
DPI, COLOURS, MOST_IN_LEGEND, LEGEND_COLUMNS = 190, 64, 24, 3


def class_order(coil: Coil) -> list[str]:
    """Return the names of a coil's classes in the order of their colours: numbers by value, then names by letters."""
    names = set(texts(coil.defects["class_name"]).tolist())
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def spelled(name: str) -> str:
    """Return a name of others as it can be drawn: what is no UTF-8, and what would turn the text around, as its code."""
    return visible(name.encode("utf-8", "backslashreplace").decode())


def bare(value: float) -> str:
    """Write a number without digits that say nothing: 70, 0.25, 12,000."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


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


def nice_step(span: float, parts: int) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... that cuts a span into at most so many parts.

    Example:
        >>> nice_step(1234.0, 8)
        200.0
    """
    wanted = max(span, 1e-9) / parts
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))


@dataclass(frozen=True)
class _Rows:
    """How a strip lies on the page, in pixels of the picture."""

    length: float
    left: float
    scale: float
    per_row: float
    rows: int
    row_height: float
    between: float
    label: float

    def top(self, row: np.ndarray | int) -> np.ndarray:
        """Return where rows begin."""
        return np.asarray(row) * (self.row_height + self.between) + self.between / 2

    def boxes(self, sides: Sequence[np.ndarray], least: float = 0.0) -> np.ndarray:
        """Return rectangles of the picture, (M, 4) int x0 y0 x1 y1: what goes over the end of a row goes on in the next.

        Args:
            sides: four arrays of (N,): begin and end along the strip, begin and end across it.
            least: pixels that a rectangle has at least each way.
        """
        begin, end, low, high = sides
        begin, end = np.clip(begin, 0, self.length), np.clip(end, 0, self.length)
        first = np.minimum(begin // self.per_row, self.rows - 1).astype(int)
        last = np.clip(np.ceil(end / self.per_row - 1e-9).astype(int) - 1, first, self.rows - 1)
        of = np.repeat(np.arange(len(begin)), last - first + 1)
        row = first[of] + np.arange(len(of)) - np.concatenate([[0], np.cumsum(last - first + 1)])[of]
        x0 = self.label + np.clip(begin[of] - row * self.per_row, 0, self.per_row) * self.scale
        x1 = self.label + np.clip(end[of] - row * self.per_row, 0, self.per_row) * self.scale
        y0, y1 = (self.top(row) + (side[of] - self.left) * self.scale for side in (low, high))
        more_x, more_y = np.maximum(0, least - (x1 - x0)) / 2, np.maximum(0, least - (y1 - y0)) / 2
        return np.stack([x0 - more_x, y0 - more_y, x1 + more_x, y1 + more_y], 1).round().astype(int)


def lay_out(length: float, left: float, width: float, per_along: float) -> _Rows:
    """Lay a strip out for the picture."""
    room = (WIDTH - LABEL - 0.05) * DPI
    between, lowest = BETWEEN * DPI, LOWEST_ROW * DPI
    scale = row_scale(length, width, room, HEIGHT * DPI, between, lowest)
    scale = min(scale, math.sqrt(TALLEST * DPI * room / (length * width)))
    per_row = room / scale
    if per_row < length:  # rows of 70 m, not of 66.67
        nice = nice_step(per_row / per_along, 10) * per_along
        per_row = math.ceil(per_row / nice - 1e-9) * nice
        scale = room / per_row
    rows = max(1, math.ceil(length / per_row - 1e-9))
    return _Rows(length, left, scale, per_row, rows, width * scale, between, LABEL * DPI)


@in_style
def draw_map(coil: Coil) -> np.ndarray:
    """Draw the map.

    Args:
        coil: its defects without those of static marks.

    Returns:
        ``(H, W, 3)`` RGB uint8, as wide as an A4 page's text at ``DPI`` pixels an inch.
    """
    left, right = coil.edges
    length, width = max(coil.length, 1e-9), max(right - left, 1e-9)
    strip = lay_out(length, left, width, coil.units.per_along)
    names = class_order(coil)
    high = round(strip.rows * (strip.row_height + strip.between))
    lines = 1 + math.ceil(min(len(names), MOST_IN_LEGEND) / LEGEND_COLUMNS)
    below = 0.12 + 0.19 * lines
    whole = high / DPI + below
    figure = Figure(figsize=(WIDTH, whole), dpi=DPI)
    axes = figure.add_axes((0, below / whole, 1, 1 - below / whole))
    axes.set(xlim=(0, WIDTH * DPI), ylim=(high, 0))
    axes.axis("off")
    for row in range(strip.rows):
        middle = float(strip.top(row)) + strip.row_height / 2
        where = f"{bare(row * strip.per_row / coil.units.per_along)} {coil.units.along}"
        axes.text(strip.label - 0.06 * DPI, middle, where, ha="right", va="center", fontsize=7, color=INK)
    text = f"{coil.units.place(coil.length)} by {coil.units.size(width)}, true proportions"
    text += f", {plural(strip.rows, 'row')} of {bare(min(strip.per_row, length) / coil.units.per_along)} {coil.units.along}, head first"
    text += "; hatched: not seen" if len(coil.gaps) else ""
    figure.text(0.01, (below - 0.06) / whole, text, fontsize=7.5, va="top", color=INK)
    handles = [Patch(facecolor=colour(index)) for index in range(len(names))][:MOST_IN_LEGEND]
    if handles:
        counts = coil.counts
        labels = labels_of(list(map(spelled, names)))
        labels = [f"{label}: {counts.get(name, 0):,}" for label, name in zip(labels, names, strict=True)]
        if len(names) > len(handles):
            labels[len(handles) - 1] += f" (and {len(names) - len(handles)} more classes)"
        figure.legend(
            handles,
            labels[: len(handles)],
            loc="lower left",
            ncols=LEGEND_COLUMNS,
            fontsize=7.5,
            bbox_to_anchor=(0.0, 0.0),
            borderaxespad=0.2,
            handlelength=1.2,
        )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    # The strip goes in as pixels: tens of thousands of shapes would take matplotlib seconds.
    begin, pixels = round(strip.label) - 4, _pixels(coil, strip, names, high)
    picture[:high, begin:] = pixels[: picture.shape[0], begin : picture.shape[1]]
    return picture


def _pixels(coil: Coil, strip: _Rows, names: list[str], high: int) -> np.ndarray:
    """Draw the strip and what lies on it, (H, W, 3) uint8."""
    left, right = coil.edges
    picture = np.full((max(high, 1), round(WIDTH * DPI), 3), 255, np.uint8)

    def one(*sides: float) -> np.ndarray:
        return strip.boxes([np.array([value], float) for value in sides], least=1)

    for x0, y0, x1, y1 in one(0, strip.length, left, right):
        picture[y0:y1, x0:x1] = STEEL
    rows, columns = np.indices(picture.shape[:2], dtype=np.int32)
    hatched = (rows + columns) % 12 < 2
    for begin, end, side, other in coil.gap_boxes(MOST_GAPS):
        for x0, y0, x1, y1 in one(begin, end, max(side, left), min(other, right)):
            picture[y0:y1, x0:x1] = np.where(hatched[y0:y1, x0:x1, None], HATCH, 255)
    real = coil.defects[coil.real]
    classes = texts(real["class_name"])
    sides = [real[name].to_numpy(float) for name in ("along0", "along1", "across0", "across1")]
    few = len(real) <= FEW
    for index, name in enumerate(names):
        chosen = classes == name
        shade = class_colour(index)
        for x0, y0, x1, y1 in strip.boxes(
            [side[chosen] for side in sides], least=MARK * DPI * (2 if few else 1)
        ).tolist():
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), shade, cv2.FILLED)
            if few:
                cv2.rectangle(picture, (x0 - 1, y0 - 1), (x1, y1), (0, 0, 0), 1)
    return picture


def map_png(coil: Coil) -> bytes:
    """Return the map as the bytes of a PNG file."""
    return _png(draw_map(coil))


def map_pages(coil: Coil) -> list[bytes]:
    """Return the map as PNG files of which each fits onto an A4 page, cut between rows."""
    picture = draw_map(coil)
    left, right = coil.edges
    strip = lay_out(max(coil.length, 1e-9), left, max(right - left, 1e-9), coil.units.per_along)
    pitch = strip.row_height + strip.between
    rows = max(1, int((PAGE * DPI) // pitch))
    cuts = [round(row * pitch) for row in range(0, strip.rows, rows)]
    if len(cuts) > 1 and picture.shape[0] - cuts[-1] > PAGE * DPI:  # the legend does not fit below the last rows
        cuts.append(round(strip.rows * pitch))
    return [_png(picture[begin:end]) for begin, end in zip(cuts, [*cuts[1:], picture.shape[0]], strict=True)]


def _png(picture: np.ndarray) -> bytes:
    """Return the bytes of a PNG file with a palette, which makes it small."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(data, "PNG")
    return data.getvalue()
