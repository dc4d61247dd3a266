"""The eight ways to lay a picture on its place again: as it is or turned by quarters, each mirrored or not.

A symmetry is a number from 0 to 7: first TRANSPOSED swaps rows and columns, then MIRRORED swaps left and right and
FLIPPED up and down. Where it says so, functions take an array of symmetries too.
"""

import numpy as np

MIRRORED, FLIPPED, TRANSPOSED = 1, 2, 4
SYMMETRIES = range(8)
NAMES = (
    "as it is",
    "mirrored left to right",
    "mirrored up to down",
    "turned by 180 degrees",
    "rows and columns swapped",
    "turned by 90 degrees clockwise",
    "turned by 90 degrees counterclockwise",
    "rows and columns swapped, then turned by 180 degrees",
)


def lay(picture: np.ndarray, symmetry: int) -> np.ndarray:
    """Return a picture (H, W, ...) as a symmetry lays it, (H, W, ...) or (W, H, ...), as a view."""
    turned = picture.swapaxes(0, 1) if symmetry & TRANSPOSED else picture
    return turned[:: -1 if symmetry & FLIPPED else 1, :: -1 if symmetry & MIRRORED else 1]


def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return what lays the second picture on the first, where ``lay(one, first)`` and ``lay(other, second)`` are alike.

    Args:
        first, second: (N,) int symmetries.

    Returns:
        (N,) int symmetries.
    """
    mirrors = (first ^ second) & (MIRRORED | FLIPPED)
    # The first transposition is undone last: it exchanges the two mirrors that stand before it.
    exchanged = (mirrors & MIRRORED) * FLIPPED + (mirrors & FLIPPED) // FLIPPED
    return np.where(first & TRANSPOSED, exchanged, mirrors) | ((first ^ second) & TRANSPOSED)


def then(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the symmetry that does what two do one after the other.

    Args:
        first, second: (N,) int symmetries.

    Returns:
        (N,) int symmetries.
    """
    mirrors = first & (MIRRORED | FLIPPED)
    exchanged = (mirrors & MIRRORED) * FLIPPED + (mirrors & FLIPPED) // FLIPPED
    turned = np.where(second & TRANSPOSED, exchanged, mirrors)
    return (turned ^ (second & (MIRRORED | FLIPPED))) | ((first ^ second) & TRANSPOSED)


def turned_shapes(shapes: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Return height and width of pictures after a symmetry, (N, 2)."""
    return np.where(((symmetry & TRANSPOSED) > 0)[:, None], shapes[:, ::-1], shapes)


def move(points: np.ndarray, shapes: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Return where points of pictures lie after a symmetry.

    Args:
        points: (N, 2) int rows and columns.
        shapes: (N, 2) int height and width of the picture of each point.
        symmetry: (N,) int.

    Returns:
        (N, 2) rows and columns.
    """
    turned = np.where(((symmetry & TRANSPOSED) > 0)[:, None], points[:, ::-1], points)
    mirrored = np.stack([symmetry & FLIPPED, symmetry & MIRRORED], axis=1) > 0
    return np.where(mirrored, turned_shapes(shapes, symmetry) - 1 - turned, turned)
