"""A packed dataset: the images of a dataset folder in a few large tar files, and an index that finds each of them.

The shards are WebDataset tars, whose members are the files as they were, so that any program reads them. The index says at
which byte of which shard an image lies, and what checking it has found; an image is read without its shard being opened
from the beginning, by the same calls as a file. Every image is compared with its checksum when it is read.
"""

import dataclasses
import functools
import hashlib
import io
import json
import os
import zipfile
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from config import PROJECT, Side, TrainConfig, Url
from utils.data.stores import Store
from utils.errors import InputError
from utils.files import new_folder, read_at
from utils.settings import given_fields, note_given

Config = TypeVar("Config")

PACK = "pack.json"  # of a packed dataset; written last
VERSION = 1
DIGEST = 16  # bytes of the checksum of an image's file
KINDS = ("byte", "whole", "float")  # of the levels, by their number in the index
# Columns of the index beside the names: an entry for each image, sorted by name.
COLUMNS: dict[str, Any] = {
    "shard": np.int32,
    "offset": np.int64,
    "size": np.int64,
    "height": np.int32,
    "width": np.int32,
    "kind": np.uint8,
    "low": np.float64,
    "high": np.float64,
    "usual": np.float64,  # NaN: as high
    "pages": np.int32,
}
_REMEDY = "copy the packed dataset again, or pack it anew"


def digest_of(content: bytes | memoryview) -> bytes:
    """Return the checksum of an image's file."""
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


def index_name(side: Side) -> str:
    """Return the name of the index of a side."""
    return f"index-{side}.npz"


def shard_name(side: Side, number: int) -> str:
    """Return the name of a shard."""
    return f"{side}-{number:05d}.tar"


@dataclass(frozen=True)
class PackedSide:
    """The images of one side of a packed dataset.

    Attributes:
        names: sorted.
        shards: names of the tar files.
        columns: of the index, see ``COLUMNS``.
        digests: (N, ``DIGEST``) uint8, checksums.
    """

    names: tuple[str, ...]
    shards: tuple[str, ...]
    columns: dict[str, np.ndarray]
    digests: np.ndarray

    def find(self, name: str) -> int | None:
        """Return the place of an image in the index; None where there is none of this name."""
        place = bisect_left(self.names, name)
        return place if place < len(self.names) and self.names[place] == name else None

    def has(self, name: str) -> bool:
        """Check whether there is an image of this name."""
        return self.find(name) is not None

    def row(self, name: str) -> int:
        """Return the place of an image in the index; ``KeyError`` where there is none of this name."""
        place = self.find(name)
        if place is None:
            raise KeyError(name)
        return place


