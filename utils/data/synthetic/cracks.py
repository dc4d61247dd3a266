"""Class 2: cracks, thin long lines that waver along the rolling direction, often hardly darker than the strip."""

import math

import numpy as np

from utils.data.synthetic.canvas import Canvas
from utils.data.synthetic.noise import between, noise
from utils.data.synthetic.outline import fill

CLASS_ID = 2


def add_crack(rng: np.random.Generator, canvas: Canvas, area: float, centre: float) -> bool:
    """Paint and label one crack.

    Args:
        rng: source of chance.
        canvas: the strip.
        area: wanted area of the label in pixels.
        centre: column around which the strip's cracks lie, in pixels.

    Returns:
        False when there was no room.
    """
    scale = canvas.surface.scale
    # Real boxes: height 169, width 19 in the middle; a third of the cracks touch the upper or lower border.
    height = float(np.clip(math.exp(rng.normal(math.log(170.0), 0.42)), 60.0, 256.0)) * scale
    margin = float(np.clip(0.5 * area / height, 3.5 * scale, 16.0 * scale))
    height = float(np.clip(0.5 * area / margin, 55.0 * scale, 256.0 * scale))
    drift = between(rng, 0.1, 0.9) * margin + 1.0
    size = canvas.limit(height, 2.0 * margin + drift)
    window = canvas.place(rng, size, centre, 60.0 * scale, overhang=0.12)
    height, width = size
    margin = min(margin, 0.45 * width)
    path = _path(rng, height, width, margin, scale)
    rows = np.linspace(0, height - 1, int(between(rng, 3, 6))).round().astype(int)
    left = np.stack([path[rows] - margin, rows], axis=1)
    right = np.stack([path[rows] + margin, rows], axis=1)[::-1]
    mask = np.zeros(size, np.uint8)
    fill(rng, mask, np.concatenate([left, right]), jitter=0.6 * scale)
    if not canvas.label(window, mask, CLASS_ID):
        return False
    columns = np.arange(width, dtype=np.float32)[None, :]
    gain = np.zeros(size, np.float32)
    strength = float(np.clip(math.exp(rng.normal(-0.55, 0.3)), 0.35, 0.9))
    for branch in range(1 + (rng.random() < 0.35)):
        shift = 0.0 if branch == 0 else rng.choice([-1.0, 1.0]) * 0.5 * margin
        thickness = between(rng, 1.0, 2.4) * max(scale, 0.6)
        away = columns - (path + shift)[:, None].astype(np.float32)
        fade = np.clip(1.0 + 0.55 * noise(rng, (height, 1), (14.0 * scale, 1.0)), 0.15, 1.5)
        ends = np.clip(np.minimum(np.arange(height), np.arange(height)[::-1]) / (0.12 * height + 1.0), 0.0, 1.0)[
            :, None
        ]
        core = np.exp(-0.5 * (away / thickness) ** 2)
        lip = np.exp(-0.5 * ((away - 2.2 * thickness) / thickness) ** 2)
        gain += (fade * ends * (0.6 if branch else 1.0)).astype(np.float32) * (0.35 * lip - core)
    canvas.paint(window, strength * gain)
    return True


def _path(rng: np.random.Generator, height: int, width: int, margin: float, scale: float) -> np.ndarray:
    """Column of the crack for every row: a slanted line that wavers, ``margin`` pixels inside the window."""
    room = max(0.0, width - 1 - 2 * margin)
    slant = rng.choice([-1.0, 1.0]) * between(rng, 0.4, 1.0) * np.linspace(-0.5, 0.5, height)
    waver = 0.16 * noise(rng, (height, 1), (45.0 * scale, 1.0))[:, 0]
    shape = slant + waver
    shape = (shape - shape.min()) / max(1e-6, float(np.ptp(shape)))
    shake = 0.5 * scale * noise(rng, (height, 1), (6.0 * scale, 1.0))[:, 0]
    return margin + room * shape + shake
