"""Images of a shard as files of this machine: those of a store are fetched, a piece ahead of what is predicted."""

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from config import Url
from utils.data.bit_depth import BitDepth
from utils.data.images import SAMPLED, WIDE_SUFFIXES, measure_depth
from utils.data.parts import skipped_row
from utils.data.stores import Store
from utils.errors import InputError
from utils.shards.plan import Plan, decode_shard
from utils.shards.sources import IMAGE, URL, Source

PIECE = 256  # images of a store that lie on this machine's disk at once, and as many that are on their way
_FETCHES = 16  # at once
_MOST_LOOKED = 2000  # images of a plan that are looked through for those of more than 8 bits
NOT_THERE, NOT_ALLOWED = "no such image", "no permission to read"


def measure_planned(source: Source, plan: Plan, depth: BitDepth) -> BitDepth:
    """Measure what is not known of a bit depth on the first images of a plan, which are an even sample of all."""
    import pyarrow as arrow

    wide, looked = [], 0
    with open(plan.file, "rb") as file:
        for start, end in zip(plan.offsets[:-1].tolist(), plan.offsets[1:].tolist(), strict=True):
            if start == end:
                continue
            file.seek(start)
            table = decode_shard(file.read(end - start))
            suffixes = [PurePosixPath(name).suffix.lower() for name in table[IMAGE].to_pylist()]
            places = [place for place, suffix in enumerate(suffixes) if suffix in WIDE_SUFFIXES]
            wide.append(table.take(arrow.array(places, arrow.int64())))
            looked += table.num_rows
            if looked >= _MOST_LOOKED or sum(one.num_rows for one in wide) >= SAMPLED:
                break
    sample = arrow.concat_tables(wide).slice(0, SAMPLED)
    found = depth
    for paths in fetched_files(source, sample, [None] * sample.num_rows):
        found = measure_depth(list(paths.values()), found)
    return found


def fetched_files(source: Source, plan: Any, rows: list[Any]) -> Iterator[dict[int, Path]]:
    """Yield the images of a shard as files of this machine: place in the shard -> path.

    Those on a disk come at once. Those of a store are fetched a piece at a time, one piece ahead, and removed behind; for
    those that are not there, or may not be read, their row says so.
    """
    names = plan[IMAGE].to_pylist()
    urls = plan[URL].to_pylist() if URL in plan.column_names else [None] * len(names)
    here: dict[int, Path] = {}
    there: list[tuple[int, Store, str]] = []
    stores: dict[str, Store] = {}
    root = source.root
    for place, (name, url) in enumerate(zip(names, urls, strict=True)):
        where = url or name
        if "://" in where:
            kind = where.partition("://")[0]
            store = stores.setdefault(kind, Store(Url(where), "-images"))
            path = str(store.fs._strip_protocol(where))
        elif isinstance(root, Url):
            store = stores.setdefault("", Store(root, "-images"))
            path = store.at(where)
        else:
            here[place] = root / where
            continue
        if store.local is not None:
            here[place] = Path(path)
        else:
            there.append((place, store, path))
    while here:
        once: dict[Path, int] = {}
        for place, file in here.items():
            once.setdefault(file, place)
        yield {place: file for file, place in once.items()}
        here = {place: file for place, file in here.items() if once[file] != place}  # a second name of the same file
    if there:
        with tempfile.TemporaryDirectory(prefix="steel-shard-") as folder:
            yield from _fetched(there, Path(folder), rows)


def _fetched(there: list[tuple[int, Store, str]], folder: Path, rows: list[Any]) -> Iterator[dict[int, Path]]:
    """Fetch images a piece at a time, the next while the last one is predicted."""

    def fetch(one: tuple[int, Store, str]) -> tuple[int, Path | None, str]:
        place, store, path = one
        target = folder / f"{place}{PurePosixPath(path).suffix}"
        try:
            store.fetch(path, target)
        except FileNotFoundError:
            return place, None, NOT_THERE
        except PermissionError:
            return place, None, NOT_ALLOWED
        return place, target, ""

    pieces = [there[first : first + PIECE] for first in range(0, len(there), PIECE)]
    with ThreadPoolExecutor(_FETCHES) as threads:
        coming = [threads.submit(fetch, one) for one in pieces[0]]
        try:
            for number in range(len(pieces)):
                found = [job.result() for job in coming]
                coming = [threads.submit(fetch, one) for one in pieces[number + 1]] if number + 1 < len(pieces) else []
                if all(reason == NOT_ALLOWED for _, _, reason in found):
                    raise InputError(
                        f"-images {there[0][2]}: no permission to read any of {len(found)} images; check the credentials"
                    )
                for place, _, reason in found:
                    if reason:
                        rows[place] = skipped_row(reason)
                paths = {place: path for place, path, _ in found if path is not None}
                if paths:
                    yield paths
                for path in paths.values():
                    with contextlib.suppress(OSError):
                        path.unlink()
        finally:
            for job in coming:
                job.cancel()
