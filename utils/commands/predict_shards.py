"""Find the defects of any number of images, in shards: begin or go on, run what is missing, count what is there."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config import PredictConfig, Url
from utils.commands.progress import progress
from utils.data.listing import SUMMARY
from utils.data.parts import JOB, SKIPPED, committed, read_part, read_records
from utils.data.stores import Store
from utils.device import optional, versions
from utils.errors import InputError
from utils.inference.chosen import choose_weights
from utils.settings import given_fields
from utils.shards.engines import ENGINES
from utils.shards.fetching import measure_planned
from utils.shards.job import Job, Task, open_job, with_backend_of
from utils.shards.sources import Source, is_manifest
from utils.text import columns, plural

NAMED = 1000  # skipped images that summary.json names


@dataclass(frozen=True)
class ShardsResult:
    """What a prediction in shards holds now.

    Attributes:
        out: where it is.
        job: what was to predict.
        done: shards that this run predicted.
        images: rows of all parts.
        skipped: rows without a result.
        defective: images with a defect.
        found: class -> images, defects, pixels.
        seconds: of this run, with the listing.
        predicting: of this run, without it.
        predicted: images that this run predicted.
        leads: whether this process tells of it; others of the same run do not.
    """

    out: Path | Url
    job: Job
    done: int
    images: int
    skipped: int
    defective: int
    found: dict[str, list[int]]
    seconds: float
    predicting: float
    predicted: int
    leads: bool = True

    def text(self) -> str:
        """Format what was found for a terminal."""
        if not self.leads:
            return ""
        rows = [["class", "images with it", "defects", "pixels"]]
        rows += [[name, *map(str, total)] for name, total in self.found.items()]
        speed = f", {self.predicted / self.predicting:.1f} images/s" if self.predicted and self.predicting else ""
        there = self.job.shards - self.done
        lines = [
            columns(rows),
            "",
            f"{plural(self.images, 'image')}, {self.defective} defective; {self.seconds:.1f} s{speed}",
            f"{plural(self.done, 'shard')} predicted, {there} were there already",
        ]
        if self.skipped:
            lines.append(f"{plural(self.skipped, 'image')} skipped, named in {self.out}/{SUMMARY} and in the parts")
        lines.append(
            f"results in {self.out}: {plural(self.job.shards, 'part')} of the images listed on {self.job.listed}"
        )
        return "\n".join(lines)


def in_shards(config: PredictConfig) -> bool:
    """Check whether the flags ask for a prediction in shards."""
    places = (config.images, config.out)
    if config.engine is not None or any(isinstance(place, Url) for place in places):
        return True
    return config.images is not None and is_manifest(config.images)


def predict_shards(config: PredictConfig) -> ShardsResult:
    """Predict the shards of a job that are missing, and count all of them.

    Args:
        config: the flags of ``Predict_masks.py``.

    Returns:
        What all parts hold together.

    Raises:
        InputError: flags, weights or images are at fault, ``-out`` holds other results, or a store does not answer.
    """
    began = time.perf_counter()
    config = _checked(config)
    images, out = config.images, config.out
    assert images is not None and out is not None  # noqa: PT018
    optional("-engine", "pyarrow", "pyarrow.parquet")
    chosen = choose_weights(config)
    source, store = Source(images), Store(out, "-out")
    with ENGINES[config.engine or "local"](config) as engine:

        def begin() -> tuple[PredictConfig, Job, list[int]]:
            settled = with_backend_of(config, store)
            job = open_job(settled, chosen, store, source, lambda plan, depth: measure_planned(source, plan, depth))
            return settled, job, job.missing(store)

        settled, job, todo = engine.first(begin)
        start = time.perf_counter()
        with progress(len(todo), "predict shards") as bar:
            for _ in engine.run(Task(settled, job, todo)):
                bar.update()
        predicting = time.perf_counter() - start
        result = engine.first(lambda: _count(store, job, todo, began, predicting))
        return replace(result, leads=engine.leads)


def _count(store: Store, job: Job, todo: list[int], began: float, predicting: float) -> ShardsResult:
    """Count the rows of all parts by their records; every image of the job has to be there once.

    Raises:
        InputError: a part is missing, damaged or of another job.
    """
    there = committed(store, job.shards)
    if lost := job.shards - len(there):
        raise InputError(f"{store.place}: {plural(lost, 'part')} missing; type the command again, it predicts them")
    images = skipped = defective = predicted = 0
    found: dict[str, list[int]] = {name: [0, 0, 0] for name in job.settings["classes"]}
    with_skipped = []
    fresh = set(todo)
    for part in read_records(store, [there[shard] for shard in sorted(there)]):
        record = part.record
        # Parts of earlier versions do not name their plan.
        if record["settings"] != job.settings or record.get("plan", job.plan) != job.plan:
            raise InputError(
                f"{store.place}/{part.name}: is of another job than {JOB}; remove it and type the command again"
            )
        images += record["rows"]
        skipped += record["skipped"]
        defective += record["defective"]
        predicted += record["rows"] if record["shard"] in fresh else 0
        if record["skipped"]:
            with_skipped.append((part.name, record["skipped"]))
        for name, total in record["found"].items():
            found[name] = [one + more for one, more in zip(found.setdefault(name, [0, 0, 0]), total, strict=True)]
    if images != job.count:
        raise InputError(
            f"{store.place}: its parts have {images} images, {job.count} were listed; predict into another folder"
        )
    result = ShardsResult(
        store.place,
        job,
        len(todo),
        images,
        skipped,
        defective,
        found,
        time.perf_counter() - began,
        predicting,
        predicted,
    )
    store.replace(SUMMARY, (json.dumps(_summary(result, _named(store, with_skipped)), indent=2) + "\n").encode())
    return result


def _named(store: Store, parts: list[tuple[str, int]]) -> list[dict[str, str]]:
    """Name the first images that were skipped."""
    named: list[dict[str, str]] = []
    for name, _ in parts:
        for row in read_part(store, name, columns=["image", "status", "reason"]).to_pylist():
            if row["status"] == SKIPPED and len(named) < NAMED:
                named.append({"image": row["image"], "reason": row["reason"]})
        if len(named) >= NAMED:
            break
    return named


def _summary(result: ShardsResult, named: list[dict[str, str]]) -> dict[str, Any]:
    keys = ("images", "defects", "area_px")
    return {
        **result.job.settings,
        "source": result.job.images,
        "listed": result.job.listed,
        "shards": result.job.shards,
        "images": result.images,
        "defective": result.defective,
        "defects": sum(total[1] for total in result.found.values()),
        "found": {name: dict(zip(keys, total, strict=True)) for name, total in result.found.items()},
        "skipped_images": result.skipped,
        "skipped": named,
        "versions": versions(),
    }


def _checked(config: PredictConfig) -> PredictConfig:
    """Return the flags with whole paths, for other machines; raise ``InputError`` for flags that shards do not have."""
    if config.images is None or config.dir is not None:
        raise InputError("-engine: give -images FOLDER, URL or MANIFEST, and not -dir")
    if config.num_of_images:
        raise InputError("-num_of_images: not with shards; name the images that you want in a manifest for -images")
    asked = config.save if "save" in given_fields(config) else ()
    if others := [word for word in asked if word != "overlays"]:
        raise InputError(
            f"-save {','.join(others)}: not with shards, whose parts hold the defects and their pixels; -save overlays draws"
            " the images that have some"
        )
    out = config.out
    if out is None:
        if isinstance(config.images, Url) or not config.images.is_dir():
            raise InputError("-out: name a folder or URL for the results")
        out = config.images / "results"
    weights = ",".join(str(Path(word).absolute()) for word in str(config.weights_dir).split(","))
    return replace(
        config,
        images=_whole(config.images),
        out=_whole(out),
        weights_dir=config.weights_dir.absolute() if config.weights_dir.exists() else Path(weights),
        save=tuple(asked),
    )


def _whole(place: Path | Url) -> Path | Url:
    return place if isinstance(place, Url) else place.absolute()
