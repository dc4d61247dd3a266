"""The sound strip: rolling texture, uneven light, oxide stains, and the dark beyond the strip's edge."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from utils.data.synthetic.noise import FloatImage, between, noise

# Grey value that the camera sees beyond the strip's edge.
DARK = 2.0


@dataclass
class Surface:
    """A strip that defects are painted on.

    Attributes:
        image: (H, W) float32 grey values, 0..255.
        steel: (H, W) float32, 1 on the strip, 0 beyond its edge.
        left, right, bottom: the strip spans columns [left, right) and rows [0, bottom) in pixels.
        scale: height / 256; lengths drawn for the real size are multiplied by it.
        edge: side of the strip's visible edge: "left", "right" or "" when the strip fills the image.
    """

    image: FloatImage
    steel: FloatImage
    left: int
    right: int
    bottom: int
    scale: float
    edge: str


def make_surface(rng: np.random.Generator, size: tuple[int, int], edge_chance: float, widest_dark: float) -> Surface:
    """Make a sound strip.

    Args:
        rng: source of chance.
        size: (height, width) in pixels.
        edge_chance: probability that the strip's edge, and the dark beyond, is in the picture.
        widest_dark: largest share of the width that the dark may take, 0..1.

    Returns:
        The strip.
    """
    height, width = size
    scale = height / 256.0
    level = float(np.clip(88.0 * math.exp(0.2 * rng.standard_normal()), 45.0, 160.0))
    image = _rolling_texture(rng, size, scale)
    if rng.random() < 0.35:
        image += _ripple(rng, size, scale)
    if rng.random() < 0.4:
        image += _oxide(rng, size, scale)
    if rng.random() < 0.12:
        image += _glitter(rng, size, scale)
    image = level * _light(rng, size) * np.exp(image)
    surface = Surface(image, np.ones(size, np.float32), 0, width, height, scale, "")
    if rng.random() < edge_chance:
        _add_edge(rng, surface, widest_dark)
    elif rng.random() < 0.02:
        _add_bottom_edge(rng, surface)
    return surface


def _rolling_texture(rng: np.random.Generator, size: tuple[int, int], scale: float) -> FloatImage:
    """Bands and streaks along the rolling direction (down the image), and grain, as log reflectance."""
    height, _ = size
    strength = between(rng, 0.4, 1.2)
    total = np.zeros(size, np.float32)
    for cell, weight in ((170.0, 0.06), (50.0, 0.04), (14.0, 0.018), (4.0, 0.008)):
        total += np.float32(strength * weight) * noise(rng, size, (height * between(rng, 1.2, 4.0), cell * scale))
    bands = noise(rng, (1, size[1]), (1.0, between(rng, 15.0, 60.0) * scale))
    total += np.float32(strength * between(rng, 0.0, 0.05)) * np.tanh(4.0 * bands)
    where = np.clip(0.5 + noise(rng, size, (height, 120.0 * scale)), 0.0, 2.5)
    streaks = noise(rng, size, (between(rng, 12.0, 40.0) * scale, 2.2 * scale)) * where
    total += np.float32(strength * 0.022) * streaks
    grain = noise(rng, size, (1.0, 1.0))
    sharpness = between(rng, 0.35, 0.6)
    grain = cv2.GaussianBlur(grain, (3, 3), sharpness)
    total += np.float32(between(rng, 0.05, 0.11)) * grain
    # Mottling at a few pixels: the rolled surface is never just grain.
    total += np.float32(between(rng, 0.015, 0.05)) * noise(rng, size, (3.0 * scale, 2.5 * scale))
    return total


def _light(rng: np.random.Generator, size: tuple[int, int]) -> FloatImage:
    """Uneven light: slow changes across, a slope down, sometimes a bright spot, as a factor around 1."""
    height, width = size
    across = cv2.resize(rng.normal(0.0, 0.16, (1, 6)).astype(np.float32), (width, 1), interpolation=cv2.INTER_CUBIC)
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(rng.normal(0.15, 0.22))
    light = np.exp(across + down)
    if rng.random() < 0.3:
        x = (np.arange(width, dtype=np.float32) - np.float32(rng.uniform(0, width))) / np.float32(
            height * between(rng, 0.5, 1.6)
        )
        y = (np.arange(height, dtype=np.float32) - np.float32(rng.uniform(0.2, 1.3) * height)) / np.float32(
            height * between(rng, 0.5, 1.2)
        )
        spot = np.exp(-0.5 * y * y)[:, None] * np.exp(-0.5 * x * x)[None, :]
        light *= 1.0 + np.float32(between(rng, 0.2, 0.8)) * spot
    return light


def _ripple(rng: np.random.Generator, size: tuple[int, int], scale: float) -> FloatImage:
    """Fine waves across the strip, strongest in some places, as log reflectance."""
    height, width = size
    lines = noise(rng, (height * 2, width), (between(rng, 1.6, 3.2) * scale, 60.0 * scale))
    slope, sag = rng.normal(0.0, 0.03), rng.normal(0.0, 14.0) * scale
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    source = y + height / 2 + slope * (x - width / 2) + sag * np.sin(x * (between(rng, 1.0, 4.0) * math.pi / width))
    waves = cv2.remap(
        lines, np.broadcast_to(x, size).copy(), source.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    where = np.clip(0.7 + 0.7 * noise(rng, size, (height, 300.0 * scale)), 0.0, 1.5)
    return np.float32(between(rng, 0.02, 0.06)) * waves * where


def _oxide(rng: np.random.Generator, size: tuple[int, int], scale: float) -> FloatImage:
    """Stains with sharp rims, drawn out along the rolling direction, in some bands, as log reflectance."""
    height, _ = size
    grain = noise(rng, size, (between(rng, 20.0, 60.0) * scale, between(rng, 5.0, 12.0) * scale))
    grain += 0.5 * noise(rng, size, (10.0 * scale, 3.5 * scale))
    bands = noise(rng, size, (2.0 * height, between(rng, 60.0, 250.0) * scale))
    stain = np.clip((grain + 1.3 * bands - between(rng, 1.3, 2.4)) * 3.0, 0.0, 1.0)
    sign = -1.0 if rng.random() < 0.75 else 0.8
    return np.float32(sign * between(rng, 0.08, 0.22)) * stain


def _glitter(rng: np.random.Generator, size: tuple[int, int], scale: float) -> FloatImage:
    """Fine bright dashes across the strip where the rolled surface is coarse, as log reflectance."""
    height, _ = size
    dashes = np.clip(noise(rng, size, (1.3 * scale, 4.5 * scale)) - 0.9, 0.0, 1.5)
    where = np.clip(0.3 + 0.8 * noise(rng, size, (height, 160.0 * scale)), 0.0, 1.2)
    return np.float32(between(rng, 0.12, 0.35)) * dashes * where


def _add_edge(rng: np.random.Generator, surface: Surface, widest_dark: float) -> None:
    """Cut the strip along its left or right edge and darken what lies beyond."""
    height, width = surface.image.shape
    dark = (0.03 + (widest_dark - 0.03) * rng.beta(1.0, 1.5)) * width
    line = (
        dark + rng.normal(0.0, 0.015) * (np.arange(height) - height / 2) + 0.35 * noise(rng, (height, 1), (60, 1))[:, 0]
    )
    # Columns counted from the dark side; flipped below when the edge is on the right.
    inward = np.arange(width, dtype=np.float32)[None, :] - line.astype(np.float32)[:, None]
    surface.steel = np.clip(inward + 0.5, 0.0, 1.0)
    rim = between(rng, 12.0, 60.0) * surface.scale
    ragged = np.float32(0.15 * rim) * noise(rng, surface.image.shape, (140.0 * surface.scale, 60.0 * surface.scale))
    # The rim fades into the strip, or ends in a line.
    softness = rim if rng.random() < 0.7 else 5.0 * surface.scale
    band = np.clip((rim + ragged - inward) / np.float32(softness), 0.0, 1.0)
    if rng.random() < 0.35:
        gain = band * np.float32(between(rng, 0.2, 0.7))
    else:
        gain = band * np.float32(-between(rng, 0.1, 0.45))
    lip = np.clip(1.0 - inward / np.float32(between(rng, 3.0, 12.0) * surface.scale), 0.0, 1.0)
    gain = gain - np.float32(between(rng, 0.0, 0.8)) * lip
    first = int(np.clip(line.max(), 0, width - 1))
    if rng.random() < 0.5:
        surface.left, surface.edge = first, "left"
    else:
        surface.steel, gain = surface.steel[:, ::-1], gain[:, ::-1]
        surface.right, surface.edge = width - first, "right"
    _darken(rng, surface, np.exp(gain))


def _add_bottom_edge(rng: np.random.Generator, surface: Surface) -> None:
    """End the strip before the image does: dark at the bottom with a bright rim above."""
    height, _ = surface.image.shape
    surface.bottom = int(height * between(rng, 0.65, 0.9))
    inward = surface.bottom - np.arange(height, dtype=np.float32)[:, None]
    surface.steel = np.broadcast_to(np.clip(inward + 0.5, 0.0, 1.0), surface.image.shape).astype(np.float32)
    rim = np.clip(1.5 - inward / np.float32(between(rng, 8.0, 24.0) * surface.scale), 0.0, 1.0)
    _darken(rng, surface, 1.0 + np.float32(between(rng, 0.3, 1.0)) * rim)


def _darken(rng: np.random.Generator, surface: Surface, gain: FloatImage) -> None:
    """Apply ``gain`` to the strip and put the dark beyond it."""
    surface.steel = np.ascontiguousarray(surface.steel)
    beyond = DARK + between(rng, 0.0, 3.0)
    surface.image = surface.image * gain * surface.steel + np.float32(beyond) * (1.0 - surface.steel)
