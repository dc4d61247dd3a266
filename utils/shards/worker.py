"""A worker: reads, predicts and writes one shard after the other, each as a whole, by the one pipeline."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from config import PredictConfig, Url
from utils.data.bit_depth import BitDepth
from utils.data.images import SAMPLED, WIDE_SUFFIXES, measure_depth
from utils.data.parts import DEFECTIVE, OK, encode_part, image_columns, part_name
from utils.data.stores import Store
from utils.device import versions
from utils.errors import InputError
from utils.inference.chosen import choose_weights
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.outputs import encode_png, overlay_of
from utils.shards.job import Job
from utils.shards.plan import Plan, hash_of, read_shard
from utils.shards.rows import found_row, skipped_row
from utils.shards.sources import IMAGE, URL, Source
from utils.weights.torch_file import digest

PIECE = 256  # images of a store that lie on this machine's disk at once, and as many that are on their way
_FETCHES = 16  # at once
_MOST_LOOKED = 2000  # images of a plan that are looked through for those of more than 8 bits
NOT_THERE, NOT_ALLOWED = "no such image", "no permission to read"


@dataclass(frozen=True)
class Task:
    """What an engine runs.

    Attributes:
        config: the flags, with a backend and a precision.
        job: of ``-out``.
        todo: shards to predict.
    """

    config: PredictConfig
    job: Job
    todo: list[int]


class Worker:
    """Predicts shards of a job.

    Args:
        config: the flags, with a backend and a precision.
        job: of ``-out``.

    Raises:
        InputError: the weights here are not those of the job, or this machine cannot run them as asked.
    """

    def __init__(self, config: PredictConfig, job: Job) -> None:
        assert config.out is not None and config.images is not None  # noqa: PT018
        self.job, self.store, self.source = job, Store(config.out, "-out"), Source(config.images)
        chosen = replace(choose_weights(config), depth=job.depth)
        if (chosen.weights.sha256 or digest(chosen.path)) != job.settings["sha256"]:
            raise InputError(f"{chosen.path}: is not the network of the job in {config.out}; copy it to this machine")
        spec = chosen.weights.spec
        self.chosen = chosen
        self.class_ids = range(spec.first_class, spec.first_class + len(spec.scored_names))
        self.skipped: list[Refused] = []
        self.pipeline = open_pipeline(chosen, config, self.skipped, describe=True, images=None)

    def run(self, shard: int) -> None:
        """Predict one shard and commit its part.

        Raises:
            StoreError: the store does not answer; nothing was committed.
        """
        began = time.perf_counter()
        columns = image_columns()
        plan = read_shard(self.store, self.job.plan, *self.job.offsets[shard : shard + 2].tolist())
        rows = [] if plan is None else self._rows(plan)
        table = self._table(plan, rows, columns)
        record = {
            "shard": shard,
            "shards": self.job.shards,
            "skipped": sum(row["status"] != OK for row in rows),
            "defective": sum(row["verdict"] == DEFECTIVE for row in rows),
            "found": _totals(rows),
            "settings": self.job.settings,
            "network": self.pipeline.system.name,
            "versions": versions(),
            "seconds": round(time.perf_counter() - began, 3),
        }
        self.store.create(part_name(shard, self.job.shards), encode_part(table, record))

    def _table(self, plan: Any, rows: list[dict[str, Any]], columns: Any) -> Any:
        """Put what was found beside the names, and the columns of the manifest behind."""
        import pyarrow as arrow

        found = {field.name: arrow.array([row[field.name] for row in rows], field.type) for field in list(columns)[1:]}
        if plan is None:
            return arrow.table({IMAGE: arrow.array([], arrow.string()), **found})
        more = {name: plan[name] for name in plan.column_names if name != IMAGE}
        return arrow.table({IMAGE: plan[IMAGE], **found, **more})

    def _rows(self, plan: Any) -> list[dict[str, Any]]:
        """Predict the images of a shard: a row for each, in their order."""
        names = plan[IMAGE].to_pylist()
        rows: list[dict[str, Any] | None] = [None] * len(names)
        pictures = self.job.settings["overlays"]
        for paths in _files(self.source, plan, rows):
            place_of = {path: place for place, path in paths.items()}
            self.skipped.clear()

            def finish(path: Path, result: Inspected) -> dict[str, Any]:
                row = found_row(result, self.chosen, self.class_ids)
                if pictures and row["verdict"] == DEFECTIVE and self.chosen.class_names:
                    drawn = encode_png(overlay_of(result, self.chosen.class_names))
                    self.store.replace(f"overlays/{picture_of(names[place_of[path]])}", drawn)  # noqa: B023
                return row

            for path, row in self.pipeline.run(list(place_of), finish):
                rows[place_of[path]] = row
            for refused in self.skipped:
                rows[place_of[Path(refused.name)]] = skipped_row(refused.reason)
        lost = [name for name, row in zip(names, rows, strict=True) if row is None]
        assert not lost, f"no row for {lost[:3]}"
        return [row for row in rows if row is not None]


def picture_of(image: str) -> str:
    """Return the name of an image's overlay: its own and ``.png``; by its hash where it would lead elsewhere."""
    parts = PurePosixPath(image).parts
    leads = image.startswith("/") or "://" in image or "\\" in image or ".." in parts or ":" in image.partition("/")[0]
    return f"{hash_of(image):016x}.png" if leads else f"{'/'.join(parts)}.png"


def measure_planned(source: Source, plan: Plan, depth: BitDepth) -> BitDepth:
    """Measure what is not known of a bit depth on the first images of a plan, which are an even sample of all."""
    import pyarrow as arrow

    wide, looked = [], 0
    with open(plan.file, "rb") as file:
        for start, end in zip(plan.offsets[:-1].tolist(), plan.offsets[1:].tolist(), strict=True):
            if start == end:
                continue
            file.seek(start)
            table = arrow.ipc.open_stream(file.read(end - start)).read_all()
            suffixes = [PurePosixPath(name).suffix.lower() for name in table[IMAGE].to_pylist()]
            places = [place for place, suffix in enumerate(suffixes) if suffix in WIDE_SUFFIXES]
            wide.append(table.take(arrow.array(places, arrow.int64())))
            looked += table.num_rows
            if looked >= _MOST_LOOKED or sum(one.num_rows for one in wide) >= SAMPLED:
                break
    sample = arrow.concat_tables(wide).slice(0, SAMPLED)
    found = depth
    for paths in _files(source, sample, [None] * sample.num_rows):
        found = measure_depth(list(paths.values()), found)
    return found


def _files(source: Source, plan: Any, rows: list[Any]) -> Iterator[dict[int, Path]]:
    """Give the images of a shard as files of this machine: place in the shard -> path.

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


def _totals(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Return images, defects and pixels of each class that was found."""
    totals: dict[str, list[int]] = {}
    for row in rows:
        for found in row["classes"]:
            total = totals.setdefault(found["name"], [0, 0, 0])
            total[0] += 1
            total[1] += found["defects"]
            total[2] += found["area_px"]
    return totals
