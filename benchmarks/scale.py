"""Predictions in shards: memory and time by the length of the list, a rerun, kills on a cluster, and Ray against one process.

    python benchmarks/scale.py -cases memory,rerun              # manifests of images that are not there: no network runs
    python benchmarks/scale.py -cases kills -images 100000      # tiny images in an S3 of this machine, a simulated cluster
    python benchmarks/scale.py -cases strips -strips 2000       # U-Net efficientnet-b0 on strips of 256x1600

Each case that the CSV has already of this machine and size is left out. ``kills`` and ``strips`` need requirements-scale.txt.
"""

import datetime
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.dataset_size import peak
from benchmarks.machine import facts, find_rows, here, write_rows
from benchmarks.simulated_cluster import LAUNCH, cluster, kill_node, store, task_processes, upload
from config import PredictConfig, Url, flag
from utils.cli import DONE, parse, run

ROOT = Path(__file__).resolve().parents[1]
TRIES = 5  # to type the command again where it ends with exit code 2


@dataclass(frozen=True, kw_only=True)
class ScaleConfig:
    """What this benchmark does."""

    cases: tuple[str, ...] = flag("memory, rerun, kills, strips", ("memory", "rerun"))
    rows: tuple[int, ...] = flag("of memory: rows of the manifests", (10_000, 1_000_000))
    images: int = flag("of rerun and kills", 100_000, low=10)
    shard_size: int = flag("images of a shard", 1000, low=1)
    strips: int = flag("of strips", 2000, low=10)
    kills: tuple[int, ...] = flag("workers, nodes, drivers that are killed", (20, 5, 5))
    nodes: int = flag("of the simulated cluster", 3, low=1)
    seed: int = flag("of the kills", 0)
    work: Path = flag("folder for images, networks and results", Path(tempfile.gettempdir()) / "steel-scale")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/scale.csv")


def main(argv: Sequence[str]) -> int:
    """Measure what is missing and print it."""
    config = parse(ScaleConfig, argv, "scale.py", "Measure predictions in shards.")
    os.environ["OMP_NUM_THREADS"] = "1"
    config.work.mkdir(parents=True, exist_ok=True)
    for case in config.cases:
        size = {"memory": max(config.rows), "strips": config.strips}.get(case, config.images)
        key = {"case": case, "size": size, "shard_size": config.shard_size}
        if find_rows(config.out, {**key, **here(1)}):
            print(f"{case} of {size}: measured already, in {config.out}")
            continue
        rows = []  # written when all is done: a case that broke off was not measured
        for what, value, unit in CASES[case](config):
            print(f"{case:8s} {what:50s} {value:12.3f} {unit}", flush=True)
            row = {
                "date": datetime.date.today().isoformat(),
                **key,
                "what": what,
                "value": round(value, 4),
                "unit": unit,
            }
            rows.append({**row, **facts(1, "torch", "pyarrow")})
        write_rows(config.out, rows)
    return DONE


Measured = Iterator[tuple[str, float, str]]


def network(work: Path, encoder: str = "test_resnet") -> Path:
    """Write an untrained network, and return its folder: what is measured is time and memory, not skill."""
    import torch

    from utils.decision.decision import Decision
    from utils.models.factory import build
    from utils.models.spec import ModelSpec
    from utils.weights.weights_file import WeightsFile

    folder = work / f"network-{encoder}"
    if not folder.exists():
        narrow = (16, 16, 16, 8, 8) if encoder == "test_resnet" else ()
        spec = ModelSpec("unet", encoder, "multilabel", ("pits", "cracks"), 3, None, decoder_channels=narrow)
        torch.manual_seed(1)
        model = build(spec)
        torch.nn.init.normal_(model.net.segmentation_head[0].weight, std=0.5)
        decision = Decision.uniform(2, 0.5, 20, 0)
        WeightsFile(spec, model.net.state_dict(), model.mean, model.std, None, decision).save_named(folder, "unet")
    return folder


def predicting(config: ScaleConfig, weights: Path, **more: Any) -> PredictConfig:
    """Return the flags of a prediction here."""
    flags = {"backend": "torch", "device": "cpu", "threads": 1, "shard_size": config.shard_size, "engine": "local"}
    return PredictConfig(weights_dir=weights, **{**flags, **more})


