"""Soft masks: how probable each class is in each pixel, as small pictures on disk and as targets of a training.

A level of 0..254 stands for a probability of 0..1; 255 is left for pixels that do not count (``dataset.NOT_COUNTED``).
"""

from pathlib import Path

import cv2
import numpy as np

from utils.errors import InputError
from utils.files import replacing

CERTAIN = 254  # level of probability 1


def to_levels(probabilities: np.ndarray) -> np.ndarray:
    """Return the nearest level, uint8 0..254, of each probability 0..1."""
    return np.rint(np.asarray(probabilities) * CERTAIN).astype(np.uint8)


def write_soft_mask(path: Path, levels: np.ndarray) -> None:
    """Write a soft mask as a grey PNG, the classes one below the other.

    Args:
        path: of the picture; its folder is made.
        levels: (C, H, W) uint8 0..254.
    """
    classes, height, width = levels.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", levels.reshape(classes * height, width))
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


def read_soft_mask(path: Path, height: int, width: int) -> np.ndarray:
    """Read what ``write_soft_mask`` wrote.

    Args:
        path: of the picture.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        (C, H, W) uint8 0..254.

    Raises:
        InputError: no such file, or one of another image.
    """
    try:
        found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error):
        found = None
    if found is None or found.shape[1] != width or not found.shape[0] or found.shape[0] % height:
        raise InputError(f"{path}: missing or damaged; remove it and start the command again")
    return np.asarray(found, dtype=np.uint8).reshape(-1, height, width)
