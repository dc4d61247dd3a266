"""Results of checks about files, kept until a file's size or time of change differs."""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from config import PROJECT
from utils.files import replacing

VERSION = 1  # raise it when what is stored changes its meaning
ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class FileCache:
    """Values about the files of a dataset folder.

    They are stored in ``DIR/.cache/NAME.jsonl``, or in the user's cache folder when ``DIR`` is read-only or is marked so
    (which does not stop root). A store that cannot be read or written is only slower, never an error. Values are kept as
    the lines that they are stored as: a million of them take 0.3 GB, and as objects ten times that.
    """

    def __init__(self, root: Path, name: str) -> None:
        """Load what is stored.

        Args:
            root: the dataset folder.
            name: of the kind of values, part of the file's name.
        """
        self._root = root.resolve()
        self._name = f"{name}.jsonl"
        self._entries: dict[str, str] = {}
        self._changed = False
        for folder in storage_folders(self._root):
            try:
                with open(folder / self._name, encoding="utf-8") as file:
                    if json.loads(file.readline())["version"] != VERSION:
                        continue
                    for line in file:
                        key, mark, entry = line.rstrip("\n").rpartition("\t")
                        if mark:
                            self._entries[json.loads(key)] = entry
                return
            except (OSError, ValueError, KeyError, TypeError):
                self._entries = {}

    def get(self, path: Path) -> Any:
        """Return the value of a file, or None when it is unknown or the file has changed."""
        entry = self._entries.get(self._key(path))
        if entry is None:
            return None
        try:
            kept, value = json.loads(entry)
        except (ValueError, TypeError):
            return None
        return value if kept == stamp(path) else None

    def put(self, path: Path, value: Any) -> None:
        """Note the value (anything JSON can hold) of a file as it is now."""
        # Tabs within are written as their code, so that the last one of a line parts it.
        self._entries[self._key(path)] = json.dumps([stamp(path), value], separators=(",", ":"))
        self._changed = True

    def save(self) -> None:
        """Store the values, if any is new."""
        if not self._changed:
            return
        for folder in storage_folders(self._root):
            with contextlib.suppress(OSError):
                with (
                    replacing(folder / self._name) as temporary,
                    open(temporary, "w", encoding="utf-8", newline="\n") as file,
                ):
                    file.write(json.dumps({"version": VERSION}) + "\n")
                    for key, entry in self._entries.items():
                        file.write(f"{json.dumps(key)}\t{entry}\n")
                self._changed = False
                return

    def _key(self, path: Path) -> str:
        # Not resolved: an image may be a link to a place outside the folder.
        return Path(os.path.abspath(path)).as_posix()  # noqa: PTH100


def stamp(path: Path) -> list[int]:
    """Return what changes when a file changes: its size in bytes and time of change in ns; [] for a missing file."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def files_fingerprint(paths: Iterable[Path], names: Iterable[str]) -> str:
    """Return a word that changes when one of some files is added, removed or changed; names are those of the files."""
    digest = hashlib.sha256()
    for path, name in zip(paths, names, strict=True):
        digest.update(os.fsencode(name) + f"\0{stamp(path)}\n".encode())
    return digest.hexdigest()


def storage_folders(root: Path) -> list[Path]:
    """Return the places to store what is known about a dataset folder, best first; ``root`` is resolved."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    places = [root / ".cache", base / PROJECT / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]]
    try:
        return places if root.stat().st_mode & ANY_WRITE else places[1:]
    except OSError:
        return places[1:]


def writable_folder(root: Path, within: str = "") -> Path | None:
    """Make a folder to store files about a dataset folder in; None where nothing may be written.

    Args:
        root: the dataset folder.
        within: folder in the place of ``storage_folders``.
    """
    for place in storage_folders(root.resolve()):
        folder = place / within
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    return None
