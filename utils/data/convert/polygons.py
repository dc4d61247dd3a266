"""Draw outlines pixel by pixel."""

from collections import Counter

import cv2
import numpy as np

from utils.text import plural

REACH = 2  # pixels from an outline within which a filled pixel shows that the outline encloses something there
TOLERANCE = 0.02  # pixels by which corners that were written with six digits miss a whole number
FARTHEST = 1e6  # pixels; programs that draw take no corner farther away than that

# What a tally counts.
THIN, NOWHERE = "thin", "nowhere"


def draw_outlines(
    polygons: list[np.ndarray], height: int, width: int, tally: "Counter[str] | None" = None
) -> np.ndarray:
    """Fill polygons as ``fill`` does, and draw the places where they enclose no pixel centre as a line of one pixel.

    Programs that trace masks give a scratch of one pixel as an outline that runs there and back through the same
    pixels; its area is 0. They name a pixel by its upper left corner, so that the line's pixels are those of the mask.

    Args:
        polygons: (n, 2) float each: x, y of the corners in pixels, (0, 0) is the image's upper left corner; one corner is
            a pixel, two are a line.
        height: of the image, pixels.
        width: of the image, pixels.
        tally: counts the polygons that were drawn as lines (``THIN``) and those that label no pixel (``NOWHERE``).

    Returns:
        (H, W) bool, the union of the polygons.
    """
    drawn = np.zeros((height, width), dtype=bool)
    tally = Counter() if tally is None else tally
    for polygon in polygons:
        polygon = np.asarray(polygon, dtype=np.float64)
        corners = np.floor(np.clip(polygon, -FARTHEST, FARTHEST) + TOLERANCE).astype(np.int32)
        corners -= polygon == (width, height)  # on the right or lower edge of the image: its last pixel
        top, bottom = max(0, int(corners[:, 1].min()) - REACH), min(height, int(corners[:, 1].max()) + 1 + REACH)
        if top >= bottom:
            tally[NOWHERE] += 1
            continue
        inside = np.zeros((bottom - top, width), dtype=np.uint8)
        first, filled = _filled_rows(polygon, height, width)
        inside[first - top : first - top + len(filled)] = filled
        line = np.zeros_like(inside)
        cv2.polylines(line, [corners - (0, top)], True, 1)
        near: np.ndarray = cv2.dilate(inside, np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8))
        lost = line * (1 - near)
        if lost.any():
            tally[THIN] += 1
            for _ in range(REACH):  # up to where the filled pixels begin, so that no gap is left
                lost = line * cv2.dilate(lost, np.ones((3, 3), np.uint8))
            inside[lost > 0] = 1
        elif not inside.any():
            tally[NOWHERE] += 1
        drawn[top:bottom] |= inside.astype(bool)
    return drawn


def notes_of(tally: "Counter[str]") -> list[str]:
    """Tell what a tally of ``draw_outlines`` counted, a line each."""
    notes = []
    if tally[THIN]:
        count = plural(tally[THIN], "outline")
        notes.append(f"{count} thinner than a pixel, wholly or in places: drawn there as a line of one pixel")
    if tally[NOWHERE]:
        notes.append(f"{plural(tally[NOWHERE], 'outline')} outside of the image: no pixel labelled")
    return notes


def fill(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Fill polygons; a pixel belongs to one when its centre lies inside (even-odd rule).

    OpenCV and PIL also paint the outline, which adds half a pixel on every side.

    Args:
        polygons: (n, 2) float each: x, y of the corners in pixels, (0, 0) is the image's upper left corner.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        (H, W) bool, the union of the polygons.
    """
    filled = np.zeros((height, width), dtype=bool)
    for polygon in polygons:
        first, rows = _filled_rows(np.asarray(polygon, dtype=np.float64), height, width)
        filled[first : first + len(rows)] |= rows
    return filled


def _filled_rows(polygon: np.ndarray, height: int, width: int) -> tuple[int, np.ndarray]:
    """Fill one polygon: its first row in the image, and its rows, (n, W) bool."""
    x, y = np.clip(polygon, -FARTHEST, FARTHEST).T
    first = max(0, int(np.floor(y.min())))
    last = min(height, int(np.ceil(y.max())))
    if first >= last:
        return min(first, height), np.zeros((0, width), dtype=bool)
    centre = np.arange(first, last)[:, None] + 0.5
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    row, edge = np.nonzero((y <= centre) != (next_y <= centre))
    slope = (next_x[edge] - x[edge]) / (next_y[edge] - y[edge])
    crossing = x[edge] + (centre[row, 0] - y[edge]) * slope
    # The first pixel whose centre is right of the crossing changes between outside and inside.
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    changes = np.zeros((last - first, width + 1), dtype=np.int64)
    np.add.at(changes, (row, column), 1)
    return first, (np.cumsum(changes, axis=1)[:, :width] % 2).astype(bool)
