"""Harmless things that a strip shows and nobody labels: water, paint marks, dirt, tread plate."""

import math

import numpy as np

from utils.data.synthetic.canvas import Canvas, Window
from utils.data.synthetic.noise import between, blob, emboss, noise


def add_distractors(rng: np.random.Generator, canvas: Canvas, often: float) -> None:
    """Paint a few harmless things that keep off the labels; ``often`` is 0..1, where 1 is a real clean strip."""
    if rng.random() < often:
        _add_dust(rng, canvas)
    if rng.random() < 0.28 * often:
        _add_drops(rng, canvas)
    if rng.random() < 0.12 * often:
        _add_stains(rng, canvas)
    if rng.random() < 0.12 * often:
        _add_water_front(rng, canvas)
    if rng.random() < 0.09 * often:
        _add_paint_mark(rng, canvas)


def add_tread(rng: np.random.Generator, canvas: Canvas) -> None:
    """Press the regular pattern of tread plate into the whole strip: lenses or a lattice, all of it harmless."""
    size = canvas.labels.shape
    scale = canvas.surface.scale
    y = np.arange(size[0], dtype=np.float32)[:, None] / np.float32(scale) + np.float32(rng.uniform(0, 140))
    x = np.arange(size[1], dtype=np.float32)[None, :] / np.float32(scale) + np.float32(rng.uniform(0, 140))
    relief = np.zeros(size, np.float32)
    if rng.random() < 0.5:
        for row, turn in ((0.0, 0.75), (70.0, -0.75)):
            across = (x + row + 70.0) % 140.0 - 70.0
            down = (y + row + 70.0) % 140.0 - 70.0
            along = across * math.cos(turn) - down * math.sin(turn)
            aside = across * math.sin(turn) + down * math.cos(turn)
            relief += np.clip(1.5 - np.abs(aside) / 7.5 - (along / 40.0) ** 2 * 1.5, 0.0, 1.0)
    else:
        for turn in (0.42, -0.42):
            aside = (x * math.cos(turn) - y * math.sin(turn)) % (100.0 * math.cos(turn))
            middle = 50.0 * math.cos(turn)
            relief = np.maximum(relief, np.clip(1.8 - np.abs(aside - middle) / 6.0, 0.0, 1.0))
    slope = emboss(relief, between(rng, 0.1, 0.4))
    worn = 1.0 + 0.3 * noise(rng, size, (12.0 * scale, 12.0 * scale))
    gain = relief * 0.3 * worn - between(rng, 5.0, 8.0) * slope * scale
    canvas.paint(Window(0, 0, *size), np.clip(gain, -0.8, 1.2))


def _free(canvas: Canvas, window: Window) -> bool:
    """Whether no label lies under the window."""
    top, left = max(0, window.top), max(0, window.left)
    return not canvas.labels[top : window.top + window.height, left : window.left + window.width].any()


def _add_dust(rng: np.random.Generator, canvas: Canvas) -> None:
    """Single specks, bright or dark."""
    scale = canvas.surface.scale
    width = canvas.surface.right - canvas.surface.left
    for _ in range(int(rng.poisson(10.0 * width / (1600.0 * scale)))):
        side = max(3, round(between(rng, 3.0, 7.0) * scale))
        window = canvas.place(rng, canvas.limit(side, side))
        if _free(canvas, window):
            sign = -between(rng, 0.15, 0.5) if rng.random() < 0.6 else between(rng, 0.2, 0.9)
            canvas.paint(window, sign * np.clip(2.0 * blob(rng, window.shape, 0.3), 0.0, 1.0))


def _add_drops(rng: np.random.Generator, canvas: Canvas) -> None:
    """Water or oil drops drawn out into dark spindles; they look like short cracks but are wider and even."""
    scale = canvas.surface.scale
    strength = between(rng, 0.2, 0.55)
    for _ in range(int(rng.integers(2, 9))):
        height = between(rng, 18.0, 60.0) * scale
        window = canvas.place(rng, canvas.limit(height, max(5.0, between(rng, 4.0, 10.0) * scale)), overhang=0.3)
        if _free(canvas, window):
            canvas.paint(window, -strength * np.clip(2.5 * blob(rng, window.shape, 0.08), 0.0, 1.0))


def _add_stains(rng: np.random.Generator, canvas: Canvas) -> None:
    """Soft blots without relief; they look like patches but have no rim."""
    scale = canvas.surface.scale
    for _ in range(int(rng.integers(1, 4))):
        size = canvas.limit(between(rng, 30.0, 130.0) * scale, between(rng, 30.0, 140.0) * scale)
        window = canvas.place(rng, size, overhang=0.3)
        if _free(canvas, window):
            soft = np.clip(1.2 * blob(rng, size, 0.5), 0.0, 1.0)
            mottled = np.clip(0.7 + 0.6 * noise(rng, size, (9.0 * scale, 7.0 * scale)), 0.0, 1.5)
            canvas.paint(window, -between(rng, 0.1, 0.35) * soft * mottled)


def _add_water_front(rng: np.random.Generator, canvas: Canvas) -> None:
    """A curved rim where the strip turns from wet to dry: one side is a little darker."""
    height, width = canvas.labels.shape
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    middle = rng.uniform(0.1, 0.9) * width + height * (rng.normal(0.0, 0.3) * y + rng.normal(0.0, 0.3) * y * y)
    away = np.arange(width, dtype=np.float32)[None, :] - middle.astype(np.float32)
    wet = np.clip(away / 2.0 + 0.5, 0.0, 1.0) * np.clip(
        1.0 - away / np.float32(height * between(rng, 1.0, 4.0)), 0.0, 1.0
    )
    canvas.paint(Window(0, 0, height, width), np.float32(-rng.choice([-0.7, 1.0]) * between(rng, 0.08, 0.25)) * wet)


def _add_paint_mark(rng: np.random.Generator, canvas: Canvas) -> None:
    """White paint marks with splashes, as sprayed on coils: far brighter and smoother than any defect."""
    scale = canvas.surface.scale
    centre = rng.uniform(canvas.surface.left, canvas.surface.right)
    for _ in range(int(rng.integers(4, 13))):
        size = canvas.limit(between(rng, 14.0, 70.0) * scale, between(rng, 9.0, 22.0) * scale)
        window = canvas.place(rng, size, centre, 70.0 * scale, overhang=0.2)
        if _free(canvas, window):
            body = blob(rng, size, 0.4)
            paint = np.clip(4.0 * body, 0.0, 1.0)
            if rng.random() < 0.5:
                paint *= np.clip(1.2 - 3.0 * np.clip(body - 0.3, 0.0, 1.0), 0.25, 1.0)
            canvas.paint(window, 4.0 * paint)
