"""The job: what all parts of an ``-out`` have in common. The first run writes it, later runs go on with it or are refused."""

import datetime
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from config import PredictConfig, Url
from utils.data.bit_depth import BitDepth
from utils.data.listing import JOB
from utils.data.parts import committed
from utils.data.stores import Store
from utils.device import choose_device, optional, versions
from utils.errors import InputError
from utils.files import make_folder
from utils.inference.chosen import Chosen
from utils.settings import given_fields
from utils.shards.plan import Plan, decode_offsets, encode_offsets, make_plan
from utils.shards.sources import Source, is_manifest
from utils.weights.torch_file import digest

FORMAT = 2
WHOLE_BITS, FLOAT_WHITE = 16, 1.0  # of images whose kind the measured ones do not have


@dataclass(frozen=True)
class Job:
    """A job that is under way, or done.

    Attributes:
        images: where they are.
        listed: when, ISO 8601.
        manifest: sha256 of the manifest; empty for folders.
        count: images of all shards.
        plan: name of the plan file in ``-out``.
        offsets: ``(shards + 1,)`` int64, where each shard begins in the plan file.
        settings: all that a result depends on, as plain words and numbers.
    """

    images: str
    listed: str
    manifest: str
    count: int
    plan: str
    offsets: np.ndarray
    settings: dict[str, Any]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.offsets) - 1

    @property
    def depth(self) -> BitDepth:
        """How images of more than 8 bits are read."""
        return BitDepth(self.settings["bits"], self.settings["float_white"])

    def missing(self, store: Store) -> list[int]:
        """List the shards without a part."""
        there = committed(store, self.shards)
        return [shard for shard in range(self.shards) if shard not in there]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``job.json`` holds."""
        return {
            "format": FORMAT,
            "images": self.images,
            "listed": self.listed,
            "manifest_sha256": self.manifest,
            "count": self.count,
            "shards": self.shards,
            "plan": self.plan,
            "settings": self.settings,
            "versions": versions(),
        }


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


def resolved(config: PredictConfig) -> PredictConfig:
    """Return the flags with ``auto`` of backend and precision replaced, so that every shard is computed alike."""
    backend, precision = config.backend, config.precision
    if backend == "auto":
        gpu = config.device == "cuda" or choose_device(config.device).type == "cuda"
        backend = "torch" if gpu or not _has("openvino") else "openvino"
    return replace(config, backend=backend, precision="f32" if precision == "auto" else precision)


def settings_of(config: PredictConfig, chosen: Chosen) -> dict[str, Any]:
    """Return all that a result depends on but the bit depth, which may have to be measured.

    Args:
        config: the flags, ``resolved``.
        chosen: the network.
    """
    return {
        "sha256": chosen.weights.sha256 or digest(chosen.path),
        **chosen.to_dict(),
        "backend": config.backend,
        "precision": config.precision,
        "compile": config.compile,
        "overlays": "overlays" in config.save and "save" in given_fields(config),
    }


def open_job(
    config: PredictConfig,
    chosen: Chosen,
    store: Store,
    source: Source,
    measure: Callable[[Plan, BitDepth], BitDepth],
) -> Job:
    """Go on with the job of ``-out``, or list the images and begin one.

    Args:
        config: the flags.
        chosen: the network.
        store: of ``-out``.
        source: of the images.
        measure: measures on images of a plan what is not known of the bit depth.

    Raises:
        InputError: the job there has other images, another network or other settings; or there is nothing to predict.
    """
    if (job := read_job(store)) is None:
        job = _begin(config, chosen, store, source, measure)
    _refuse_others(config, chosen, job, source, store)
    return job


def read_job(store: Store) -> Job | None:
    """Read the job of a folder; None where there is none."""
    try:
        stored = json.loads(store.read(JOB))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{store.place}/{JOB}: not JSON ({error}); name another folder with -out") from None
    if stored.get("format") != FORMAT:
        raise InputError(f"{store.place}/{JOB}: of another version of this program; name another folder with -out")
    names = ("images", "listed", "count", "plan", "settings")
    try:
        known = {name: stored[name] for name in names}
        offsets = decode_offsets(store.read(_offsets(known["plan"])))
        return Job(**known, manifest=stored["manifest_sha256"], offsets=offsets)
    except (KeyError, TypeError, FileNotFoundError) as error:
        raise InputError(f"{store.place}/{JOB}: damaged ({error}); name another folder with -out") from None


def _begin(
    config: PredictConfig,
    chosen: Chosen,
    store: Store,
    source: Source,
    measure: Callable[[Plan, BitDepth], BitDepth],
) -> Job:
    """List the images, measure their bit depth, and write plan and job; where another run was first, take its job."""
    if committed_before := next((name for name in store.names() if name.startswith("part-")), None):
        raise InputError(
            f"-out {store.place}: holds {committed_before} but no {JOB}, so nothing tells what made it; name another folder"
        )
    manifest = _sha256_of(source.place) if is_manifest(source.place) else ""
    assert config.out is not None
    with tempfile.TemporaryDirectory(prefix="steel-plan-") as folder:
        try:
            plan = make_plan(source.tables(config.out), config.shard_size, Path(folder))
        except InputError as error:
            said = str(error)
            raise InputError(said if said.startswith("-images") else f"-images {source.place}: {said}") from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or error.filename is not None:
                raise
            remedy = "free some, or name a folder with room in TMPDIR"
            raise InputError(f"{folder}: {os.strerror(error.errno)}, for the list of images; {remedy}") from None
        depth = chosen.depth if chosen.depth.known else measure(plan, chosen.depth)
        depth = BitDepth(depth.bits or WHOLE_BITS, depth.float_white or FLOAT_WHITE)
        if store.local is not None:
            make_folder(store.local)
        name = f"plan-{plan.sha256[:16]}.arrow"
        settings = {**settings_of(config, chosen), "bits": depth.bits, "float_white": depth.float_white}
        listed = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        job = Job(str(source.place), listed, manifest, plan.images, name, plan.offsets, settings)
        store.put(plan.file, name)
        store.replace(_offsets(name), encode_offsets(plan.offsets))
        if not store.create(JOB, (json.dumps(job.to_dict(), indent=2, ensure_ascii=False) + "\n").encode()):
            there = read_job(store)
            assert there is not None
            return there
    return job


def _refuse_others(config: PredictConfig, chosen: Chosen, job: Job, source: Source, store: Store) -> None:
    """Raise ``InputError`` where this run would give other results than the parts that are there."""
    if job.images != str(source.place):
        raise InputError(
            f"-out {store.place}: holds results of {job.images}, not of {source.place}; name another folder"
        )
    if job.manifest and _sha256_of(source.place) != job.manifest:
        raise InputError(
            f"-images {source.place}: is not the manifest that {store.place} was begun with on {job.listed}; name another"
            " folder with -out"
        )
    wanted = settings_of(config, chosen)
    # What the flags leave open is what the job has.
    wanted |= {"bits": chosen.depth.bits, "float_white": chosen.depth.float_white}
    for name, value in json.loads(json.dumps(wanted)).items():
        there = job.settings.get(name)
        if (name in ("bits", "float_white") and value is None) or value == there:
            continue
        raise InputError(
            f"-out {store.place}: its parts were made with {name} {_shown(there)}, this run has {_shown(value)}; take the"
            " same, or name another folder"
        )


def with_backend_of(config: PredictConfig, store: Store) -> PredictConfig:
    """Return the flags with ``auto`` of backend and precision as the job of ``-out`` has them, else ``resolved``."""
    job = read_job(store) if "auto" in (config.backend, config.precision) else None
    if job is not None:
        if config.backend == "auto":
            config = replace(config, backend=job.settings["backend"])
        if config.precision == "auto":
            config = replace(config, precision=job.settings["precision"])
    return resolved(config)


def _offsets(plan: str) -> str:
    return plan.removesuffix(".arrow") + ".offsets"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _sha256_of(place: Path | Url) -> str:
    found = hashlib.sha256()
    store = Store(place, "-images")
    if not store.is_file():
        raise InputError(f"-images {place}: no such manifest")
    with store.open() as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()


def _has(package: str) -> bool:
    try:
        optional("-backend", package)
    except InputError:
        return False
    return True
