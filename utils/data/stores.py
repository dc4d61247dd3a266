"""Folders on disks and in object stores, by one set of calls: what fsspec knows, with errors of one line."""

import contextlib
import errno
import posixpath
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import Url
from utils.errors import InputError, lacks_memory
from utils.files import replacing

# Package that fsspec needs for each of the common stores.
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_PACKAGES |= {"http": "aiohttp", "https": "aiohttp"}

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
KEYS = 1000  # that S3 lists at a time, the most that it does


class StoreError(InputError):
    """A store that does not do what it is asked; another try may succeed."""


class Store:
    """A folder, or a file, on a disk or in an object store.

    Args:
        place: path or URL.
        flag: that named it, for messages.
    """

    def __init__(self, place: Path | Url, flag: str = "") -> None:
        from fsspec import filesystem
        from fsspec.core import url_to_fs

        self.place, self.flag = place, flag
        self.fs: Any
        try:
            if isinstance(place, Url):
                self.fs, root = url_to_fs(str(place))
            else:  # a path may have what stands for chains of file systems in a URL
                self.fs, root = filesystem("file"), str(place.absolute())
        except ImportError as error:
            package = _PACKAGES.get(str(place).partition("://")[0], error.name or "its package")
            remedy = f"run .venv/bin/uv pip install {package}"
            raise InputError(f"{flag} {place}: the package {package} is not installed; {remedy}".strip()) from None
        except ValueError as error:
            raise InputError(f"{flag} {place}: {error}; name a folder or a URL that fsspec knows".strip()) from None
        self.root = str(root).rstrip("/")

    @property
    def local(self) -> Path | None:
        """The place on a disk of this machine; None for another store."""
        protocol = self.fs.protocol
        return Path(self.root) if "file" in (protocol if isinstance(protocol, tuple) else (protocol,)) else None

    def at(self, name: str) -> str:
        """Return the path of a file below this folder as the file system has it; ``""`` is the folder itself."""
        return f"{self.root}/{name}" if name else self.root

    def is_file(self, name: str = "") -> bool:
        """Check whether there is a file of this name."""
        with self._told(name):
            return bool(self.fs.isfile(self.at(name)))

    def exists(self, name: str = "") -> bool:
        """Check whether there is a file or folder of this name."""
        with self._told(name):
            return bool(self.fs.exists(self.at(name)))

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Read a file, or its bytes from ``start`` to before ``end``.

        Raises:
            FileNotFoundError: there is none.
            StoreError: the store does not answer.
        """
        with self._told(name, (FileNotFoundError,)):
            return bytes(self.fs.cat_file(self.at(name), start=start, end=end))

    def open(self, name: str = "", block_size: int = 2**20) -> Any:
        """Open a file to read bytes; on a store they come in blocks."""
        with self._told(name, (FileNotFoundError,)):
            return self.fs.open(self.at(name), "rb", **({} if self.local else {"block_size": block_size}))

    def create(self, name: str, content: bytes) -> bool:
        """Write a file in one step, only where there is none.

        Returns:
            False where somebody else's was there before, which stays.
        """
        if self.local is not None:
            try:
                with replacing(self.local / name, once=True) as temporary:
                    temporary.write_bytes(content)
            except FileExistsError:
                if not self.is_file(name):  # what is there is the folder's name
                    raise
                return False
            return True
        try:
            with self._told(name, (FileExistsError,)):
                self.fs.pipe_file(self.at(name), content, mode="create")
        except FileExistsError:
            return False
        except StoreError:
            self.fs.invalidate_cache()
            if self.exists(name):  # stores call a name that is taken by many names
                return False
            raise
        return True

    def replace(self, name: str, content: bytes) -> None:
        """Write a file in one step, over an older one too."""
        if self.local is not None:
            with replacing(self.local / name) as temporary:
                temporary.write_bytes(content)
            return
        with self._told(name):
            self.fs.pipe_file(self.at(name), content)

    def put(self, file: Path, name: str) -> None:
        """Copy a file of this machine to the store; it appears in one step."""
        if self.local is not None:
            with replacing(self.local / name) as temporary:
                shutil.copyfile(file, temporary)
            return
        with self._told(name):
            self.fs.put_file(str(file), self.at(name))

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file, given as the file system has its path, to this machine.

        Raises:
            FileNotFoundError, PermissionError: of this file.
            StoreError: the store does not answer.
            InputError: this machine's disk is full.
        """
        with self._told(path, (FileNotFoundError, PermissionError)):
            try:
                self.fs.get_file(path, str(target))
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                remedy = "free some, or name a folder with room in TMPDIR"
                raise InputError(f"{target.parent}: {error.strerror}, for files of {self.place}; {remedy}") from None

    def names(self) -> Iterator[str]:
        """Give the names of what lies directly in this folder, in no order; nothing where there is no such folder."""
        if self.local is not None:
            if self.local.is_dir():
                for path in self.local.iterdir():
                    yield path.name
            return
        yield from self._names_of_keys(within=False)

    def walk(self) -> Iterator[str]:
        """Give the names of all files in this folder and in those within, relative to it, in no order.

        S3 gives a thousand keys at a time; of other stores one folder at a time is held.
        """
        yield from self._names_of_keys(within=True)

    def _names_of_keys(self, within: bool) -> Iterator[str]:
        if hasattr(self.fs, "call_s3"):  # its ls() would hold a whole bucket, and keep it
            bucket, _, key = self.root.partition("/")
            asked: dict[str, Any] = {
                "MaxKeys": KEYS,
                "Bucket": bucket,
                "Prefix": f"{key}/" if key else "",
                **({} if within else {"Delimiter": "/"}),
            }
            more: dict[str, str] = {}
            while True:
                with self._told(""):
                    answer = self.fs.call_s3("list_objects_v2", **asked, **more)
                for found in answer.get("Contents", []):
                    if name := found["Key"][len(asked["Prefix"]) :].rstrip("/"):
                        yield name
                if not answer.get("IsTruncated"):
                    return
                more = {"ContinuationToken": answer["NextContinuationToken"]}
        waiting = [self.root]
        while waiting:
            folder = waiting.pop()
            with self._told(""):
                self.fs.invalidate_cache()
                try:
                    entries = self.fs.ls(folder, detail=True)
                except FileNotFoundError:
                    entries = []
            for entry in entries:
                path = str(entry["name"]).rstrip("/")
                if path == folder:
                    continue
                if entry["type"] != "directory":
                    yield posixpath.relpath(path, self.root)
                elif within:
                    waiting.append(path)

    @contextlib.contextmanager
    def _told(self, name: str, stay: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Turn the errors of a store's own library into one line.

        Args:
            name: of the file.
            stay: kinds of errors that are about this file alone, and stay what they are.
        """
        if self.local is not None:
            yield
            return
        try:
            yield
        except Exception as error:
            if isinstance(error, (InputError, *stay)) or lacks_memory(error):
                raise
            text = " ".join(str(error).split()) or type(error).__name__
            where = name if "://" in name else f"{self.place}{'/' + name if name else ''}"
            kind: type[InputError] = StoreError
            remedy = "check the address, the network and the credentials"
            if isinstance(error, PermissionError):
                kind, remedy = InputError, "check the credentials, what they allow, and this machine's clock"
            elif isinstance(error, FileNotFoundError):
                kind, remedy = InputError, "check the name"
            raise kind(f"{self.flag} {where}: {text}; {remedy}".strip()) from error
