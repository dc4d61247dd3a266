"""A file in memory for a decoder that somebody's bytes may lead into a loop: it ends when the time or the reading is used up.

Decoders ask for a few bytes at a time while they look for headers, chunks and tags, and for blocks of some kilobytes while they
unpack: each of these moments is one to stop at.
"""

import io
import time
from collections.abc import Callable

SECONDS = 10.0  # that decoding an image may take, and a second for each million pixels; the largest take one in all
MOST_READ = 8  # times the file's own size, while its header is read: tags of a TIFF may all point to the whole file
FREE_BYTES = 2**20  # that may be read besides


class TooMuchWork(Exception):
    """A decoder has read for too long or too much, or nobody waits for the image any more."""


class LimitedFile(io.BytesIO):
    """The bytes of an image file.

    Args:
        data: the file.
        is_wanted: whether somebody still waits for the image; asked at every reading.
        seconds: that header and pixels may take, each.
    """

    def __init__(self, data: bytes, is_wanted: Callable[[], bool] = lambda: True, seconds: float = SECONDS) -> None:
        super().__init__(data)
        self._is_wanted, self._seconds = is_wanted, seconds
        self._until = time.monotonic() + seconds
        self._left: float = MOST_READ * len(data) + FREE_BYTES

    def begin_pixels(self, pixels: int = 0) -> None:
        """Give the pixels their own time, which the wait for memory does not count to; how much is read is bounded by them.

        Args:
            pixels: height times width.
        """
        self._until = time.monotonic() + self._seconds + pixels / 1e6
        self._left = float("inf")

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does.

        Raises:
            TooMuchWork: the time or the reading is used up.
        """
        if time.monotonic() > self._until or not self._is_wanted():
            raise TooMuchWork
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchWork
        return data
