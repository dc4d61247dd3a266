"""Fill outlines pixel by pixel."""

import numpy as np


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
        x, y = np.asarray(polygon, dtype=np.float64).T
        first = max(0, int(np.floor(y.min())))
        last = min(height, int(np.ceil(y.max())))
        if first >= last:
            continue
        centre = np.arange(first, last)[:, None] + 0.5
        next_x, next_y = np.roll(x, -1), np.roll(y, -1)
        row, edge = np.nonzero((y <= centre) != (next_y <= centre))
        slope = (next_x[edge] - x[edge]) / (next_y[edge] - y[edge])
        crossing = x[edge] + (centre[row, 0] - y[edge]) * slope
        # The first pixel whose centre is right of the crossing changes between outside and inside.
        column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
        changes = np.zeros((last - first, width + 1), dtype=np.int64)
        np.add.at(changes, (row, column), 1)
        filled[first:last] |= (np.cumsum(changes, axis=1)[:, :width] % 2).astype(bool)
    return filled
