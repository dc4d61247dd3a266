"""What is kept of an inspected frame: its defects as events tell them, a small picture, and how it looks."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from utils.inference.inspected import Inspected
from utils.inspection.about import About
from utils.line.event import LineDefect

MOST_DEFECTS = 200  # of one event; the largest
SMALL = 480  # pixels of the longer side of the page's pictures


@dataclass(frozen=True, eq=False)
class Look:
    """A frame after the network has seen it.

    Attributes:
        defects: the largest first.
        size: height and width in pixels.
        stages: milliseconds.
        small: JPEG for the page.
        picture: JPEG of all of it, where it may be wanted; None: it has no defect, or nobody keeps pictures.
        properties: how it looks, see ``utils.line.drift``; None: nobody asks.
    """

    defects: tuple[LineDefect, ...]
    size: tuple[int, int]
    stages: dict[str, float]
    small: bytes = b""
    picture: bytes | None = field(default=None, repr=False)
    properties: np.ndarray | None = field(default=None, repr=False)


def defects_of(inspected: Inspected, about: About) -> tuple[LineDefect, ...]:
    """Return the defects of a frame, the largest first; of a classifier the labels that it gives the whole frame."""
    height, width = inspected.image.shape[:2]
    if not about.class_names:
        if inspected.labels is None:
            return ()
        labels = zip(about.label_names, about.label_thresholds, inspected.labels.tolist(), strict=True)
        box = (0, 0, width, height)
        return tuple(LineDefect(name, height * width, box, min(1.0, p)) for name, least, p in labels if p >= least)
    rows = sorted(inspected.defects.tolist(), key=lambda row: -row[1])[:MOST_DEFECTS]
    return tuple(
        LineDefect(about.class_names[number - 1], area, (x, y, w, h), min(1.0, max(0.0, p)))
        for number, area, x, y, w, h, p in rows
    )


def small_picture(image: np.ndarray, defects: tuple[LineDefect, ...]) -> bytes:
    """Draw a frame small, with the boxes of its defects, as JPEG; b"" where that fails.

    Args:
        image: ``(H, W, channels)`` uint8.
        defects: of it.
    """
    height, width = image.shape[:2]
    scale = min(1.0, SMALL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    shown = cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR) if shown.ndim == 2 else shown[..., ::-1].copy()
    for defect in defects[:20]:
        x, y, w, h = (round(side * scale) for side in defect.box)
        cv2.rectangle(shown, (x, y), (x + max(w, 2), y + max(h, 2)), (40, 40, 230), 1)
    return encoded(shown, 70)


def encoded(bgr: np.ndarray, quality: int) -> bytes:
    """Return a picture as JPEG; b"" where that fails, as for a side of more than 65,500 pixels."""
    try:
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error:
        return b""
    return data.tobytes() if done else b""