class Pack:
    """A packed dataset, opened.

    Args:
        root: its folder on this machine; the shards may lie elsewhere, see ``local_folder``.

    Raises:
        InputError: no packed dataset, one of a later version, or a damaged one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            about = json.loads((root / PACK).read_text("utf-8"))
            if about["version"] > VERSION:
                raise InputError(f"{root / PACK}: of a later version of {PROJECT}; update this program")
            self._index: dict[Side, tuple[str, tuple[str, ...]]] = {
                side: (str(one["sha256"]), tuple(map(str, one["shards"]))) for side, one in about["sides"].items()
            }
            shards_at = about.get("shards_at")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{root / PACK}: damaged; {_REMEDY}") from None
        except OSError as error:
            raise InputError(f"{root / PACK}: cannot be read ({error.strerror}); {_REMEDY}") from None
        self.place: Path | Url = root if shards_at is None else Url(shards_at)
        self._sides: dict[Side, PackedSide] = {}
        self._open: dict[str, int] = {}
        self._store: tuple[int, Store] | None = None  # and the process that opened it

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that are there."""
        return tuple(self._index)

    def index_sha256(self, side: Side) -> str:
        """Return the sha256 of the index of a side, which no other images have."""
        return self._index[side][0]

    def side(self, side: Side) -> PackedSide:
        """Return the images of a side; the index is read when it is asked for the first time."""
        if side not in self._sides:
            self._sides[side] = _read_index(self.root / index_name(side), *self._index[side])
        return self._sides[side]

    def read(self, shard: str, start: int, size: int) -> bytes:
        """Read bytes of a shard.

        Raises:
            InputError: it is missing, cannot be read or is shorter than it was.
        """
        try:
            if isinstance(self.place, Url):
                # Clients of stores do not work in a process that was forked, as those that load images are.
                if self._store is None or self._store[0] != os.getpid():
                    self._store = os.getpid(), Store(self.place, "-dir")
                found = self._store[1].read(shard, start, start + size)
            else:
                if shard not in self._open:
                    self._open[shard] = os.open(self.place / shard, os.O_RDONLY | getattr(os, "O_BINARY", 0))
                found = read_at(self._open[shard], start, size)
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{self.place}/{shard}: cannot be read ({reason}); {_REMEDY}") from None
        if len(found) != size:
            raise InputError(f"{self.place}/{shard}: shorter than it was; {_REMEDY}")
        return found

    def content(self, side: Side, row: int) -> bytes:
        """Read the file of an image.

        Raises:
            InputError: it cannot be read, or is another than was packed.
        """
        images = self.side(side)
        start, size = int(images.columns["offset"][row]), int(images.columns["size"][row])
        return self.checked(side, row, self.read(images.shards[images.columns["shard"][row]], start, size))

    def checked(self, side: Side, row: int, content: bytes) -> bytes:
        """Return the file of an image as it is; ``InputError`` when it is another than was packed."""
        images = self.side(side)
        if digest_of(content) != images.digests[row].tobytes():
            shard = images.shards[images.columns["shard"][row]]
            raise InputError(f"{self.place}/{shard}: {images.names[row]} is damaged in it; {_REMEDY}")
        return content

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens its own files; the index is read from the disk, which is quicker than to send it.
        return {**self.__dict__, "_open": {}, "_store": None, "_sides": {}}


if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # Path itself has no subclasses before Python 3.12


class PackedImage(_Path):
    """The path of an image in a packed dataset, which can be opened like that of a file.

    It is called as the file was in the dataset folder, so that whoever asks for names by paths gets the same ones.
    """

    pack: Pack
    side: Side
    row: int

    def content(self) -> bytes:
        """Read the file."""
        return self.pack.content(self.side, self.row)

    def column(self, name: str) -> Any:
        """Return what the index says of the image."""
        return self.pack.side(self.side).columns[name][self.row].item()

    @property
    def digest(self) -> bytes:
        """Checksum of the file."""
        return self.pack.side(self.side).digests[self.row].tobytes()

    def open(self, *_: Any, **__: Any) -> IO[bytes]:  # type: ignore[override]
        """Open the file to read bytes."""
        return io.BytesIO(self.content())

    def read_bytes(self) -> bytes:
        """Read the file."""
        return self.content()

    def stat(self, **_: Any) -> os.stat_result:  # type: ignore[override]
        """Return the size; the time of change is one that changes with the content."""
        seconds = int.from_bytes(self.digest[:6], "little") // 10**5
        return os.stat_result((0o100444, 0, 0, 1, 0, 0, self.column("size"), seconds, seconds, seconds))

    def resolve(self, strict: bool = False) -> "PackedImage":
        """Return the path as it is: nothing in a packed dataset is a link."""
        return self

    def is_symlink(self) -> bool:
        """Return False."""
        return False

    def is_file(self, **_: Any) -> bool:
        """Return True."""
        return True

    def exists(self, **_: Any) -> bool:
        """Return True."""
        return True

    def __reduce__(self) -> Any:
        return _again, (self.pack.root, self.side, self._folder(), self.row)

    def _folder(self) -> Path:
        return Path(self.parents[self.pack.side(self.side).names[self.row].count("/")])


def _again(root: Path, side: Side, folder: Path, row: int) -> PackedImage:
    pack = open_pack(root)
    assert pack is not None
    return packed_image(pack, side, folder, row)