def manifest(work: Path, rows: int) -> Path:
    """Write a manifest of images that are not there."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    path = work / f"rows-{rows}.parquet"
    if not path.exists():
        schema = arrow.schema([("image", arrow.string()), ("coil", arrow.int64())])
        with parquet.ParquetWriter(path, schema) as writer:
            for first in range(0, rows, 100_000):
                numbers = range(first, min(first + 100_000, rows))
                names = [f"2026/line{number % 4}/{number:09d}.jpg" for number in numbers]
                writer.write_table(
                    arrow.table({"image": names, "coil": [number // 2500 for number in numbers]}, schema)
                )
    return path


def measure_memory(config: ScaleConfig) -> Measured:
    """Plan manifests of several lengths and predict a shard of each, in processes of their own."""
    weights, peaks = network(config.work), {}
    for rows in config.rows:
        path, out = manifest(config.work, rows), config.work / "memory"
        shutil.rmtree(out, ignore_errors=True)
        words = [sys.executable, __file__, "-worker", path, weights, out, config.shard_size]
        answer = subprocess.run([str(word) for word in words], cwd=ROOT, capture_output=True, text=True, check=True)
        idle, planned, worked, seconds = map(float, answer.stdout.split()[-4:])
        peaks[rows] = worked
        yield f"peak before anything is listed, {rows} rows", idle, "MB"
        yield f"peak of the driver when planned, {rows} rows", planned, "MB"
        yield f"peak after a shard too, {rows} rows", worked, "MB"
        yield f"planning {rows} rows", seconds, "s"
    yield "peak of most rows / of fewest", peaks[max(peaks)] / peaks[min(peaks)], ""


def one_process(words: Sequence[str]) -> int:
    """Plan and predict one shard, and print peaks of memory in MB and the seconds of planning."""
    from utils.data.stores import Store
    from utils.inference.chosen import choose_weights
    from utils.shards.fetching import measure_planned
    from utils.shards.job import open_job, resolved
    from utils.shards.sources import Source
    from utils.shards.worker import Worker

    path, weights, out, size = Path(words[0]), Path(words[1]), Path(words[2]), int(words[3])
    config = resolved(predicting(ScaleConfig(shard_size=size), weights, images=path, out=out, save=("overlays",)))
    chosen, source = choose_weights(config), Source(path)
    worker_alone = peak()
    start = time.perf_counter()
    job = open_job(config, chosen, Store(out), source, lambda plan, depth: measure_planned(source, plan, depth))
    seconds, planned = time.perf_counter() - start, peak()
    Worker(config, job).run(0)
    print(worker_alone, planned, peak(), seconds)
    return DONE


def measure_rerun(config: ScaleConfig) -> Measured:
    """Run a job of images that are not there, then run it again."""
    from utils.commands.predict import predict

    out = config.work / "rerun"
    shutil.rmtree(out, ignore_errors=True)
    weights = network(config.work)
    flags = predicting(config, weights, images=manifest(config.work, config.images), out=out)
    start = time.perf_counter()
    predict(flags)
    yield "first run, no image there", time.perf_counter() - start, "s"
    start = time.perf_counter()
    result = predict(flags)
    assert result.images == config.images
    yield "rerun of the finished job", time.perf_counter() - start, "s"
    command = command_of(flags)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, capture_output=True)
    yield "the same as a command, with its start", time.perf_counter() - start, "s"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    yield "the same, processor", processor, "s"


def command_of(flags: PredictConfig) -> list[str]:
    """Return the command that a user would type."""
    names = (
        "images",
        "weights_dir",
        "out",
        "engine",
        "shard_size",
        "backend",
        "device",
        "threads",
        "workers",
        "batch_size",
    )
    launched = ["-c", LAUNCH] if flags.engine == "ray" else []
    words = [sys.executable, *launched, "Predict_masks.py"]
    for name in names:
        words += [f"-{name}", str(getattr(flags, name))]
    return words


def tiny_images(config: ScaleConfig) -> Path:
    """Draw images of 16x32 with a bright patch in folders of lines."""
    import cv2
    import numpy as np

    folder, pixels = config.work / f"tiny-{config.images}", np.random.default_rng(config.seed)
    if folder.exists():
        return folder
    drawing = folder.with_name(f"drawing-{config.images}")
    for line in range(4):
        (drawing / f"line{line}").mkdir(parents=True, exist_ok=True)
    for number in range(config.images):
        image = pixels.integers(90, 160, (16, 32), dtype=np.uint8)
        image[4:10, 4 : 10 + number % 20] = 250
        cv2.imwrite(str(drawing / f"line{number % 4}/{number:07d}.png"), image)
    return drawing.rename(folder)


def measure_kills(config: ScaleConfig) -> Measured:
    """Predict tiny images in a store on a cluster whose workers, machines and drivers are killed.

    The serial run is one of ``-engine local`` on files of the same names, so that neither Ray nor the store can have the
    same error in both.
    """
    from utils.data.stores import Store

    chance = random.Random(config.seed)
    weights, images = network(config.work), tiny_images(config)
    serial = config.work / f"serial-{config.images}-{config.shard_size}"
    flags = predicting(config, weights, images=images, out=serial, batch_size=16)
    start = time.perf_counter()
    subprocess.run(command_of(flags), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    yield "serial run on files", time.perf_counter() - start, "s"
    with store() as bucket, cluster(config.nodes) as machines:
        upload(images, "2026")
        out = Url("s3://results/ray")
        start = time.perf_counter()
        more = replace(flags, images=Url(f"{bucket}/2026"), out=out, engine="ray")
        done = ordeal(command_of(more), Store(out), machines, config, chance)
        yield "run with kills", time.perf_counter() - start, "s"
        for what, count in zip(("workers", "nodes", "drivers"), done, strict=True):
            yield f"{what} killed", count, ""
        yield from compared(serial, out)


def ordeal(
    command: list[str], out: Any, machines: Any, config: ScaleConfig, chance: random.Random
) -> tuple[int, int, int]:
    """Run a command until it is done, and kill all that is to be killed at chosen numbers of parts.

    Returns:
        How many workers, machines and drivers were killed.
    """
    shards = -(-config.images // config.shard_size)
    acts = [kind for kind, many in zip("wnd", config.kills, strict=True) for _ in range(many)]
    chance.shuffle(acts)
    plan = sorted((chance.randrange(1, max(2, shards - 4)), number) for number in range(len(acts)))
    killed = dict.fromkeys("wnd", 0)
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    tries = TRIES
    for (many, _), act in zip(plan, acts, strict=True):
        while driver.poll() == 2 or sum(name.startswith("part-") for name in out.names()) < many:
            if driver.poll() == 2 and tries:  # it says: type the command again
                driver, tries = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL), tries - 1
            elif driver.poll() is not None:
                break
            time.sleep(0.2)
        if driver.poll() is not None:
            break
        if act == "d":
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            killed["d"] += 1
        elif act == "n":
            kill_node(machines, chance)
            killed["n"] += 1
        elif own := working(driver):
            os.kill(chance.choice(own), signal.SIGKILL)
            killed["w"] += 1
    if driver.wait() not in (0, 3):
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return killed["w"], killed["n"], killed["d"]


def working(driver: subprocess.Popen[bytes]) -> list[int]:
    """Wait until workers of Ray predict, and list their processes; none where the command has ended before."""
    while driver.poll() is None:
        if own := task_processes(("ray::_work",)):
            return own
        time.sleep(0.2)
    return []


def compared(serial: Any, other: Any) -> Measured:
    """Compare all rows of two jobs of the same images, and every part with its sha256."""
    from utils.data.parts import committed, read_part
    from utils.data.stores import Store
    from utils.shards.job import read_job

    one, two = Store(serial), Store(other)
    job = read_job(one)
    assert job is not None
    there = committed(two, job.shards)
    missing = double = torn = different = 0
    for shard, name in committed(one, job.shards).items():
        if shard not in there:
            missing += read_part(one, name).num_rows
            continue
        try:
            rows = read_part(two, there[shard])
        except Exception:
            torn += 1
            continue
        wanted, found = read_part(one, name).to_pylist(), rows.to_pylist()
        names = [row["image"] for row in found]
        double += len(names) - len(set(names))
        missing += len({row["image"] for row in wanted} - set(names))
        different += sum(row != like for row, like in zip(found, wanted, strict=False))
    yield from (("rows missing", missing, ""), ("rows double", double, ""), ("parts torn", torn, ""))
    yield "rows that differ from the serial run", different, ""


def measure_strips(config: ScaleConfig) -> Measured:
    """Time strips by one process, and by Ray with one worker on the same cores."""
    from benchmarks.inference import InferenceConfig, link, make_strips

    weights = network(config.work, "efficientnet-b0")
    drawn = sorted((make_strips(InferenceConfig(work=config.work, strips=64)) / "test_images").iterdir())
    images = config.work / f"linked-{config.strips}"
    link(drawn, config.strips, images)
    seconds = {}
    for engine in ("local", "ray"):
        out = config.work / f"strips-{engine}"
        shutil.rmtree(out, ignore_errors=True)
        flags = predicting(config, weights, images=images, out=out, engine=engine, workers=1, backend="openvino")
        start = time.perf_counter()
        subprocess.run(command_of(flags), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds[engine] = time.perf_counter() - start
        yield f"-engine {engine}, one worker of one thread", seconds[engine], "s"
    yield "ray / local", seconds["ray"] / seconds["local"], ""


CASES: dict[str, Callable[[ScaleConfig], Measured]] = {
    "memory": measure_memory,
    "rerun": measure_rerun,
    "kills": measure_kills,
    "strips": measure_strips,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["-worker"]:
        sys.exit(one_process(sys.argv[2:]))
    run(main)
