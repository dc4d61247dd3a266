"""Masks within files of labels: small PNG pictures as text."""

import base64
import binascii
import io
import zlib

import cv2
import numpy as np
from PIL import Image

from utils.errors import InputError


def read_png_mask(where: str, data: bytes, most: tuple[int, int]) -> np.ndarray:
    """Read a PNG picture as a mask: by its alpha channel where it has one, else whatever is not 0.

    Args:
        where: for messages.
        data: the file's bytes.
        most: (height, width) of the image that it belongs to, which it may not exceed: the header is asked before
            anything is unpacked.

    Returns:
        (h, w) bool.

    Raises:
        InputError: not a picture, damaged, or larger than the image.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            if picture.height > most[0] or picture.width > most[1]:
                raise InputError(
                    f"{where}: its mask is {picture.height}x{picture.width}, the image {most[0]}x{most[1]}; correct it"
                )
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                return np.asarray(picture.convert("RGBA").getchannel("A")) > 0
            return np.asarray(picture if picture.mode in ("1", "L", "P", "I", "I;16") else picture.convert("L")) > 0
    except InputError:
        raise
    except Exception:  # decoders that meet damaged bytes raise anything
        raise InputError(f"{where}: its mask is not a whole PNG picture; correct or remove it") from None


def from_base64(where: str, text: object) -> bytes:
    """Return the bytes of a base64 text; raises ``InputError`` where it is none."""
    if not isinstance(text, str):
        raise InputError(f"{where}: its mask is no base64 text; correct or remove it")
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        raise InputError(f"{where}: its mask is no base64 text; correct or remove it") from None


def inflate(where: str, data: bytes, most: int) -> bytes:
    """Unpack zlib data of at most so many bytes; raises ``InputError`` where there are more or it is damaged."""
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(data, most)
    except zlib.error:
        raise InputError(f"{where}: its mask is damaged; correct or remove it") from None
    if not unpacking.eof:
        raise InputError(f"{where}: its mask is cut short, or unpacks to more than {most} bytes; correct or remove it")
    return content


def encode_mask_png(mask: np.ndarray) -> bytes:
    """Write a mask as grey PNG of 0 and 1; (h, w) bool."""
    return cv2.imencode(".png", mask.astype(np.uint8))[1].tobytes()


def encode_palette_png(mask: np.ndarray) -> bytes:
    """Write a mask as PNG of two colours, black and transparent for 0, white for 1; (h, w) bool."""
    picture = Image.fromarray(mask.astype(np.uint8))
    picture.putpalette([0, 0, 0, 255, 255, 255])
    written = io.BytesIO()
    picture.save(written, format="PNG", transparency=0, optimize=False)
    return written.getvalue()
