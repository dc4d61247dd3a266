"""Scans of a JPEG, counted in its bytes: each of them goes over all pixels, so that a small file can take minutes to decode.

What a decoder calls the file does not matter here: a JPEG with a table of several pictures (MPO) is a JPEG, too.
Source of the markers: ITU-T T.81, annex B.
"""

import re
from pathlib import Path

MOST_SCANS = 100  # a progressive JPEG has some ten of them
MOST_SEGMENTS = 10_000  # before the first scan; of the largest kind (64 kB) a photograph has some hundreds
REMEDY = "save it again as a plain JPEG"

_START = b"\xff\xd8\xff"
_SCAN, _END = 0xDA, 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
# Zeros after 0xFF are data, and so are the marks of a restart (D0 to D7).
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")


def has_too_many_scans(data: bytes) -> bool:
    """Check whether the first picture of a JPEG has more than ``MOST_SCANS`` scans, or no end of segments before them.

    Args:
        data: a file of any kind; one that is no JPEG has no scans.
    """
    if not data.startswith(_START):
        return False
    # An upper bound, since thumbnails and tables may hold these two bytes; it is found a hundred times as fast.
    few = data.count(b"\xff\xda") <= MOST_SCANS
    scans, position, segments = 0, 2, 0
    while marker := _MARKER.search(data, position):
        kind, position = marker[1][0], marker.end()
        if kind == _END:
            return False
        if kind in _ALONE:
            continue
        segments += 1
        if segments - scans > MOST_SEGMENTS:
            return True
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
        if kind == _SCAN:
            scans += 1
            if few:
                return False
            if scans > MOST_SCANS:
                return True
    return False


def file_has_too_many_scans(path: Path) -> bool:
    """Check a file as ``has_too_many_scans`` does; of other files than JPEG only the first bytes are read."""
    with path.open("rb") as file:
        start = file.read(len(_START))
        return start == _START and has_too_many_scans(start + file.read())
