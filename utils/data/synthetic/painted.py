"""Synthetic defects on real images, to say what a network would find where nobody has labelled a defect yet."""

import numpy as np

from utils.data.synthetic.canvas import Canvas
from utils.data.synthetic.strip import add_class
from utils.data.synthetic.surface import Surface

GREY = np.float32(100.0)  # that gains are painted on, to be read off again
SIDE = 256  # of the strips that the defects are drawn after, pixels
LEAST_CHANGE = 0.02  # of the grey value, below which a pixel is as it was


def paint_defects(
    rng: np.random.Generator, image: np.ndarray, class_id: int, contrast: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Paint the synthetic defects of one class on an image of clean steel, see ``make_strip``.

    A painted defect multiplies the grey values, so that the steel's own texture stays.

    Args:
        rng: source of chance.
        image: ``(H, W, channels)`` uint8; it is not changed.
        class_id: 1..4 of ``CLASS_NAMES``.
        contrast: strength of the defects; 1 is as real ones look.

    Returns:
        The image with the defects, and ``(H, W)`` bool where they are; nowhere, if none had room.
    """
    size = image.shape[:2]
    grey = np.full(size, GREY, np.float32)
    scale = min(size) / SIDE
    surface = Surface(grey, np.ones(size, np.float32), 0, size[1], size[0], scale, "")
    canvas = Canvas(surface)
    canvas.contrast = np.float32(contrast)
    add_class(rng, canvas, class_id)
    gain = surface.image / GREY
    painted = np.clip(image * gain[..., None] + np.float32(0.5), 0, 255).astype(np.uint8)
    mask = (canvas.labels == class_id) & (np.abs(gain - 1) > LEAST_CHANGE).any()
    return painted, mask
