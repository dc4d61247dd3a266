"""Class 4: patches, large areas of rolled-in scale with a relief of their own and a sharp rim."""

import math

import cv2
import numpy as np

from utils.data.synthetic.canvas import Canvas
from utils.data.synthetic.noise import between, blob, emboss, fractal, noise
from utils.data.synthetic.outline import outline

CLASS_ID = 4


def add_patch(rng: np.random.Generator, canvas: Canvas, area: float) -> bool:
    """Paint and label one patch.

    Args:
        rng: source of chance.
        canvas: the strip.
        area: wanted area of the label in pixels.

    Returns:
        False when there was no room.
    """
    scale = canvas.surface.scale
    # Real boxes: height / width 0.8 in the middle, 0.26 .. 2.0 at the 5th and 95th percentile; fill 0.64.
    ratio = math.exp(rng.normal(-0.2, 0.5))
    size = canvas.limit(math.sqrt(area * ratio / 0.62), math.sqrt(area / ratio / 0.62))
    size = canvas.limit(size[0], area / (0.62 * size[0]))
    size = canvas.limit(area / (0.62 * size[1]), size[1])
    window = canvas.place(rng, size, overhang=0.12)
    margin = 2.5 * scale
    depth = (blob(rng, size, 0.5) - np.float32(margin / (0.5 * min(size)))) * np.float32(0.5 * min(size))
    mask = outline(rng, (depth > 0.0).astype(np.uint8), margin, detail=3.0 * scale)
    if not canvas.label(window, mask, CLASS_ID):
        return False
    # The rim is sharp in places and fades elsewhere.
    softness = 2.5 * scale + 14.0 * scale * np.clip(noise(rng, size, (0.4 * min(size), 0.4 * min(size))), 0.0, 1.5)
    body = np.clip(depth / softness + 0.25, 0.0, 1.0) * mask
    light = between(rng, 0.2, 2.9)
    span = float(min(size))
    style = rng.random()
    if style < 0.45:  # lumps rolled in: folds with light and shade
        folds = fractal(rng, size, (max(8.0 * scale, 0.22 * span), max(10.0 * scale, 0.4 * span)), 4, 0.55)
        relief = 0.05 * span * between(rng, 0.5, 1.2) * emboss((1.5 - np.abs(folds)) * body, light)
        relief += 0.6 * emboss(fractal(rng, size, (7.0 * scale, 9.0 * scale), 2), light)
        level, rim = between(rng, -0.4, -0.05), between(rng, 0.3, 0.8)
    elif style < 0.8:  # a scab: a darker floor, torn at places, cracked along its rim
        crust = fractal(rng, size, (10.0 * scale, 12.0 * scale), 3, 0.7)
        torn = np.clip(noise(rng, size, (0.5 * span, 0.5 * span)) * 1.5, 0.0, 1.0)
        relief = between(rng, 0.5, 1.3) * emboss(crust, light) * (0.25 + torn)
        level, rim = between(rng, -0.45, -0.15), between(rng, 0.5, 1.1)
    else:  # peeled scale: a lighter floor with dark tears across
        tears = np.clip(np.abs(noise(rng, size, (max(5.0, 0.12 * span), max(9.0, 0.35 * span)))) * 4.0, 0.0, 1.0) - 1.0
        relief = 0.5 * tears + 0.4 * emboss(fractal(rng, size, (9.0 * scale, 16.0 * scale), 3), light)
        level, rim = between(rng, 0.1, 0.7), between(rng, 0.4, 1.0)
    contrast = float(np.clip(math.exp(rng.normal(-0.05, 0.25)), 0.6, 1.4))
    edge = emboss(cv2.GaussianBlur(body, (0, 0), max(0.6, 1.0 * scale)), light)
    patchy = np.clip(1.0 + 0.3 * noise(rng, size, (0.4 * span, 0.4 * span)), 0.3, 1.5)
    gain = body * (level * patchy + relief) + 3.0 * rim * edge - 0.35 * rim * (4.0 * body * (1.0 - body))
    canvas.paint(window, contrast * gain)
    return True
