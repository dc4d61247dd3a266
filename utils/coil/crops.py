"""Pictures of the gravest defects: a crop around each and the whole image, small, as JPEG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import pandas as pd

from utils.coil.tables import texts

CROP_SIDE, THUMB_SIDE = 240, 320  # pixels of the longer side
LARGEST_PART = 960  # pixels of an image that a crop shows; of a longer defect it shows the middle
MARGIN, SMALLEST_MARGIN = 0.3, 24  # around the defect: share of its longer side, pixels
CROP_QUALITY, THUMB_QUALITY = 80, 70  # of JPEG, 0..100


@dataclass(frozen=True)
class Crop:
    """A defect in its surroundings.

    Attributes:
        jpeg: bytes of the file.
        box: x, y, width and height of the defect in shares of the crop.
        whole: the crop shows all of the defect, else its middle.
    """

    jpeg: bytes
    box: tuple[float, float, float, float]
    whole: bool = True


@dataclass(frozen=True)
class Thumb:
    """An image, small.

    Attributes:
        jpeg: bytes of the file.
        width, height: of the image itself, in pixels.
    """

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Pictures:
    """Pictures for the page.

    Attributes:
        crops: by the number of the defect, gravest first.
        thumbs: by the name of the image, the whole of it.
    """

    crops: Mapping[int, Crop] = field(default_factory=dict)
    thumbs: Mapping[str, Thumb] = field(default_factory=dict)


def take_pictures(
    defects: pd.DataFrame, order: Sequence[int] | np.ndarray, read: Callable[[str], np.ndarray | None], most: int = 300
) -> Pictures:
    """Cut out the gravest defects; each image is read once.

    Args:
        defects: ``DEFECT_COLUMNS``.
        order: rows of it, gravest first, as ``gravest_first`` gives them.
        read: gives an image by its name, ``(H, W)`` or ``(H, W, C)`` uint8, RGB where C is 3; None: it cannot be read.
        most: defects to cut out.
    """
    chosen = defects.iloc[np.asarray(order[:most], np.int64)]
    crops: dict[int, Crop] = {}
    thumbs: dict[str, Thumb] = {}
    for name, rows in chosen.groupby(texts(chosen["image"]), sort=False):
        image = read(str(name))
        if image is None:
            continue
        small = _jpeg(shrunk(image, THUMB_SIDE), THUMB_QUALITY)
        thumbs[str(name)] = Thumb(small, image.shape[1], image.shape[0])
        for number, x, y, width, height in zip(
            rows["defect"], rows["x"], rows["y"], rows["width"], rows["height"], strict=True
        ):
            crops[int(number)] = crop_around(image, (float(x), float(y), float(width), float(height)))
    return Pictures({number: crops[number] for number in map(int, chosen["defect"]) if number in crops}, thumbs)


def crop_around(image: np.ndarray, box: tuple[float, float, float, float]) -> Crop:
    """Cut out a box with a margin around it.

    Args:
        image: ``(H, W)`` or ``(H, W, C)`` uint8.
        box: x, y, width and height in pixels; it may reach beyond the image.
    """
    margin = max(SMALLEST_MARGIN, MARGIN * max(box[2:]))
    left, right, whole_x = _part(box[0], box[2], margin, image.shape[1])
    top, bottom, whole_y = _part(box[1], box[3], margin, image.shape[0])
    part = image[top:bottom, left:right]
    width, height = right - left, bottom - top
    x0, x1 = np.clip([box[0] - left, box[0] + box[2] - left], 0, width) / width
    y0, y1 = np.clip([box[1] - top, box[1] + box[3] - top], 0, height) / height
    shares = tuple(round(float(share), 4) for share in (x0, y0, x1 - x0, y1 - y0))
    return Crop(_jpeg(shrunk(part, CROP_SIDE), CROP_QUALITY), shares, whole_x and whole_y)  # type: ignore[arg-type]


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image whose longer side has at most so many pixels."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)


def _part(begin: float, length: float, margin: float, end: int) -> tuple[int, int, bool]:
    """Return begin and end of what a crop shows of one axis, and whether it shows all of the defect."""
    middle, half = begin + length / 2, min(length / 2 + margin, LARGEST_PART / 2)
    low = int(np.clip(np.floor(middle - half), 0, end - 1))
    high = int(np.clip(np.ceil(middle + half), low + 1, end))
    return low, high, low <= max(begin, 0) and high >= min(begin + length, end)


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    coloured = image.ndim == 3 and image.shape[2] == 3
    stored = (
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if coloured else np.ascontiguousarray(image.reshape(image.shape[:2]))
    )
    return cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1].tobytes()
