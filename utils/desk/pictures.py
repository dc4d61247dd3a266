"""Pictures for a browser: the whole image, tiles of it at every level of zoom, a small one with the defects' outlines.

Decoded images lie in a cache of limited size; all else is made from the files when it is asked for.
"""

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from utils.reporting.overlays import class_colour

MOST_SIDE = 4096  # pixels of a side that a browser gets in one picture
TILE = 512  # pixels of a side
THUMB_WIDTH, THUMB_HEIGHT = 320, 120  # pixels
QUALITY, THUMB_QUALITY = 92, 80  # of the JPEGs, 0..100
MOST_DECODED = 256 * 2**20  # bytes of decoded images that stay in memory
DZI = (
    '<?xml version="1.0" encoding="UTF-8"?><Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpg"'
    ' Overlap="0" TileSize="{tile}"><Size Height="{height}" Width="{width}"/></Image>'
)


class DecodedImages:
    """Decoded images by their hash, as many as fit; those not used for longest go first.

    Args:
        room: bytes.
    """

    def __init__(self, room: int = MOST_DECODED) -> None:
        self.room = room
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        # Several tiles of one image are asked for at once: it is decoded once, and few at a time.
        self._making = threading.BoundedSemaphore(2)

    def get(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return an image, ``(H, W, channels)`` uint8, and decode it if need be."""
        if (found := self._find(name)) is not None:
            return found
        with self._making:
            if (found := self._find(name)) is not None:
                return found
            image = make()
            with self._lock:
                if name in self._kept:  # somebody else has decoded it meanwhile
                    return self._kept[name]
                self._kept[name] = image
                self._bytes += image.nbytes
                while self._bytes > self.room and len(self._kept) > 1:
                    self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return image

    def _find(self, name: str) -> np.ndarray | None:
        with self._lock:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
            return found


def picture(image: np.ndarray) -> bytes:
    """Encode an image, ``(H, W, channels)`` uint8, as a JPEG with sides of at most ``MOST_SIDE``."""
    return _jpeg(_reduced(image, min(MOST_SIDE / max(image.shape[:2]), 1.0)), QUALITY)


def deep_zoom(height: int, width: int) -> str:
    """Return the description of an image's tiles.

    Source: the Deep Zoom file format, https://learn.microsoft.com/en-us/previous-versions/windows/silverlight/
    """
    return DZI.format(tile=TILE, height=height, width=width)


def tile(image: np.ndarray, level: int, column: int, row: int) -> bytes | None:
    """Encode a tile of an image.

    Args:
        image: ``(H, W, channels)`` uint8.
        level: of zoom; 0 is one pixel, each has twice as many a side as the one before, the last is the image itself.
        column: of the tile, from 0.
        row: likewise.

    Returns:
        A JPEG; None where there is no such tile.
    """
    height, width = image.shape[:2]
    last = math.ceil(math.log2(max(height, width))) if max(height, width) > 1 else 0
    if not 0 <= level <= last:
        return None
    step = 2 ** (last - level)
    x, y = column * TILE * step, row * TILE * step
    if column < 0 or row < 0 or x >= width or y >= height:
        return None
    part = image[y : y + TILE * step, x : x + TILE * step]
    if step > 1:
        size = (max(-(-part.shape[1] // step), 1), max(-(-part.shape[0] // step), 1))
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    return _jpeg(part.reshape(*part.shape[:2], -1), QUALITY)


def thumbnail(image: np.ndarray, masks: np.ndarray) -> bytes:
    """Encode an image as a small JPEG with the outlines of its defects.

    Args:
        image: ``(H, W, channels)`` uint8.
        masks: ``(C, H, W)`` bool; none where nothing is known yet.
    """
    height, width = image.shape[:2]
    scale = min(THUMB_WIDTH / width, THUMB_HEIGHT / height, 1.0)
    small = _reduced(image, scale)
    small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB) if small.shape[2] == 1 else small.copy()
    for index, mask in enumerate(masks):
        if not mask.any():
            continue
        plane = np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255)
        # A defect of one pixel is seen, too.
        seen = cv2.resize(plane, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA) > 0
        grown = cv2.dilate(seen.astype(np.uint8), np.ones((3, 3), np.uint8))
        small[(grown - seen).astype(np.bool_)] = class_colour(index)
    return _jpeg(small, THUMB_QUALITY)


def css_colour(index: int) -> str:
    """Return the colour of class ``index + 1`` as style sheets write it."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(index))


def outline(shape: np.ndarray, x: int, y: int) -> list[list[list[int]]]:
    """Return the rings around a defect, corners of pixels in the image; inside by the even-odd rule.

    Args:
        shape: ``(h, w)`` bool, the pixels of the defect's box.
        x: column of the box in the image.
        y: row likewise.
    """
    # In a picture of twice the size with a margin of one pixel, the points of a contour halved are corners of pixels.
    plane = np.repeat(np.repeat(shape.astype(np.uint8), 2, axis=0), 2, axis=1)
    framed = cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    contours, _ = cv2.findContours(framed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = []
    for points in contours:
        corners = points[:, 0, :].astype(np.int64) // 2 + np.array((x, y))
        moved = np.ones(len(corners), np.bool_)
        moved[1:] = (corners[1:] != corners[:-1]).any(axis=1)
        rings.append(corners[moved].tolist())
    return rings


def probability_map(probability: np.ndarray) -> bytes:
    """Encode probabilities 0..1, ``(h, w)``, as an 8-bit grey PNG: 255 is 1."""
    packed = io.BytesIO()
    Image.fromarray((probability * 255).round().astype(np.uint8)).save(packed, "PNG")
    return packed.getvalue()


def _reduced(image: np.ndarray, scale: float) -> np.ndarray:
    if scale >= 1:
        return image
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    pixels = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()
