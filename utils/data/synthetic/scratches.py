"""Class 3: scratches and lines, the widest class: straight lines, streaks, bright flakes, slanted bands, chips."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from utils.data.synthetic.canvas import Canvas, Window
from utils.data.synthetic.noise import FloatImage, between, blob, emboss, noise
from utils.data.synthetic.outline import fill, outline

CLASS_ID = 3

Painter = Callable[[np.random.Generator, Canvas, float], bool]


def draw_style(rng: np.random.Generator, area: float, scale: float) -> Painter:
    """Choose a kind of scratch that can be as large as ``area`` pixels."""
    size = area / scale**2
    odds: dict[Painter, float]
    if size < 1200.0:
        odds = {add_flakes: 0.5, add_chips: 0.15, add_lines: 0.35}
    elif size < 15000.0:
        odds = {add_lines: 0.55, add_streaks: 0.16, add_flakes: 0.23, add_chips: 0.06}
    else:
        odds = {add_lines: 0.3, add_streaks: 0.2, add_flakes: 0.25, add_band: 0.25}
    return list(odds)[int(rng.choice(len(odds), p=list(odds.values())))]


def add_lines(rng: np.random.Generator, canvas: Canvas, area: float) -> bool:
    """Straight lines along the rolling direction, mostly through the whole image; a wide label holds a bundle.

    Args:
        rng: source of chance.
        canvas: the strip.
        area: wanted area of the label in pixels.

    Returns:
        False when there was no room (so for all kinds of scratch).
    """
    scale, rows = canvas.surface.scale, canvas.surface.bottom
    width = float(np.clip(math.exp(rng.normal(math.log(19.0), 0.3)), 10.0, 40.0)) * scale
    height = rows if area > 0.75 * width * rows else max(20.0 * scale, area / (0.92 * width))
    width = max(8.0 * scale, area / (0.92 * height))
    if width > 110.0 * scale:
        return add_streaks(rng, canvas, area)
    size = canvas.limit(height, width)
    window = canvas.place(rng, size, overhang=0.0 if height < rows else 0.02)
    height, width = size
    slant = float(np.clip(rng.normal(0.0, 0.012), -0.3 * width / height, 0.3 * width / height)) * height
    mask = np.zeros(size, np.uint8)
    inner = (width - abs(slant)) / 2
    middle = (width - 1) / 2
    corners = [
        (middle - slant / 2 - inner, 0),
        (middle - slant / 2 + inner, 0),
        (middle + slant / 2 + inner, height - 1),
        (middle + slant / 2 - inner, height - 1),
    ]
    fill(rng, mask, np.array(corners), jitter=1.0 * scale)
    if not canvas.label(window, mask, CLASS_ID):
        return False
    columns = np.arange(width, dtype=np.float32)[None, :]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(slant)
    gain: FloatImage = np.zeros(size, np.float32)
    count = 1 + int(rng.poisson(max(0.0, width / (13.0 * scale) - 1.2)))
    dark = rng.random() < 0.78
    room = max(0.0, inner - 4.0 * scale)
    # A short faint line would be noise to anybody.
    strongest = between(rng, 0.4, 0.75)
    for line in range(count):
        thickness = float(np.clip(math.exp(rng.normal(0.35, 0.4)), 0.8, 3.5)) * max(scale, 0.6)
        away = columns - (middle + down + np.float32(rng.uniform(-room, room)))
        breaks = np.clip(1.0 + 0.45 * noise(rng, (height, 1), (30.0 * scale, 1.0)), 0.3, 1.6)
        strength = min(0.9, max(strongest, 0.6 / thickness)) if line == 0 else strongest * between(rng, 0.25, 1.0)
        gain += np.float32(strength) * breaks * np.exp(-(np.abs(away / np.float32(thickness)) ** 2.5))
    if dark:
        gain = -np.minimum(gain, 0.7)
    else:
        specks = np.clip(noise(rng, size, (3.0 * scale, 2.5 * scale)) - 0.2, 0.0, 1.5)
        gain = gain * (0.5 + 2.0 * specks)
    canvas.paint(window, gain)
    return True


def add_streaks(rng: np.random.Generator, canvas: Canvas, area: float) -> bool:
    """Dense dark spindles side by side, drawn out along the rolling direction, sometimes crossed by short bars."""
    scale = canvas.surface.scale
    height = canvas.surface.bottom * between(rng, 0.7, 1.15) if area > 6000 * scale**2 else math.sqrt(area * 5.0)
    size, window, body, ok = _patch_window(rng, canvas, area, height, detail=5.0, roughness=0.2)
    if not ok:
        return False
    field = noise(rng, size, (70.0 * scale, 3.0 * scale)) + 0.8 * noise(rng, size, (height, 9.0 * scale))
    field += 0.5 * noise(rng, size, (9.0 * scale, 2.0 * scale))
    if rng.random() < 0.3:
        field += 0.9 * noise(rng, size, (4.0 * scale, 18.0 * scale))
    inside = np.clip(2.5 * body, 0.0, 1.0)
    field += inside
    dark = np.clip((field - _level(field, body, between(rng, 0.12, 0.3))) * 2.0, 0.0, 1.0)
    canvas.paint(window, -between(rng, 0.5, 0.8) * dark * np.clip(3.0 * body, 0.0, 1.0))
    return True


def add_flakes(rng: np.random.Generator, canvas: Canvas, area: float) -> bool:
    """A cluster of bright torn flakes, across or along the rolling direction."""
    scale = canvas.surface.scale
    ratio = math.exp(rng.normal(0.1, 0.5))
    size, window, body, ok = _patch_window(rng, canvas, area, math.sqrt(area * ratio / 0.6), detail=4.0, roughness=0.35)
    if not ok:
        return False
    shape = (2.2, 11.0) if rng.random() < 0.4 else (8.0, 2.8)
    field = noise(rng, size, (shape[0] * scale, shape[1] * scale)) + 0.6 * noise(
        rng, size, (14.0 * scale, 12.0 * scale)
    )
    inside = np.clip(3.0 * body, 0.0, 1.0)
    field += 1.1 * inside
    flakes = np.clip((field - _level(field, body, between(rng, 0.15, 0.35))) * 1.4, 0.0, 1.0)
    flakes *= np.clip(4.0 * body, 0.0, 1.0)
    shadow = np.roll(flakes, max(1, round(1.5 * scale)), axis=0)
    canvas.paint(window, between(rng, 1.0, 2.5) * flakes - 0.3 * np.clip(shadow - flakes, 0.0, 1.0) - 0.06 * inside)
    return True


def add_chips(rng: np.random.Generator, canvas: Canvas, area: float) -> bool:
    """A group of chipped scales: slanted bright rims, each with its shadow."""
    scale = canvas.surface.scale
    ratio = math.exp(rng.normal(0.6, 0.4))
    size, window, body, ok = _patch_window(rng, canvas, area, math.sqrt(area * ratio / 0.6), detail=3.0, roughness=0.35)
    if not ok:
        return False
    scales = noise(rng, size, (7.0 * scale, 9.0 * scale)) + 0.4 * noise(rng, size, (4.0 * scale, 4.0 * scale))
    inside = np.clip(3.0 * body, 0.0, 1.0)
    relief = np.clip((scales - 0.1) * 3.0, 0.0, 1.0) * inside
    gain = between(rng, 2.0, 4.0) * scale * emboss(relief, rng.normal(math.pi / 2, 0.5)) - 0.22 * inside * (
        1.0 - relief
    )
    canvas.paint(window, gain)
    return True


def add_band(rng: np.random.Generator, canvas: Canvas, area: float) -> bool:
    """Long strokes in a band that slants or bends across the strip."""
    scale = canvas.surface.scale
    span = canvas.surface.right - canvas.surface.left
    length = min(0.95 * span, math.sqrt(area * between(rng, 8.0, 22.0)))
    thickness = float(np.clip(area / (0.8 * length), 10.0 * scale, 0.55 * canvas.surface.bottom))
    rise = float(np.clip(rng.normal(0.0, 0.13) * length, -0.45 * length, 0.45 * length))
    bend = rng.normal(0.0, 0.1) * thickness + rng.normal(0.0, 0.02) * length
    size = canvas.limit(thickness + abs(rise) + 2 * abs(bend), length)
    window = canvas.place(rng, size, overhang=0.25)
    along = np.linspace(-1.0, 1.0, size[1], dtype=np.float32)
    middle = size[0] / 2 + rise / 2 * along + bend * (1.0 - along * along)
    half = (
        thickness
        / 2
        * np.clip(1.1 - 0.5 * np.abs(along) ** 3 + 0.25 * noise(rng, (1, size[1]), (1, length / 6))[0], 0.2, 1.5)
    )
    knots = np.linspace(0, size[1] - 1, max(3, int(length / (60.0 * scale)))).round().astype(int)
    upper = np.stack([knots, middle[knots] - half[knots]], axis=1)
    lower = np.stack([knots, middle[knots] + half[knots]], axis=1)[::-1]
    mask = np.zeros(size, np.uint8)
    fill(rng, mask, np.concatenate([upper, lower]), jitter=1.5 * scale)
    if not canvas.label(window, mask, CLASS_ID):
        return False
    # Strokes are drawn straight, then every column is moved to where the band runs.
    flat = noise(rng, size, (2.0 * scale, 45.0 * scale)) + 0.5 * noise(rng, size, (5.0 * scale, 14.0 * scale))
    rows = np.arange(size[0], dtype=np.float32)[:, None]
    away = (rows - middle[None, :]) / np.maximum(1.0, half[None, :])
    source = rows - middle[None, :].astype(np.float32) + np.float32(size[0] / 2)
    columns = np.broadcast_to(np.arange(size[1], dtype=np.float32)[None, :], size).copy()
    strokes = cv2.remap(flat, columns, source.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    inside = np.clip(1.6 * (0.9 - np.abs(away)), 0.0, 1.0).astype(np.float32)
    bright = np.clip((strokes + 0.8 * inside - 1.3) * 1.5, 0.0, 1.2) * inside
    dark = np.clip((-strokes + 0.5 * inside - 1.3) * 1.5, 0.0, 1.0) * inside
    canvas.paint(window, between(rng, 0.9, 2.0) * bright - 0.6 * dark - 0.05 * inside)
    return True


def _level(field: FloatImage, body: FloatImage, share: float) -> float:
    """Value that ``share`` of the field's pixels inside the body pass, so that even a small body shows something."""
    inside = field[body > 0.0]
    return float(np.quantile(inside, 1.0 - share)) if inside.size else 0.0


def _patch_window(
    rng: np.random.Generator, canvas: Canvas, area: float, height: float, detail: float, roughness: float
) -> tuple[tuple[int, int], Window, FloatImage, bool]:
    """Place and label an irregular patch of ``area`` pixels; give its size, window, body (see ``blob``) and success."""
    scale = canvas.surface.scale
    size = canvas.limit(height, area / (0.63 * height))
    size = canvas.limit(area / (0.63 * size[1]), size[1])
    window = canvas.place(rng, size, overhang=0.12)
    margin = min(2.0 * scale + 0.5, 0.15 * min(size))
    body = blob(rng, size, roughness) - np.float32(margin / (0.5 * min(size)))
    mask = outline(rng, (body > 0.0).astype(np.uint8), margin, detail * scale)
    return size, window, np.where(mask > 0, body, np.float32(-1.0)), canvas.label(window, mask, CLASS_ID)
