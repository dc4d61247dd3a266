"""Random fields that surface and defects are made of."""

import math

import cv2
import numpy as np

# (H, W) float32 and (H, W) uint8; plain arrays, since the type checker loses the dtype in OpenCV's answers.
FloatImage = np.ndarray
Mask = np.ndarray

# Cubic interpolation lowers the standard deviation of white noise by about this factor per stretched axis.
STRETCH_GAIN = 1.15

# Side of the grid that the shape of a blob is made on.
BLOB_GRID = 48


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]) -> FloatImage:
    """Smooth noise of about zero mean and unit deviation.

    Args:
        rng: source of chance.
        shape: (height, width) in pixels.
        cell: (height, width) in pixels of one independent value; 1 or less is white noise along that axis.

    Returns:
        (H, W) float32.
    """
    grid = tuple(max(2, math.ceil(size / max(1.0, step))) for size, step in zip(shape, cell, strict=True))
    grid = (min(grid[0], shape[0]), min(grid[1], shape[1]))
    values: FloatImage = rng.standard_normal(grid, dtype=np.float32)
    for axis in (0, 1):
        if grid[axis] < shape[axis]:
            values *= np.float32(STRETCH_GAIN)
    if grid != shape:
        values = cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return values


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float], octaves: int, falloff: float = 0.6
) -> FloatImage:
    """Sum of ``octaves`` noises, each with half the cell and ``falloff`` times the height of the one before.

    Args:
        rng: source of chance.
        shape: (height, width) in pixels.
        cell: (height, width) in pixels of the coarsest noise.
        octaves: number of noises.
        falloff: height of each noise relative to the one before.

    Returns:
        (H, W) float32 of about unit deviation.
    """
    total = np.zeros(shape, np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        total += np.float32(weight) * noise(rng, shape, (cell[0] / 2**octave, cell[1] / 2**octave))
        power += weight**2
        weight *= falloff
    return total / np.float32(math.sqrt(power))


def blob(rng: np.random.Generator, shape: tuple[int, int], roughness: float) -> FloatImage:
    """An irregular ellipse that just fills a window.

    The shape is made on a coarse grid, cut to its own box and stretched to the window, so that the window never cuts it.

    Args:
        rng: source of chance.
        shape: (height, width) of the window in pixels.
        roughness: how far the rim wanders, 0 (an ellipse) .. 0.5.

    Returns:
        (H, W) float32: 1 in the middle, 0 on the rim, negative outside.
    """
    axis = np.linspace(-1.5, 1.5, BLOB_GRID, dtype=np.float32)
    radius = np.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2)
    coarse = fractal(rng, radius.shape, (BLOB_GRID / 4, BLOB_GRID / 4), 3, 0.5)
    field = np.minimum(1.0 - radius + np.float32(roughness) * coarse * np.minimum(1.0, radius), 3.0 * (1.45 - radius))
    _, parts, boxes, _ = cv2.connectedComponentsWithStats((field > 0.0).astype(np.uint8))
    main = int(np.argmax(boxes[1:, cv2.CC_STAT_AREA])) + 1
    left, top, width, height = (int(value) for value in boxes[main, :4])
    field = np.where((parts == main) | (field <= 0.0), field, np.float32(-0.05))
    field = cv2.resize(
        field[top : top + height, left : left + width], (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR
    )
    cell = max(3.0, min(shape) / 12.0)
    return field + np.float32(0.12 * roughness) * noise(rng, shape, (cell, cell))


def emboss(height: FloatImage, angle: float) -> FloatImage:
    """Light and shade of a relief lit from one side.

    Args:
        height: (H, W) float32 height of the surface.
        angle: direction of the light in radians; 0 is from the left.

    Returns:
        (H, W) float32 slope against the light, positive where it is lit.
    """
    across = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    down = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return np.float32(math.cos(angle)) * across + np.float32(math.sin(angle)) * down


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """One uniform number from ``low`` to ``high``."""
    return float(rng.uniform(low, high))
