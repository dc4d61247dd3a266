"""Soft masks: how probable each class is in each pixel, as small pictures on disk and as targets of a training.

A level of 0..254 stands for a probability of 0..1; 255 is left for pixels that do not count (``dataset.NOT_COUNTED``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class SoftTargets:
    """What a network learns of images that a teacher has answered about.

    Attributes:
        files: image name -> its soft mask on disk, at the image's own size.
        unlabelled: names of the images that have the teacher's answer alone.
        weight: share of the teacher's answer in what is learnt of the others, 0..1.
    """

    files: Mapping[str, Path]
    unlabelled: frozenset[str]
    weight: float

    def read(self, name: str, height: int, width: int) -> np.ndarray:
        """Return the teacher's answer about an image of this size: (H, W, C) uint8 0..254, see ``read_soft_mask``."""
        return np.ascontiguousarray(read_soft_mask(self.files[name], height, width).transpose(1, 2, 0))

    def mixed(self, name: str, masks: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """Return what is learnt of an image, or of a part of it.

        Args:
            name: of the image.
            masks: (H, W, C) uint8 of 0 and 1, its labels.
            answer: (H, W, C) uint8 0..254, the teacher's.

        Returns:
            (H, W, C) uint8 0..254.
        """
        if name in self.unlabelled or self.weight == 1:
            return answer
        return np.rint((1 - self.weight) * CERTAIN * masks + self.weight * answer).astype(np.uint8)
