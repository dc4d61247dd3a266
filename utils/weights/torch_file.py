"""Files of ``torch.save``: read after their checksums, and without running any code that they may contain."""

import errno
import hashlib
import pickle
import re
import warnings
import zipfile
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import torch

from utils.errors import InputError, lacks_memory
from utils.weights.index import INDEX, read_index

AGAIN = "fetch or train it again"
_PIECE = 1 << 20
_FOLDER = 0x10  # attribute of folders in zip archives
_DIGITS = re.compile(r"-([0-9a-f]{8})\.pth")
# 20240131: who names files by the day does not mean a sha256, of which one in 60,000 looks like a day.
_DAY = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


class TorchFile(NamedTuple):
    """What a file holds.

    Attributes:
        content: of plain Python kinds and tensors on the CPU.
        sha256: of its bytes, 64 hex digits, where it was computed, else "".
        summed: whether every byte of it was compared with a checksum; torch's format from before 2020 has none.
    """

    content: Any
    sha256: str
    summed: bool


class OtherFileError(InputError):
    """The file is not the one that its name, an index or a system file means."""


def digest(path: Path) -> str:
    """Compute the sha256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_torch_file(path: Path, sha256: str | None = None) -> TorchFile:
    """Read a file of ``torch.save``.

    torch writes a zip archive, whose parts have a CRC-32 that torch does not look at when it reads. Here the sha256 is
    compared where one is known: ``sha256``, that of the ``index.json`` beside the file, or the digits of its name. Else every
    part is compared with its CRC-32. On a file of 65 MB either takes less than 0.1 s.

    Args:
        path: the file.
        sha256: that somebody has noted for it; None: nobody has.

    Raises:
        OtherFileError: another sha256 than the one that is known.
        InputError: not there, damaged, or needs pickle.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    with open(path, "rb") as file:
        found = _compare(path, file, sha256)
        archive = file.read(4) == b"PK\x03\x04"  # as torch decides
        file.seek(0)
        if archive:
            _check_parts(path, file, sums=not found)
        return TorchFile(_load(path, file), found, archive)


def _compare(path: Path, file: BufferedReader, sha256: str | None) -> str:
    """Compare the sha256 with what is known of it; give it, or "" where nothing is known."""
    digits = _DIGITS.search(path.name)
    named = digits[1] if digits and not _DAY.fullmatch(digits[1]) else None
    listed = _listed(path)
    if not (sha256 or listed or named):
        return ""
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    if sha256 and found != sha256.lower():
        raise OtherFileError(f"{path} is another file than the one named (sha256); fetch it again")
    if listed and found != listed:
        raise OtherFileError(
            f"{path}: damaged, or not the file that {INDEX} beside it lists (sha256); fetch it again: python"
            f" Download_weights.py {path.stem}{'' if path.parent == Path('weights') else f' -to {path.parent}'}"
        )
    if named and not found.startswith(named):
        raise OtherFileError(
            f"{path}: damaged, since its name promises a sha256 of {named} and it has {found[:8]}; {AGAIN}; if it is"
            f" another file, give it a name without -{named}"
        )
    return found


def _listed(path: Path) -> str | None:
    """Return the sha256 that the index beside a file has for it; None where there is none, or none that can be read."""
    index = path.parent / INDEX
    try:
        entries = read_index(index).entries if index.is_file() else ()
    except (InputError, OSError):  # whoever reads the index for itself tells what is wrong with it
        return None
    return next((entry.sha256 for entry in entries if entry.file == path.name), None)


def _check_parts(path: Path, file: BufferedReader, sums: bool) -> None:
    """Check that every part of the archive is what was written: plain bytes of the length that is noted, with their CRC-32."""
    try:
        with zipfile.ZipFile(file) as archive:
            for part in archive.infolist():
                if part.compress_type != zipfile.ZIP_STORED or part.flag_bits & 1:
                    raise InputError(
                        f"{path}: refused, its part {part.filename!r} is packed, which torch.save does not do; save it anew"
                    )
                # Of what it takes for a folder torch reads nothing, and leaves the numbers as they happen to be in memory.
                if part.compress_size != part.file_size or part.external_attr & _FOLDER or part.is_dir():
                    raise zipfile.BadZipFile(f"its table of contents is wrong about {part.filename!r}")
                with archive.open(part) as content:  # which compares the name, too
                    while sums and content.read(_PIECE):  # at the end it compares the CRC-32
                        pass
    except InputError:
        raise
    except (OSError, MemoryError) as error:
        if isinstance(error, MemoryError) or _of_disk(error):
            raise
        raise _damaged(path) from None
    except Exception as error:  # zipfile meets damage by exceptions of many kinds
        if not _is_archive(path):  # its end is missing
            raise _damaged(path) from None
        raise _damaged(path, f"damaged: {_words(error)}") from None
    file.seek(0)


def _load(path: Path, file: BufferedReader) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on the pickle protocol of files that we refuse anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of a file that others made there is no end to what torch may stumble over
        if lacks_memory(error) or _of_disk(error):
            raise
        code = "weights_only" in str(error).lower() or _is_archive(path)
        if isinstance(error, pickle.UnpicklingError) and code:
            raise InputError(
                f"{path}: refused, since opening it would run code from the file (it needs pickle);"
                " ask for a plain state dict, or train with Train.py"
            ) from None
        raise _damaged(path) from None


def _of_disk(error: Exception) -> bool:
    """Check whether the disk is at fault; a place before the beginning of the file, EINVAL, is what damage asks for."""
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def _is_archive(path: Path) -> bool:
    """Check whether a file ends as a zip archive does; zipfile may stumble over damage while it looks."""
    try:
        return zipfile.is_zipfile(path)
    except Exception:
        return False


def _damaged(path: Path, reason: str = "not a weights file, or damaged") -> InputError:
    return InputError(f"{path}: {reason}; {AGAIN}")


def _words(error: Exception) -> str:
    """Return what zipfile says, short and printable."""
    return (" ".join(str(error).split()) or type(error).__name__)[:80]
