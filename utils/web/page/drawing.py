"""Pictures for a browser: the image itself, and over it transparent layers for the fill and the outline of each class.

The layers have the masks' own pixels. How strong the fill is, which classes are seen and how far one looks in is then a
matter of the browser alone.
"""

import base64
import io

import cv2
import numpy as np
from PIL import Image

from utils.reporting.overlays import class_colour, inner_outline

MOST_SHOWN = 16_000_000  # pixels that a browser gets of one image; larger ones are reduced
THUMB_WIDTH, THUMB_HEIGHT = 320, 120  # pixels
QUALITY, THUMB_QUALITY = 95, 80  # of the JPEGs, 0..100


def picture(image: np.ndarray) -> bytes:
    """Encode an image, ``(H, W, channels)`` uint8, as a JPEG of at most ``MOST_SHOWN`` pixels."""
    return _jpeg(_reduced(image, _scale(image)), QUALITY)


def thumbnail(image: np.ndarray) -> bytes:
    """Encode an image, ``(H, W, channels)`` uint8, as a small JPEG."""
    height, width = image.shape[:2]
    return _jpeg(_reduced(image, min(THUMB_WIDTH / width, THUMB_HEIGHT / height, 1.0)), THUMB_QUALITY)


def layers(masks: np.ndarray, colours: list[int]) -> list[dict[str, str] | None]:
    """Draw the masks of an image as layers.

    Args:
        masks: ``(C, H, W)`` bool.
        colours: for each mask the number of its colour, from 0.

    Returns:
        For each class the addresses (``data:``) of three PNGs: ``fill``, ``outline``, and ``edge``, an outline of one
        pixel for looking closely; None where a mask is empty.
    """
    drawn: list[dict[str, str] | None] = []
    for mask, index in zip(masks, colours, strict=True):
        if not mask.any():
            drawn.append(None)
            continue
        plane = _reduced(np.ascontiguousarray(mask).view(np.uint8), _scale(mask))
        parts = {"fill": plane, "outline": inner_outline(plane), "edge": inner_outline(plane, 1)}
        drawn.append({name: _address(part, class_colour(index)) for name, part in parts.items()})
    return drawn


def css_colour(index: int) -> str:
    """Return the colour of class ``index + 1`` as style sheets write it."""
    return "rgb({}, {}, {})".format(*class_colour(index))


def _scale(image: np.ndarray) -> float:
    height, width = image.shape[:2]
    return min((MOST_SHOWN / (height * width)) ** 0.5, 1.0)


def _reduced(image: np.ndarray, scale: float) -> np.ndarray:
    """Reduce an image, or a mask of 0 and 1, in which whatever is not empty stays."""
    if scale >= 1:
        return image
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    if image.ndim == 2:
        return (cv2.resize(image * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    pixels = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def _address(plane: np.ndarray, colour: tuple[int, int, int]) -> str:
    """Encode a mask, ``(H, W)`` uint8 of 0 and 1, as a picture of one colour on nothing, one bit a pixel."""
    image = Image.fromarray(plane, mode="P")
    image.putpalette([0, 0, 0, *colour])
    packed = io.BytesIO()
    image.save(packed, "PNG", bits=1, transparency=0)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")
