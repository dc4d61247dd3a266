"""A large table of labels, read so that its codes stay where they are; see ``CodesInFile``."""

import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utils.data import rle
from utils.data.codes_in_file import CodesInFile, TableFile
from utils.data.tables import is_filler, read_table

LARGE = 256 * 2**20  # bytes of a table, from which its codes stay in it
CODES = "EncodedPixels"
NAMES = ("ImageId", "ClassId", "ImageId_ClassId")
_AT_ONCE = 1 << 19  # bytes of codes that are validated together
_LINES = 1 << 20  # bytes of lines that are read together


def read_labels(csv: Path) -> pd.DataFrame:
    """Read a table of labels as ``read_table`` does; codes of a large one stay in it, as a column ``CodesInFile``.

    Raises:
        AnnotationError: what ``read_table`` raises.
    """
    large = None
    try:
        if csv.stat().st_size >= LARGE:
            large = _read_in_place(csv)
    except (OSError, UnicodeError):
        pass  # read_table() says what is wrong
    return read_table(csv) if large is None else large


def fillers(texts: Sequence[str] | CodesInFile) -> np.ndarray:
    """Return for each field of a column of codes whether it says that there is nothing, (N,) bool."""
    if not isinstance(texts, CodesInFile):
        return np.fromiter(map(is_filler, texts), np.bool_, len(texts))
    found = texts.size_of == 0
    for place in np.flatnonzero((texts.ends == 0) & ~found & (texts.size_of < 20)).tolist():
        found[place] = is_filler(texts[place])
    return found


def _read_in_place(csv: Path) -> pd.DataFrame | None:
    """Read a table line by line; None where a line is not plain, which the module ``csv`` has to read then."""
    file = TableFile(csv)
    with open(csv, "rb") as lines:
        first = lines.readline()
        offset, number = len(first), 1
        header = [name.strip() for name in first.decode("utf-8-sig").rstrip("\r\n").split(",")]
        if header.count(CODES) != 1 or b'"' in first or b"\r" in first[:-2]:
            return None
        at = header.index(CODES)
        kept = [place for place, name in enumerate(header) if name in NAMES]
        classes = [header[place] == "ClassId" for place in kept]
        columns: list[list[str]] = [[] for _ in kept]
        alike: dict[str, str] = {}  # classes are few
        rows, begin, size, check = array("q"), array("q"), array("l"), array("L")
        validated = _Validated()
        while some := lines.readlines(_LINES):
            for line in some:
                start, offset, number = offset, offset + len(line), number + 1
                plain = line[:-2] if line.endswith(b"\r\n") else line[:-1] if line.endswith(b"\n") else line
                if b'"' in line or b"\r" in plain:
                    return None
                fields = plain.split(b",")
                if not fields[0].strip() and not any(field.strip() for field in fields):
                    continue
                if len(fields) != len(header):
                    return None
                for place, column, is_class in zip(kept, columns, classes, strict=True):
                    text = fields[place].decode()
                    column.append(alike.setdefault(text, text) if is_class else text)
                code = fields[at].strip()
                if not code.isascii():
                    return None
                before = sum(map(len, fields[:at])) + at
                rows.append(number)
                begin.append(start + before + len(fields[at]) - len(fields[at].lstrip()))
                size.append(len(code))
                check.append(zlib.crc32(code))
                validated.add(code)
    ends = validated.ends()
    if not len(rows):
        return None
    codes = CodesInFile(
        file,
        np.array(begin, dtype=np.int64),
        np.array(size, dtype=np.int32),
        np.array(check, dtype=np.uint32),
        ends,
    )
    index = np.array(rows, dtype=np.int64)
    parts: dict[int, Any] = dict(zip(kept, columns, strict=True))
    table = pd.DataFrame(parts, index=index, dtype=object)
    table[at] = codes
    return table.set_axis([*(header[place] for place in kept), CODES], axis=1)


class _Validated:
    """The last pixels of codes, in the order that they are added; 0 for empty and malformed ones."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._found: list[np.ndarray] = []

    def add(self, code: bytes) -> None:
        """Take a code, without white space around it."""
        self._waiting.append(code)
        self._bytes += len(code)
        if self._bytes > _AT_ONCE or len(self._waiting) > _AT_ONCE // 8:
            self._flush()

    def ends(self) -> np.ndarray:
        """Return the last pixel of each code, (N,) int64."""
        self._flush()
        return np.concatenate([np.zeros(0, np.int64), *self._found])

    def _flush(self) -> None:
        found = np.zeros(len(self._waiting), np.int64)
        there = [place for place, code in enumerate(self._waiting) if code]
        codes = [self._waiting[place] for place in there]
        ends = rle.last_pixels(codes)
        found[there] = [_last_pixel(code) for code in codes] if ends is None else ends
        self._found.append(found)
        self._waiting, self._bytes = [], 0


def _last_pixel(code: bytes) -> int:
    try:
        runs = rle.parse(code.decode())
    except rle.RleError:
        return 0
    return int(runs[-1].sum()) - 1 if len(runs) else 0
