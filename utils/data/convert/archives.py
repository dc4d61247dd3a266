"""Unpack exports of others: nothing leaves the folder, links are refused, and what grows beyond measure is stopped."""

import contextlib
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from utils.errors import InputError
from utils.files import temporary_folder

MOST_FILES = 2_000_000
MOST_RATIO = 200  # unpacked bytes for one packed byte; pictures hardly shrink, and text of labels twentyfold
FREE_BYTES = 50 * 2**20  # that a file may have whatever its ratio
KEEP_FREE = 2**28  # bytes of the disk that stay free
BLOCK = 2**20
NOISE = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


@contextlib.contextmanager
def unpacked(archive: Path, beside: Path) -> Iterator[Path]:
    """Yield the folder of an export: the archive itself where it is one, else a folder that goes away afterwards.

    Args:
        archive: zip or tar file, or a folder.
        beside: the folder that is written; unpacked is on the same disk.

    Raises:
        InputError: no such file, no archive, damaged, locked by a password, or made to harm: a path out of the folder, a
            link, more bytes than such files have.
    """
    if archive.is_dir():
        yield archive
        return
    if not archive.is_file():
        raise InputError(f"-archive {archive}: no such file; expected a zip or tar file, or a folder")
    with temporary_folder(beside) as folder:
        taker = _Taker(archive, folder)
        try:
            if zipfile.is_zipfile(archive):
                _unzip(archive, taker)
            elif tarfile.is_tarfile(archive):
                _untar(archive, taker)
            else:
                raise InputError(
                    f"-archive {archive}: neither a zip nor a tar file; expected what the program exported"
                )
        except InputError:
            raise
        except OSError as error:
            if error.errno is None:  # gzip's own; the system's are told as they are
                raise taker.damaged() from None
            raise
        except Exception:  # bytes made to harm raise anything
            raise taker.damaged() from None
        yield folder


class _Taker:
    """Writes the files of an archive into a folder, within bounds."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive, self.folder = archive, folder
        self.packed = archive.stat().st_size
        self.room = shutil.disk_usage(folder).free - KEEP_FREE
        self.files = 0

    def damaged(self) -> InputError:
        return InputError(f"-archive {self.archive}: damaged; export it again")

    def refuse(self, name: str, why: str) -> InputError:
        shown = name if len(name) < 100 and name.isprintable() else repr(name[:100])
        return InputError(f"-archive {self.archive}: {shown} {why}; it is not unpacked")

    def take(self, name: str, open_member: Callable[[], IO[bytes]], packed: int) -> None:
        """Write one file.

        Args:
            name: in the archive.
            open_member: opens it.
            packed: its bytes in the archive, as far as it says so; those of the whole archive else.
        """
        self.files += 1
        if self.files > MOST_FILES:
            raise InputError(f"-archive {self.archive}: has more than {MOST_FILES:,} files; make several of it")
        if any(name.startswith(noise) or name.endswith(noise) for noise in NOISE):
            return
        target = self._target(name)
        most = max(FREE_BYTES, MOST_RATIO * min(max(packed, 1), self.packed))
        taken = 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_member() as source, target.open("xb") as written:
                while block := source.read(BLOCK):
                    taken += len(block)
                    self.room -= len(block)
                    if taken > most:
                        raise self.refuse(name, f"grows to more than {most / 1e6:,.0f} MB when it is unpacked")
                    if self.room < 0:
                        raise self.refuse(name, "and what comes before it need more disk than is free")
                    written.write(block)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise self.refuse(name, "is in it twice, or once as a folder") from None
        except OSError as error:
            if error.errno in (36, 63):  # ENAMETOOLONG of Linux and of macOS
                raise self.refuse(name, "is longer than names of files may be") from None
            raise

    def _target(self, name: str) -> Path:
        """Return where a file goes; raises ``InputError`` for a place outside of the folder."""
        slashed = name.replace("\\", "/")
        path = PurePosixPath(slashed)
        has_drive = len(slashed) > 1 and slashed[1] == ":"
        if path.is_absolute() or ".." in path.parts or has_drive or "\0" in name or not path.parts:
            raise self.refuse(name, "leads out of the folder")
        return self.folder.joinpath(*path.parts)


def _unzip(archive: Path, taker: _Taker) -> None:
    with zipfile.ZipFile(archive) as bundle:
        for entry in bundle.infolist():
            if entry.is_dir():
                continue
            if (entry.external_attr >> 16) & 0o170000 == 0o120000:
                raise taker.refuse(entry.filename, "is a link")
            if entry.flag_bits & 1:
                raise taker.refuse(entry.filename, "is locked by a password")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise taker.refuse(entry.filename, "is packed by an unusual method")
            taker.take(entry.filename, lambda entry=entry: bundle.open(entry), entry.compress_size)  # type: ignore[misc]


def _untar(archive: Path, taker: _Taker) -> None:
    with tarfile.open(archive) as bundle:
        for member in bundle:
            if member.isdir():
                continue
            if not member.isfile():
                raise taker.refuse(member.name, "is a link or a device")
            if member.issparse():
                raise taker.refuse(member.name, "is a file with holes")

            def open_member(member: tarfile.TarInfo = member) -> IO[bytes]:
                opened = bundle.extractfile(member)
                assert opened is not None  # it is a file
                return opened

            # Bytes of a member within a compressed archive are not known: the whole of it bounds them.
            taker.take(os.fspath(member.name), open_member, taker.packed)
