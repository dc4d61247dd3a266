"""Zip archives of images, unpacked one by one within bounds: what a zip says of its sizes is not believed."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from utils.errors import InputError

MOST_FILES = 20_000
MOST_UNPACKED = 40  # times the largest request, all files together
MOST_RATIO = 200  # unpacked bytes for one packed byte of a file above ``FREE_BYTES``
FREE_BYTES = 10 * 2**20
BLOCK = 2**20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others zipfile unpacks a whole block at once, however large
ENTRY = b"PK\x01\x02"  # begins the entry of each file in the directory of an archive
# What programs lay beside the images.
_NOISE = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
DAMAGED = "The zip archive is damaged; make it again, or drop the folder itself."


def is_zip(data: bytes) -> bool:
    """Check whether bytes begin like a zip archive."""
    return data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def unpack(data: bytes, most_bytes: int) -> Iterator[tuple[str, bytes | str]]:
    """Yield the files of an archive: name, and content or the reason why it is left out.

    Args:
        data: of the archive.
        most_bytes: of one file.

    Raises:
        InputError: damaged, or more is in it than is allowed.
    """
    if data.count(ENTRY) > MOST_FILES:  # before the directory is read: a million entries take a gigabyte
        raise InputError(f"The zip archive has more than {MOST_FILES} files; make several of it.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except Exception:  # bytes made to harm raise anything
        raise InputError(DAMAGED) from None
    left = MOST_UNPACKED * most_bytes
    for entry in entries:
        name = entry.filename
        if entry.is_dir() or any(name.startswith(noise) or name.endswith(noise) for noise in _NOISE):
            continue
        if PurePosixPath(name).name.startswith("."):
            continue
        if entry.flag_bits & 1:
            yield name, "The file in the zip archive is locked by a password; unpack it first."
            continue
        if entry.compress_type not in METHODS:
            yield name, "The file is packed by an unusual method; make an ordinary zip archive, or unpack it first."
            continue
        content, taken = _read(archive, entry, min(most_bytes, left))
        left -= taken  # also of what is left out: to unpack it takes time, too
        if left <= 0:
            raise InputError("The zip archive has too much in it; make several of it.")
        yield name, content


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> tuple[bytes | str, int]:
    """Read a file of an archive as far as it is allowed.

    Returns:
        The content, or why there is none; and how many bytes were unpacked.
    """
    taken = bytearray()
    try:
        with archive.open(entry) as file:
            while block := file.read(BLOCK):
                taken += block
                if len(taken) > most:
                    return f"The file has more than {most / 1e6:.0f} MB.", len(taken)
                if len(taken) > max(FREE_BYTES, MOST_RATIO * max(entry.compress_size, 1)):
                    return "The file is packed so that it grows beyond measure; it is left out.", len(taken)
    except Exception:
        return DAMAGED, len(taken)
    return bytes(taken), len(taken)