def packed_image(pack: Pack, side: Side, folder: Path, row: int) -> PackedImage:
    """Return the path of an image.

    Args:
        pack: where it lies.
        side: of the dataset.
        folder: of the images of that side, as a dataset folder would have it.
        row: in the index.
    """
    path = PackedImage(folder, pack.side(side).names[row])
    path.pack, path.side, path.row = pack, side, row
    return path


@functools.lru_cache(maxsize=8)
def _opened(root: Path, stamp: tuple[int, int]) -> Pack:
    return Pack(root)


def open_pack(root: Path) -> Pack | None:
    """Open a packed dataset; None where a folder is none. The same one is opened once."""
    try:
        status = (root / PACK).stat()
    except OSError:
        return None
    return _opened(root, (status.st_size, status.st_mtime_ns))


def local_folder(place: Path | Url, flag: str = "-dir") -> Path:
    """Return the folder on this machine of what may be the URL of a packed dataset.

    The index and the tables are copied into the user's cache folder; the shards stay where they are, and are read there.

    Raises:
        InputError: the URL cannot be read, or is that of no packed dataset.
    """
    if not isinstance(place, Url):
        return place
    store = Store(place, flag)
    try:
        about = store.read(PACK)
        files = [str(name) for name in json.loads(about)["files"]]
    except FileNotFoundError:
        remedy = "Prepare_data.py pack makes one; other URLs cannot be read as a dataset"
        raise InputError(f"{flag} {place}: no packed dataset ({PACK} is missing); {remedy}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{flag} {place}: {PACK} is damaged; {_REMEDY}") from None
    if any("/" in name or "\\" in name or name.startswith(".") for name in files):
        raise InputError(f"{flag} {place}: {PACK} is damaged; {_REMEDY}")
    word = hashlib.sha256(f"{place}\0".encode() + about).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / PROJECT / "packs" / f"{str(place).rstrip('/').rpartition('/')[2]}-{word}"
    if not (folder / PACK).is_file():
        try:
            with new_folder(folder) as part:
                for name in files:
                    (part / name).write_bytes(store.read(name))
                (part / PACK).write_text(json.dumps({**json.loads(about), "shards_at": str(place)}), "utf-8")
        except FileNotFoundError:
            raise InputError(f"{flag} {place}: one of {', '.join(files)} is missing; {_REMEDY}") from None
        except OSError:
            if not (folder / PACK).is_file():  # else another process of the same training was quicker
                raise
    return folder


def with_local_folder(config: Config) -> Config:
    """Return the settings of a command with ``-dir`` a folder on this machine, see ``local_folder``."""
    place: Path | Url | None = config.dir  # type: ignore[attr-defined]
    if not isinstance(place, Url):
        return config
    if not isinstance(config, TrainConfig) and config.out is None:  # type: ignore[attr-defined]
        raise InputError(f"-dir {place}: results cannot be written there; name a folder for them with -out")
    changed = dataclasses.replace(config, dir=local_folder(place))  # type: ignore[type-var]
    return note_given(changed, given_fields(config))


def encode_index(names: Sequence[str], columns: dict[str, np.ndarray], digests: np.ndarray) -> bytes:
    """Return the bytes of an index; see ``PackedSide``."""
    sink = io.BytesIO()
    letters = np.frombuffer("\n".join(names).encode(), np.uint8)
    arrays: dict[str, Any] = {"names": letters, "digest": digests, **columns}
    np.savez_compressed(sink, **arrays)
    return sink.getvalue()


def _read_index(path: Path, sha256: str, shards: tuple[str, ...]) -> PackedSide:
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            names = tuple(kept["names"].tobytes().decode().split("\n"))
            columns = {name: kept[name].astype(kind) for name, kind in COLUMNS.items()}
            digests = kept["digest"]
        lengths = {len(column) for column in columns.values()}
        if lengths != {len(names)} or digests.shape != (len(names), DIGEST):
            raise ValueError
        if not (0 <= columns["shard"].min() <= columns["shard"].max() < len(shards)):
            raise ValueError
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path}: damaged; {_REMEDY}") from None
    return PackedSide(names, shards, columns, digests)
