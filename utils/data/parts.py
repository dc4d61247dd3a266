"""Parts: the Parquet files of a prediction in shards. A row is an image, with its defects as a list; a record goes along.

The record is in the file itself, so that both appear in one step: rows, their sha256, the network, the settings.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import Url
from utils.data.listing import JOB
from utils.data.stores import Store
from utils.errors import InputError

KEY = b"steel-defects"  # of the record in the metadata of a part
OK, SKIPPED = "ok", "skipped"
CLEAN, DEFECTIVE = "clean", "defective"
_PART = re.compile(r"part-(\d{5,})-of-(\d{5,})\.parquet")
_READERS = 16  # footers that are read at once


def part_name(shard: int, shards: int) -> str:
    """Return the name of a shard's part."""
    return f"part-{shard:05d}-of-{shards:05d}.parquet"


def shard_of(name: str, shards: int) -> int | None:
    """Return the shard of a part by its name; None for other files."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match and int(match[2]) == shards else None


def image_columns() -> Any:
    """Return the columns that every part has, a ``pyarrow.Schema``; those of a manifest come behind them."""
    import pyarrow as arrow

    text, small = arrow.string(), arrow.int32()
    of_class = [("class_id", small), ("name", text)]
    area = ("area_px", arrow.int64())
    box = [(name, small) for name in ("x", "y", "width", "height")]
    found = arrow.struct([*of_class, ("defects", small), area])
    defect = arrow.struct([*of_class, *box, area, ("mean_probability", arrow.float64()), ("rle", text)])
    label = arrow.struct([("name", text), ("probability", arrow.float64())])
    return arrow.schema(
        [
            ("image", text),
            ("status", text),
            ("reason", text),
            ("verdict", text),
            ("height", small),
            ("width", small),
            ("classes", arrow.list_(found)),
            ("labels", arrow.list_(label)),
            ("defects", arrow.list_(defect)),
        ]
    )


def skipped_row(reason: str) -> dict[str, Any]:
    """Return the row of an image that nothing is known of, but for its name."""
    nothing = dict.fromkeys(("verdict", "height", "width"))
    return {"status": SKIPPED, "reason": reason, **nothing, "classes": [], "labels": [], "defects": []}


def digest_of(table: Any) -> str:
    """Return the sha256 of the rows of a ``pyarrow.Table``: of a line of JSON for each."""
    digest = hashlib.sha256()
    for row in table.to_pylist():
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def encode_part(table: Any, record: dict[str, Any]) -> bytes:
    """Return the bytes of a part.

    Args:
        table: ``pyarrow.Table`` of its rows.
        record: what to say about them beside their number and sha256.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    whole = {**record, "rows": table.num_rows, "sha256": digest_of(table)}
    sink = arrow.BufferOutputStream()
    parquet.write_table(
        table.replace_schema_metadata({KEY: json.dumps(whole, ensure_ascii=False).encode()}),
        sink,
        compression="zstd",
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


@dataclass(frozen=True)
class Part:
    """A committed part.

    Attributes:
        name: of the file.
        record: that goes along.
    """

    name: str
    record: dict[str, Any]


def read_records(store: Store, names: Sequence[str]) -> Iterator[Part]:
    """Read the records of parts, not their rows, in the order of the names.

    Raises:
        InputError: a file is damaged, or no part.
    """
    import pyarrow.parquet as parquet

    def read(name: str) -> Part:
        try:
            with store.open(name, block_size=2**16) as file:
                footer = parquet.read_metadata(file)
            record = json.loads((footer.metadata or {})[KEY])
            if record["rows"] != footer.num_rows:
                raise ValueError(f"{footer.num_rows} rows, but its record says {record['rows']}")
        except (KeyError, TypeError, ValueError, OSError) as error:  # pyarrow's errors are of the latter two
            raise _damaged(store, name, error) from None
        return Part(name, record)

    with ThreadPoolExecutor(_READERS) as threads:
        for first in range(0, len(names), 1000):
            yield from threads.map(read, names[first : first + 1000])


def read_part(store: Store, name: str, check: bool = True, columns: Sequence[str] | None = None) -> Any:
    """Read the rows of a part as a ``pyarrow.Table``; ``check`` compares all of them with the record's sha256.

    Raises:
        InputError: the file is damaged, no part, or holds other rows than were written.
    """
    import pyarrow.parquet as parquet

    try:
        with store.open(name) as file:
            wanted = None if columns is None else list(columns)
            table = parquet.read_table(file, columns=wanted, page_checksum_verification=True)
        record = json.loads((table.schema.metadata or {})[KEY])
        if table.num_rows != record["rows"]:
            raise ValueError(f"{table.num_rows} rows, but its record says {record['rows']}")
        if check and columns is None and digest_of(table) != record["sha256"]:
            raise ValueError("its rows do not have the sha256 of its record")
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise _damaged(store, name, error) from None
    return table


def is_parts(place: Path | Url) -> bool:
    """Check whether a place is a folder of parts, or a part."""
    if str(place).endswith(".parquet"):
        return True
    if isinstance(place, Path):
        return (place / JOB).is_file()
    return not str(place).endswith(".csv")


def read_rows(place: Path | Url, flag: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Give the tables of all parts of a folder one after the other, or that of the part which is named.

    Raises:
        InputError: no parts there, some are missing, or one is damaged.
    """
    if str(place).endswith(".parquet"):
        folder, _, name = str(place).rpartition("/")
        store = Store(Url(folder) if isinstance(place, Url) else place.parent, flag)
        yield read_part(store, name if isinstance(place, Url) else place.name, check=False, columns=columns)
        return
    store = Store(place, flag)
    try:
        job = json.loads(store.read(JOB))
        shards = int(job["shards"])
    except FileNotFoundError:
        raise InputError(f"{flag} {place}: no {JOB} in it; name the -out of a prediction in shards") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{flag} {place}: {JOB} is damaged; predict again into another folder") from None
    there = committed(store, shards)
    if len(there) < shards:
        raise InputError(
            f"{flag} {place}: {shards - len(there)} of {shards} parts are missing; run the prediction again, it goes on where it"
            " stopped"
        )
    for name in (there[shard] for shard in sorted(there)):
        yield read_part(store, name, check=False, columns=columns)


def committed(store: Store, shards: int) -> dict[int, str]:
    """List the parts of a folder: shard -> name of its file."""
    found: Iterable[tuple[int | None, str]] = ((shard_of(name, shards), name) for name in store.names())
    return {shard: name for shard, name in found if shard is not None}


def _damaged(store: Store, name: str, error: Exception) -> InputError:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        text = "not a part of a prediction in shards"
    return InputError(f"{store.place}/{name}: {text}; remove the file and run the prediction again")
