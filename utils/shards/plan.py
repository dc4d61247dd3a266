"""The plan of a prediction: which images are in which shard, sorted on disk, so that memory does not grow with them.

A shard has the images whose hashes lie in its range. The plan file holds the shards one behind the other, each as an Arrow
stream of its own with its CRC-32 behind; the offsets file says where each begins. A worker reads its shard alone.
"""

import hashlib
import io
import itertools
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.stores import Store
from utils.errors import InputError
from utils.shards.sources import IMAGE

_CHECK = 4  # bytes of a CRC-32
_HASH = "_hash"  # column of the temporary files
_BITS = 6  # of the hash that part the rows into temporary files
_MOST_SORTED = 100_000  # rows that are sorted in memory


def hash_of(image: str) -> int:
    """Return the 64 bits that decide about an image's shard: BLAKE2b of its name."""
    return int.from_bytes(hashlib.blake2b(image.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def shard_of_hash(hashes: np.ndarray, shards: int) -> np.ndarray:
    """Return the shard of each hash, uint64: the range 0..2^64 is cut into ``shards`` equal parts."""
    return ((hashes >> np.uint64(32)) * np.uint64(shards)) >> np.uint64(32)


@dataclass(frozen=True)
class Plan:
    """A plan in temporary files.

    Attributes:
        file: of the shards.
        offsets: ``(shards + 1,)`` int64, where each begins in the file, and its length.
        images: number of images.
        sha256: of the file.
    """

    file: Path
    offsets: np.ndarray
    images: int
    sha256: str

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.offsets) - 1


def make_plan(tables: Iterable[Any], shard_size: int, folder: Path) -> Plan:
    """Sort a listing into shards.

    Args:
        tables: ``pyarrow.Table``s with the column ``image``, all of the same columns.
        shard_size: images of a shard, on average.
        folder: for temporary files; the plan file stays in it.

    Raises:
        InputError: there is no image, or a name comes twice.
    """
    import pyarrow as arrow

    def hashed() -> Iterator[Any]:
        for table in tables:
            hashes = np.fromiter(map(hash_of, table[IMAGE].to_pylist()), np.uint64, table.num_rows)
            yield table.append_column(_HASH, arrow.array(hashes))

    with tempfile.TemporaryDirectory(dir=folder) as space:
        buckets, images = _spread(hashed(), Path(space), 64 - _BITS)
        shards = -(-images // shard_size)
        file, digest, offsets = folder / "plan.arrow", hashlib.sha256(), [0]
        with open(file, "wb") as out:
            for shard, rows in _cut(buckets, shards):
                while len(offsets) <= shard:  # shards without an image
                    offsets.append(offsets[-1])
                content = _stream(rows)
                digest.update(content)
                out.write(content)
                offsets.append(offsets[-1] + len(content))
    offsets += [offsets[-1]] * (shards + 1 - len(offsets))
    return Plan(file, np.array(offsets, np.int64), images, digest.hexdigest())


def read_shard(store: Store, name: str, start: int, end: int) -> Any:
    """Read one shard of a plan file as a ``pyarrow.Table``; None where the shard has no image.

    Raises:
        InputError: the plan file is missing or damaged.
    """
    if start == end:
        return None
    try:
        return decode_shard(store.read(name, start, end))
    except (FileNotFoundError, ValueError) as error:
        reason = "damaged" if isinstance(error, ValueError) else "missing"
        raise InputError(f"{store.place}/{name}: {reason}; name another folder with -out") from None


def decode_shard(content: bytes) -> Any:
    """Return the images of a shard, a ``pyarrow.Table``, from its bytes in a plan file; ``ValueError`` when they changed."""
    import pyarrow as arrow

    if zlib.crc32(content[:-_CHECK]) != int.from_bytes(content[-_CHECK:], "little"):
        raise ValueError
    return arrow.ipc.open_stream(content[:-_CHECK]).read_all()


def encode_offsets(offsets: np.ndarray) -> bytes:
    """Return the bytes of an offsets file."""
    return offsets.astype("<i8").tobytes()


def decode_offsets(content: bytes) -> np.ndarray:
    """Read an offsets file: int64."""
    return np.frombuffer(content, "<i8").astype(np.int64)


def _spread(tables: Iterable[Any], space: Path, shift: int) -> tuple[list[tuple[Path, int, int]], int]:
    """Part rows by some bits of their hash into files: their paths, rows and the bits below, in order; and all rows."""
    import pyarrow as arrow

    many = 1 << _BITS
    writers: list[Any] = [None] * many
    counts = [0] * many
    paths = [space / f"{shift}-{place}" for place in range(many)]
    columns = None
    try:
        for table in tables:
            if columns is not None and table.schema != columns:
                table = table.cast(columns)
            columns = table.schema
            keys = (table[_HASH].to_numpy() >> np.uint64(shift)) & np.uint64(many - 1)
            order = np.argsort(keys, kind="stable")
            ends = np.searchsorted(keys[order], np.arange(many + 1, dtype=np.uint64))
            table = table.take(arrow.array(order)).combine_chunks()
            for place in np.flatnonzero(np.diff(ends)).tolist():
                if writers[place] is None:
                    writers[place] = arrow.ipc.new_stream(str(paths[place]), columns)
                writers[place].write_table(table.slice(ends[place], ends[place + 1] - ends[place]))
                counts[place] += int(ends[place + 1] - ends[place])
    finally:
        for writer in writers:
            if writer is not None:
                writer.close()
    if not sum(counts):
        raise InputError("no images to predict")
    found = [(path, count, shift - _BITS) for path, count in zip(paths, counts, strict=True) if count]
    return found, sum(counts)


def _sorted(bucket: tuple[Path, int, int]) -> Iterator[Any]:
    """Give the rows of a temporary file sorted by hash and name, in as many tables as memory asks for."""
    import pyarrow as arrow

    path, count, shift = bucket
    if count > _MOST_SORTED and shift >= 0:
        within = path.with_name(f"{path.name}-within")
        within.mkdir()
        with arrow.OSFile(str(path)) as file:
            smaller, _ = _spread(
                (arrow.Table.from_batches([one]) for one in arrow.ipc.open_stream(file)), within, shift
            )
        path.unlink()
        for one in smaller:
            yield from _sorted(one)
        return
    with arrow.OSFile(str(path)) as file:
        table = arrow.ipc.open_stream(file).read_all()
    path.unlink()
    yield table.sort_by([(_HASH, "ascending"), (IMAGE, "ascending")])


def _cut(buckets: Iterable[tuple[Path, int, int]], shards: int) -> Iterator[tuple[int, Any]]:
    """Give each shard that has images, and its rows, in order."""
    import pyarrow as arrow

    rest: Any = None
    for table in (table for bucket in buckets for table in _sorted(bucket)):
        table = table if rest is None else arrow.concat_tables([rest, table])
        numbers = shard_of_hash(table[_HASH].to_numpy(), shards)
        begins = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()]
        for begin, end in itertools.pairwise(begins):
            yield int(numbers[begin]), _once(table.slice(begin, end - begin))
        rest = table.slice(begins[-1])
    if rest is not None:
        yield int(shard_of_hash(rest[_HASH].to_numpy()[:1], shards)[0]), _once(rest)


def _once(rows: Any) -> Any:
    """Refuse a name that comes twice: equal names have equal hashes, so they follow each other."""
    names = rows[IMAGE].to_pylist()
    for one, other in itertools.pairwise(names):
        if one == other:
            raise InputError(f"the image {one} is listed twice; name each image once")
    return rows.drop_columns([_HASH])


def _stream(rows: Any) -> bytes:
    import pyarrow as arrow

    sink = io.BytesIO()
    with arrow.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    content = sink.getvalue()
    return content + zlib.crc32(content).to_bytes(_CHECK, "little")
