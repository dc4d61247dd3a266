"""Run-length codes that stay in their table: of a large one only where each begins is kept, and a code is read when asked for.

A million labels have 2.5 GB of codes, which nobody needs at once. What was validated is what is read later: every code is
compared with its checksum.
"""

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from utils.errors import InputError
from utils.files import read_at


class CodesDtype(ExtensionDtype):
    """Of a column of text that lies in a file."""

    name = "codes-in-file"
    type = str
    na_value = ""

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the class of such columns."""
        return CodesInFile


class TableFile:
    """A table that stays open, so that who replaces it meanwhile does not change what is read.

    Args:
        path: of the table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        status = path.stat()
        self._stamp = status.st_size, status.st_mtime_ns
        self._file: Any = None

    def read(self, begin: int, size: int, check: int) -> str:
        """Read a part of the table.

        Args:
            begin: first byte.
            size: number of bytes.
            check: CRC-32 of them.

        Raises:
            InputError: the table was changed, or cannot be read any more.
        """
        try:
            if self._file is None:
                file = open(self.path, "rb", buffering=0)  # noqa: SIM115
                status = os.fstat(file.fileno())
                if (status.st_size, status.st_mtime_ns) != self._stamp:
                    file.close()
                    raise self._changed()
                self._file = file
            content = read_at(self._file.fileno(), begin, size)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read any more ({error.strerror}); check the disk") from None
        if zlib.crc32(content) != check:
            raise self._changed()
        return content.decode("ascii", "replace")

    def _changed(self) -> InputError:
        return InputError(f"{self.path}: was changed while this program read from it; start the program again")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}  # another process opens it for itself


class CodesInFile(ExtensionArray):
    """A column of run-length codes that lie in a table.

    Args:
        file: the table.
        begin: (N,) int64, first byte of each code.
        size: (N,) int32, its bytes.
        check: (N,) uint32, CRC-32 of them.
        ends: (N,) int64, last pixel of the code, counted from 1; 0 for an empty or malformed one.
    """

    def __init__(
        self, file: TableFile, begin: np.ndarray, size: np.ndarray, check: np.ndarray, ends: np.ndarray
    ) -> None:
        self.file, self.begin, self.size_of, self.check, self.ends = file, begin, size, check, ends

    @property
    def dtype(self) -> CodesDtype:
        """Return what the column is called among types."""
        return CodesDtype()

    @property
    def nbytes(self) -> int:
        """Return the bytes that the column has in memory."""
        return int(sum(part.nbytes for part in self._parts()))

    def __len__(self) -> int:
        return len(self.begin)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, (int, np.integer)):
            size = int(self.size_of[place])
            return self.file.read(int(self.begin[place]), size, int(self.check[place])) if size else ""
        place = pd.api.indexers.check_array_indexer(self, place)
        return CodesInFile(self.file, *(part[place] for part in self._parts()))

    def __setitem__(self, place: Any, value: Any) -> None:
        raise TypeError("codes that lie in a file do not change")

    def __eq__(self, other: Any) -> Any:
        return np.array([mine == yours for mine, yours in zip(self, other, strict=True)], dtype=np.bool_)

    def isna(self) -> np.ndarray:
        """Return False for every code."""
        return np.zeros(len(self), dtype=np.bool_)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Any:
        """Return the codes at some places; without those that pandas would fill in, which no table here has."""
        indices = np.asarray(indices, dtype=np.int64)
        if allow_fill and (indices < 0).any():
            return np.array([self[place] if place >= 0 else fill_value for place in indices.tolist()], dtype=object)
        return self[indices]

    def copy(self) -> "CodesInFile":
        """Return the column; the codes themselves are never copied."""
        return CodesInFile(self.file, *self._parts())

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Any:
        return np.asarray(scalars, dtype=object)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Any]) -> Any:
        if len({id(one.file) for one in to_concat}) > 1:
            return np.concatenate([np.asarray(one, dtype=object) for one in to_concat])
        parts = zip(*(one._parts() for one in to_concat), strict=True)
        return cls(to_concat[0].file, *(np.concatenate(part) for part in parts))

    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.begin, self.size_of, self.check, self.ends


def last_pixels(codes: pd.Series) -> Iterable[int]:
    """Return the last pixel, counted from 1, of each of some validated codes that are not empty."""
    column = codes.array
    if isinstance(column, CodesInFile):
        return [int(end) for end in column.ends]
    return (sum(map(int, text.rsplit(None, 2)[-2:])) - 1 for text in codes)
