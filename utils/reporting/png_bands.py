"""PNG files written band by band, so that a picture of any size takes the memory of a band."""

import struct
import zlib
from collections.abc import Iterable
from typing import IO

import numpy as np

ROWS = 64  # of a band; the wider the picture, the fewer
_PIXELS = 2**20  # of a band, about


def band_rows(width: int) -> int:
    """Return how many rows a band of a picture of so many pixels a row has."""
    return max(1, min(ROWS, _PIXELS // max(width, 1)))


def write_png_bands(file: IO[bytes], height: int, width: int, bands: Iterable[np.ndarray]) -> None:
    """Write a PNG of 8-bit colours.

    Args:
        file: to write to.
        height: of the picture in pixels.
        width: of the picture in pixels.
        bands: ``(h, width, 3)`` RGB uint8 from the top down, ``height`` rows together.

    Raises:
        ValueError: the bands have another number of rows.
    """
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer, written = zlib.compressobj(1), 0
    for band in bands:
        written += len(band)
        # Filter 1 ("Sub"): each byte less that of the pixel at its left. PNG specification, section 9.
        lines = np.empty((len(band), 1 + 3 * width), np.uint8)
        lines[:, 0] = 1
        pixels = band.reshape(len(band), -1)
        lines[:, 1:4] = pixels[:, :3]
        np.subtract(pixels[:, 3:], pixels[:, :-3], out=lines[:, 4:])
        if packed := packer.compress(lines.data):
            _chunk(file, b"IDAT", packed)
    if written != height:
        raise ValueError(f"{written} rows of a picture of {height}")
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: IO[bytes], kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind + content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
