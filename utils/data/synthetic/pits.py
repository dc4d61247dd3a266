"""Class 1: pits, small rough holes, mostly in a lane near the strip's edge."""

import math

import cv2
import numpy as np

from utils.data.synthetic.canvas import Canvas
from utils.data.synthetic.noise import between, blob, emboss, noise
from utils.data.synthetic.outline import outline

CLASS_ID = 1


def add_pit(rng: np.random.Generator, canvas: Canvas, area: float, centre: float) -> bool:
    """Paint and label one pit.

    Args:
        rng: source of chance.
        canvas: the strip.
        area: wanted area of the label in pixels.
        centre: column around which the strip's pits lie, in pixels.

    Returns:
        False when there was no room.
    """
    scale = canvas.surface.scale
    # Real boxes: height / width 1.7 in the middle, 0.9 .. 5.3 at the 5th and 95th percentile; fill 0.76.
    ratio = math.exp(rng.normal(0.58, 0.5))
    size = canvas.limit(math.sqrt(area * ratio / 0.6), math.sqrt(area / ratio / 0.6))
    window = canvas.place(rng, size, centre, 90.0 * scale, overhang=0.1)
    margin = min(2.5 * scale + 0.5, 0.15 * min(size))
    body = np.clip(3.0 * (blob(rng, size, 0.3) - margin / (0.5 * min(size))), 0.0, 1.0)
    painted = (body > 0.25).astype(np.uint8)
    mask = outline(rng, painted, margin, detail=1.6 * scale + 0.4)
    if not canvas.label(window, mask, CLASS_ID):
        return False
    contrast = float(np.clip(math.exp(rng.normal(-0.05, 0.35)), 0.5, 1.7))
    rough = noise(rng, size, (4.0 * scale, 3.0 * scale)) + 0.7 * noise(rng, size, (9.0 * scale, 6.0 * scale))
    light = rng.normal(math.pi / 2, 0.6)
    body *= mask
    gain = 0.7 * emboss(body * (rough * 0.8 - 1.0), light)
    style = rng.random()
    if style < 0.4:  # a ring: dark rim, lighter floor
        rim = body * (1.0 - body) * 4.0
        gain -= (0.45 * np.clip(rim + 0.3 * rough * body, 0.0, 1.0)) - 0.08 * body
    else:  # a torn hole: dark, with glints
        gain -= body * (0.3 + 0.12 * rough)
    if style > 0.55:
        glints = np.clip(noise(rng, size, (3.5 * scale, 3.0 * scale)) - between(rng, 1.0, 1.6), 0.0, 1.2)
        gain += between(rng, 1.0, 2.6) * cv2.GaussianBlur(glints, (3, 3), 0.6) * body
    canvas.paint(window, contrast * gain)
    return True
