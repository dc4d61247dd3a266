"""The image files of the desk by their sha256, and what is kept beside them: small pictures and logits."""

import contextlib
import hashlib
import os
import re
import shutil
from pathlib import Path

from utils.errors import InputError
from utils.files import replacing

IMAGES, THUMBS, LOGITS = "images", "thumbs", "logits"
LEAST_FREE = 512 * 2**20  # bytes of the disk that are left to others

# By the first bytes, since the name that came with the image is not to be trusted.
_SUFFIXES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"RIFF", ".webp"),
)


def suffix_of(data: bytes) -> str:
    """Return the suffix for the bytes of an image file."""
    return next((suffix for start, suffix in _SUFFIXES if data.startswith(start)), ".bin")


class ImageFiles:
    """Files named by the sha256 of what they hold: ``images/ab/SHA256.jpg``.

    Args:
        folder: that holds them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, data: bytes) -> str:
        """Keep the bytes of an image file; one that is there already is not written again.

        Returns:
            Its sha256, 64 hex digits.

        Raises:
            InputError: the disk is full, or cannot be written to.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        if self.find(sha256) is not None:
            return sha256
        if shutil.disk_usage(self.folder).free < LEAST_FREE + len(data):
            raise InputError("The server's disk is full; ask whoever runs it for room.")
        self._write(self.folder / IMAGES / sha256[:2] / f"{sha256}{suffix_of(data)}", data)
        return sha256

    def find(self, sha256: str) -> Path | None:
        """Return the file of a hash; None when there is none."""
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            return None
        place = self.folder / IMAGES / sha256[:2]
        for suffix in (*dict.fromkeys(suffix for _, suffix in _SUFFIXES), ".bin"):
            path = place / f"{sha256}{suffix}"
            if path.is_file():
                return path
        return None

    def read(self, sha256: str) -> bytes:
        """Return the bytes of an image file.

        Raises:
            InputError: it is not there any more.
        """
        path = self.find(sha256)
        try:
            if path is not None:
                return path.read_bytes()
        except OSError:
            pass
        raise InputError("The image is not in the folder of -save any more; add it again.")

    def keep(self, kind: str, name: str, data: bytes) -> None:
        """Keep what can be made again: a small picture or logits; where there is no room, as by a quota, nothing is kept."""
        with contextlib.suppress(InputError, OSError):
            if shutil.disk_usage(self.folder).free > LEAST_FREE + len(data):
                self._write(self.folder / kind / name[:2] / name, data)

    def kept(self, kind: str, name: str) -> bytes | None:
        """Return what ``keep`` kept, if it is there."""
        try:
            return (self.folder / kind / name[:2] / name).read_bytes()
        except OSError:
            return None

    def forget(self, sha256: str) -> None:
        """Remove an image and all that is kept beside it."""
        path = self.find(sha256)
        if path is not None:
            path.unlink(missing_ok=True)
        for kind in (THUMBS, LOGITS):
            for path in (self.folder / kind / sha256[:2]).glob(f"{sha256}*"):
                path.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            raise InputError(f"The server cannot keep the image ({os.strerror(error.errno or 0)}).") from None
