"""One strip with its labels."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from utils.data.synthetic import cracks, distractors, patches, pits, scratches
from utils.data.synthetic.canvas import Canvas
from utils.data.synthetic.noise import Mask
from utils.data.synthetic.statistics import CENTRE_HISTOGRAM, draw_areas
from utils.data.synthetic.surface import Surface, make_surface

# Share of clean strips that are tread plate; 5 of 30 clean real images looked at are.
TREAD_SHARE = 0.1

# Times that a class without room on the strip is tried again, each time smaller.
RETRIES = 8


@dataclass(frozen=True)
class Strip:
    """A synthetic photograph and what it shows.

    Attributes:
        image: (H, W) uint8 grey values.
        labels: (H, W) uint8, 0 or the class id 1..4; classes do not overlap.
    """

    image: NDArray[np.uint8]
    labels: Mask


def make_strip(
    rng: np.random.Generator,
    size: tuple[int, int],
    classes: tuple[int, ...],
    contrast: float = 1.0,
    distractors_share: float = 1.0,
) -> Strip:
    """Make one strip.

    Args:
        rng: source of chance; the same state gives the same strip.
        size: (height, width) in pixels.
        classes: sorted ids of the classes that it must show; empty for a clean strip.
        contrast: strength of the defects; 1 is as real ones look, above 1 they are easier to see.
        distractors_share: how often harmless marks occur, 0..1; 1 is as on real strips.

    Returns:
        The strip.
    """
    near_edge = 1 in classes or 2 in classes
    # Pits and cracks come with the edge in the picture; large defects need a strip wide enough to hold them.
    surface = make_surface(rng, size, edge_chance=0.6 if near_edge else 0.4, widest_dark=0.6 if classes else 0.92)
    canvas = Canvas(surface)
    if not classes and rng.random() < TREAD_SHARE * distractors_share:
        distractors.add_tread(rng, canvas)
    canvas.contrast = np.float32(contrast)
    for class_id in sorted(classes, reverse=True):
        add_class(rng, canvas, class_id)
    canvas.contrast = np.float32(1.0)
    distractors.add_distractors(rng, canvas, often=distractors_share * (0.5 if classes else 1.0))
    # The sensor's own noise covers strip, defects and the dark alike.
    noisy = surface.image + rng.standard_normal(size, dtype=np.float32) * np.float32(1.3)
    return Strip(np.clip(noisy + 0.5, 0.0, 255.0).astype(np.uint8), canvas.labels)


def add_class(rng: np.random.Generator, canvas: Canvas, class_id: int) -> None:
    """Add all defects of one class, largest first; at least one, however small the free steel is."""
    scale = canvas.surface.scale
    areas = draw_areas(rng, class_id, scale)
    paint = _painter(rng, canvas, class_id, areas[0])
    painted = 0
    for area in areas:
        painted += paint(rng, canvas, area)
    area = areas[0]
    for _ in range(RETRIES):
        if painted:
            break
        area *= 0.6
        painted += paint(rng, canvas, area)


def _painter(rng: np.random.Generator, canvas: Canvas, class_id: int, area: float) -> scratches.Painter:
    """Choose what all defects of one class have in common on this strip: their lane, or the kind of scratch."""
    surface = canvas.surface
    if class_id == pits.CLASS_ID:
        return partial(pits.add_pit, centre=_lane(rng, surface, class_id))
    if class_id == cracks.CLASS_ID:
        return partial(cracks.add_crack, centre=_lane(rng, surface, class_id))
    if class_id == patches.CLASS_ID:
        return patches.add_patch
    main = scratches.draw_style(rng, area, surface.scale)

    def add_scratch(rng: np.random.Generator, canvas: Canvas, area: float) -> bool:
        # Scratches of one strip are mostly of one kind.
        style = main if rng.random() < 0.65 else scratches.draw_style(rng, area, surface.scale)
        return style(rng, canvas, area)

    return add_scratch


def _lane(rng: np.random.Generator, surface: Surface, class_id: int) -> float:
    """Column around which a strip's pits or cracks lie: near the visible edge, else where the real ones do."""
    width = surface.image.shape[1]
    away = (28.0 + rng.exponential(75.0)) * surface.scale
    if surface.edge == "left":
        return surface.left + away
    if surface.edge == "right":
        return surface.right - away
    shares = np.array(CENTRE_HISTOGRAM[class_id])
    return (rng.choice(len(shares), p=shares / shares.sum()) + rng.random()) / len(shares) * width
