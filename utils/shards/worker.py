"""A worker: reads, predicts and writes one shard after the other, each as a whole, by the one pipeline."""

import time
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from config import PredictConfig
from utils.data.parts import DEFECTIVE, OK, encode_part, image_columns, part_name, skipped_row
from utils.data.stores import Store
from utils.device import versions
from utils.errors import InputError
from utils.inference.chosen import choose_weights
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.outputs import encode_png, overlay_of
from utils.shards.fetching import fetched_files
from utils.shards.job import Job
from utils.shards.plan import hash_of, read_shard
from utils.shards.rows import found_row
from utils.shards.sources import IMAGE, Source
from utils.weights.torch_file import digest


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
        self.versions = versions()
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
            "plan": self.job.plan,
            "skipped": sum(row["status"] != OK for row in rows),
            "defective": sum(row["verdict"] == DEFECTIVE for row in rows),
            "found": _totals(rows),
            "settings": self.job.settings,
            "network": self.pipeline.system.name,
            "versions": self.versions,
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
        for paths in fetched_files(self.source, plan, rows):
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
