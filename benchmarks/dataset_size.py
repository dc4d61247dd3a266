"""How time and memory grow with a dataset: tables, folders of files, packed datasets; and the first step of a training.

    python benchmarks/dataset_size.py -cases tables,labels        # a million rows of train.csv, without images
    python benchmarks/dataset_size.py -cases files                # 10^4 and 10^5 images of 64x64: check, explore, pack
    python benchmarks/dataset_size.py -cases packed,first,long    # 10^6 images: hard links of tiny ones, packed
    python benchmarks/dataset_size.py -cases reading              # bytes and images a second, cold: files against shards

``labels`` and ``long`` are ``tables`` and ``first`` with labels as long as those of the competition, 2.5 kB a row.

A step runs in a process of its own: its processor time, its peak of memory. The exponent is that of time by images: 1 is
linear. What the CSV has already of this machine is left out.
"""

import datetime
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from config import flag
from utils.cli import DONE, parse, run

ROOT = Path(__file__).resolve().parents[1]
CLASSES = (0.13, 0.04, 0.73, 0.10)  # shares of the competition
FEW = 10_000  # images that are really packed for first and long
TRAINING = (
    "-encoder test_resnet -encoder_weights none -image_size 64,64 -batch_size 8 -num_of_workers 1 -threads 1"
    " -device cpu -num_epochs 1"
)


@dataclass(frozen=True, kw_only=True)
class DatasetSizeConfig:
    """What this benchmark does."""

    cases: tuple[str, ...] = flag("tables, labels, files, packed, first, long, reading", ("tables",))
    tables: tuple[int, ...] = flag("rows of train.csv", (10_000, 100_000, 1_000_000))
    files: tuple[int, ...] = flag("images of files", (10_000, 100_000))
    packed: tuple[int, ...] = flag("images of packed and first", (10_000, 100_000, 1_000_000))
    runs: int = flag("runs of a label: numbers of its code are twice as many", 20, low=1)
    long_runs: int = flag("the same, of labels and long", 240, low=1)
    strips: int = flag("images of reading, 256x1600", 1000, low=32)
    work: Path = flag("folder for images", Path(tempfile.gettempdir()) / "steel-size")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/dataset_size.csv")


def main(argv: Sequence[str]) -> int:
    """Measure what is missing and print it."""
    if argv and argv[0] == "step":
        return _step(argv[1], Path(argv[2]))
    from benchmarks.machine import find_rows, here, write_rows  # torch, whose memory is none of a step's

    config = parse(DatasetSizeConfig, argv, "dataset_size.py", "Measure how time and memory grow with a dataset.")
    os.environ["OMP_NUM_THREADS"] = "1"
    config.work.mkdir(parents=True, exist_ok=True)
    for case in config.cases:
        sizes = {
            "tables": config.tables,
            "labels": config.tables,
            "files": config.files,
            "reading": (config.strips,),
        }.get(case, config.packed)
        before: dict[str, tuple[int, float]] = {}
        for images in sizes:
            rows = find_rows(config.out, {"case": case, "images": images, **here(1)})
            if not rows:
                rows = [_row(case, images, *measured) for measured in CASES[case](config, images)]
                write_rows(config.out, rows)
            for row in rows:
                value = float(row["value"])
                grown = ""
                if row["what"] in before and row["unit"] == "s" and before[row["what"]][1] > 0:
                    count, earlier = before[row["what"]]
                    grown = f"  exponent {math.log(value / earlier) / math.log(images / count):.2f}"
                before[row["what"]] = images, value
                print(f"{case:8s} {images:9,d} {row['what']:46s} {value:12.3f} {row['unit']}{grown}", flush=True)
    return DONE


def _row(case: str, images: int, what: str, value: float, unit: str) -> dict[str, Any]:
    from benchmarks.machine import facts

    date = datetime.date.today().isoformat()
    return {
        "date": date,
        "case": case,
        "images": images,
        "what": what,
        "value": round(value, 4),
        "unit": unit,
        **facts(1, "numpy", "pandas"),
    }


def write_table(folder: Path, names: Sequence[str], runs: int, pixels: int) -> None:
    """Write labels of a class for every image; all of them are well-formed."""
    random = np.random.default_rng(0)
    gap = max(2, pixels // runs)
    lengths = random.integers(1, gap, (1000, runs))
    codes = [" ".join(f"{1 + k * gap} {length}" for k, length in enumerate(row)) for row in lengths.tolist()]
    classes = random.choice(4, len(names), p=CLASSES) + 1
    with open(folder / "train.csv", "w", encoding="utf-8") as file:
        file.write("ImageId,ClassId,EncodedPixels\n")
        for place, (name, class_id) in enumerate(zip(names, classes.tolist(), strict=True)):
            file.write(f"{name},{class_id},{codes[place % 1000]}\n")


def tables(config: DatasetSizeConfig, images: int) -> list[tuple[str, float, str]]:
    """Read, split and balance a table without images, all in one process."""
    return _tables_of(config, images, config.runs)


def labels(config: DatasetSizeConfig, images: int) -> list[tuple[str, float, str]]:
    """Do the same with labels of competition size."""
    return _tables_of(config, images, config.long_runs)


def _tables_of(config: DatasetSizeConfig, images: int, runs: int) -> list[tuple[str, float, str]]:
    folder = config.work / f"table-{images}"
    folder.mkdir(exist_ok=True)
    write_table(folder, [f"line{k % 7}/{k:08d}.jpg" for k in range(images)], runs, 256 * 1600)
    return _steps("tables", folder)


def files(config: DatasetSizeConfig, images: int) -> list[tuple[str, float, str]]:
    """Check (cold and known), explore and pack a folder of tiny images that all differ."""
    folder = _folder(config, images)
    found = []
    for step in ("check", "check again", "explore", "balance"):
        found += _steps(step, folder)
    packed = _packed(config, images, folder)
    return found + packed


def packed(config: DatasetSizeConfig, images: int) -> list[tuple[str, float, str]]:
    """Pack a folder of hard links of 1,000 tiny images, and open, check, split it."""
    folder = _folder(config, images)
    return [*_packed(config, images, folder), *_steps("open packed", config.work / f"packed-{images}")]


def first(config: DatasetSizeConfig, images: int) -> list[tuple[str, float, str]]:
    """Wall-clock time from the start of Train.py to its first step, on a packed dataset: the default recipe, and all images."""
    return _first_of(_pack_of(config, images))


def long(config: DatasetSizeConfig, images: int) -> list[tuple[str, float, str]]:
    """Do the same with labels of competition size: the same shards with another table."""
    packed = _pack_of(config, images)
    folder = config.work / f"long-{images}"
    if not (folder / "train.csv").is_file():
        folder.mkdir(exist_ok=True)
        for path in packed.iterdir():
            if path.is_file() and path.name != "train.csv":
                os.link(path, folder / path.name)
        write_table(folder, [f"line{k % 7}/{k:08d}.jpg" for k in range(images)], config.long_runs, 64 * 64)
    return _first_of(folder)


def _pack_of(config: DatasetSizeConfig, images: int) -> Path:
    """Return a pack; more than 10^4 images that were not packed yet are names for those of a pack of 10^4, over and over."""
    folder = config.work / f"packed-{images}"
    if folder.is_dir():
        return folder
    if images <= FEW:
        _packed(config, images, _folder(config, images))
        return folder
    few, folder = _pack_of(config, FEW), config.work / f"named-{images}"
    if not (folder / "pack.json").is_file():
        _steps("repeat", few, "", [str(folder), str(images)])
        write_table(folder, [f"line{k % 7}/{k:08d}.jpg" for k in range(images)], config.runs, 64 * 64)
    return folder


def _repeat(few: Path, folder: Path, images: int) -> None:
    """Write a pack whose index gives many names to the images of another."""
    import hashlib

    from utils.data.duplicates.hashes import VERSION
    from utils.data.duplicates.kept_hashes import hashes_name
    from utils.data.packed import encode_index, index_name, open_pack

    pack = open_pack(few)
    assert pack is not None
    side, name = pack.side("train"), index_name("train")
    folder.mkdir(exist_ok=True)
    for shard in side.shards:
        os.link(few / shard, folder / shard)
    again = np.arange(images) % len(side.names)
    names = sorted(f"line{k % 7}/{k:08d}.jpg" for k in range(images))
    index = encode_index(names, {key: column[again] for key, column in side.columns.items()}, side.digests[again])
    (folder / name).write_bytes(index)
    digest = hashlib.sha256(index).hexdigest()
    with np.load(few / hashes_name("train")) as kept:
        scale = json.loads(str(kept["about"]))[1]
        about = np.array(json.dumps([VERSION, scale, "", digest]))
        np.savez(folder / hashes_name("train"), hashes=kept["hashes"][again], about=about)
    sides = {"train": {"sha256": digest, "shards": list(side.shards)}}
    files = [name, hashes_name("train"), "train.csv"]
    (folder / "pack.json").write_text(json.dumps({"version": 1, "sides": sides, "files": files}))


def _first_of(folder: Path) -> list[tuple[str, float, str]]:
    found = []
    kinds = {"balanced subset": "", "all images": "-subset all -group_duplicates false"}
    for kind, flags in kinds.items():
        found += _steps("first", folder, kind, [*TRAINING.split(), *flags.split()])
    return found


def reading(config: DatasetSizeConfig, images: int) -> list[tuple[str, float, str]]:
    """Bytes asked of the disk for an image, and images/s with nothing of them in memory: files against shards."""
    from config import SynthesiseConfig
    from utils.data.synthetic import synthesise

    folder = config.work / f"strips-{images}"
    if not folder.is_dir():
        synthesise(SynthesiseConfig(dir=folder, num_of_images=images, image_size=(256, 1600), seed=3))
    found = []
    if not (config.work / f"packed-{images}-strips").is_dir():
        _steps("pack", folder, "", [str(config.work / f"packed-{images}-strips")])
    for kind, place in (("files", folder), ("shards", config.work / f"packed-{images}-strips")):
        found += _steps("reading", place, kind)
    return found


CASES: dict[str, Callable[[DatasetSizeConfig, int], list[tuple[str, float, str]]]] = {
    "tables": tables,
    "labels": labels,
    "files": files,
    "packed": packed,
    "first": first,
    "long": long,
    "reading": reading,
}


def _folder(config: DatasetSizeConfig, images: int) -> Path:
    """Make a dataset folder: up to 10^5 images of their own, hard links of these beyond."""
    from PIL import Image

    folder = config.work / f"files-{images}"
    if (folder / "train.csv").is_file():
        return folder
    random = np.random.default_rng(1)
    own = min(images, 100_000)
    names = [f"line{k % 7}/{k:08d}.jpg" for k in range(images)]
    for line in range(7):
        (folder / f"train_images/line{line}").mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        path = folder / "train_images" / name
        if place < own:
            coarse = random.integers(60, 200, (6, 6), np.uint8)
            sink = io.BytesIO()
            Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(sink, "JPEG", quality=80)
            path.write_bytes(sink.getvalue())
        else:
            os.link(folder / "train_images" / names[place % 10_000], path)
    write_table(folder, names, config.runs, 64 * 64)
    return folder


def _packed(config: DatasetSizeConfig, images: int, folder: Path) -> list[tuple[str, float, str]]:
    out = config.work / f"packed-{images}"
    return [] if out.is_dir() else _steps("pack", folder, "", [str(out)])


def _steps(step: str, folder: Path, kind: str = "", words: Sequence[str] = ()) -> list[tuple[str, float, str]]:
    """Do a step in a process of its own, which prints what it has measured."""
    command = [sys.executable, __file__, "step", step, str(folder)]
    environment = {**os.environ, "STEP": json.dumps([kind, list(words)]), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=7200)
    if done.returncode:
        raise RuntimeError(f"{step} {folder}: {done.stderr[-2000:]}")
    return [tuple(row) for row in json.loads(done.stdout.splitlines()[-1])]


def peak() -> float:
    """Return the most memory that this process had, MB; getrusage() would tell that of the process before it, too."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1e3


class _Laps:
    """Processor seconds and peak memory of one part of a step after the other."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, str]] = []
        self._begun = time.process_time()

    def lap(self, what: str) -> None:
        """Note a part that has ended."""
        self.rows.append((what, time.process_time() - self._begun, "s"))
        self._begun = time.process_time()

    def end(self, what: str) -> int:
        """Print all of it; the peak is that of the process."""
        print(json.dumps([*self.rows, (f"{what}: peak", peak(), "MB")]))
        return DONE


def _step(step: str, folder: Path) -> int:
    kind, words = json.loads(os.environ["STEP"])
    laps = _Laps()
    if step == "tables":
        return _tables(folder, laps)
    if step == "repeat":
        _repeat(folder, Path(words[0]), int(words[1]))
        return laps.end(step)
    if step in ("first", "reading"):
        return (_first if step == "first" else _reading)(folder, kind, words)
    from config import BalanceConfig, CheckConfig, ExploreConfig, PackConfig

    if step.startswith("check"):
        from utils.data.checks import check

        check(CheckConfig(dir=folder, num_of_workers=1), progress=False)
    elif step == "explore":
        from utils.commands.explore import explore

        out = folder / "exploration"
        explore(ExploreConfig(dir=folder, out=out, num_of_workers=1, near_duplicates=False), progress=False)
    elif step == "balance":
        from utils.data.splits import write_balanced

        write_balanced(BalanceConfig(dir=folder, out=folder / "balanced.csv"))
    elif step == "pack":
        from utils.data.packing import pack

        pack(PackConfig(dir=folder, out=Path(words[0]), num_of_workers=1), progress=False)
    elif step == "open packed":
        from utils.data.checks import check_dataset
        from utils.data.dataset_folder import open_dataset
        from utils.data.splits import balance, split

        dataset = open_dataset(folder)
        laps.lap("open packed")
        check_dataset(dataset, 1, False)
        laps.lap("facts of packed images, labels fitted")
        split(dataset.annotations, dataset.images, 0.2, 1)
        laps.lap("split")
        balance(dataset.annotations, 250, 1)
        laps.lap("balance")
        return laps.end(step)
    laps.lap(step)
    return laps.end(step)


def _tables(folder: Path, laps: _Laps) -> int:
    from utils.data.annotation_table import read_annotations
    from utils.data.splits import balance, split, write_split

    laps.lap("imports")
    annotations = read_annotations(folder / "train.csv")
    laps.lap("open")
    frame = split(annotations, annotations.listed, 0.2, 1)
    laps.lap("split")
    write_split(frame, folder / "split.csv")
    laps.lap("write the split")
    balance(annotations, 250, 1)
    laps.lap("balance")
    return laps.end("tables")


def _first(folder: Path, kind: str, words: Sequence[str]) -> int:
    """Train until the first step has ended."""
    begun = time.perf_counter()
    from config import TrainConfig
    from utils.commands.train import train
    from utils.training import stepping

    class Enough(BaseException):
        """The first step has ended."""

    def stop(*_: Any) -> None:
        raise Enough

    stepping.GuardedBackward.on_batch_end = stop  # type: ignore[method-assign]
    out = Path(tempfile.mkdtemp()) / "run"
    config = parse(TrainConfig, ["-dir", str(folder), "-out", str(out), *words], "Train.py", "")
    try:
        train(config)
    except Enough:
        seconds, processor = time.perf_counter() - begun, time.process_time()
        rows = [
            (f"{kind}: to the first step, wall", seconds, "s"),
            (f"{kind}: to the first step, processor", processor, "s"),
            (f"{kind}: peak", peak(), "MB"),
        ]
        print()
        print(json.dumps(rows), flush=True)
    os._exit(DONE)  # without waiting for the loading process


def _reading(folder: Path, kind: str, _: Sequence[str]) -> int:
    """Read and decode an epoch in the order of a training of one process, with nothing in the system's memory."""
    from config import TrainConfig
    from utils.data.dataset_folder import open_dataset
    from utils.data.packed_blocks import BlockOrder, PackedFiles
    from utils.training.loaders import EpochBatches, image_source

    dataset = open_dataset(folder)
    names = list(dataset.images)[: len(dataset.images) * 4 // 5]  # as much as a split leaves to train on
    source = image_source(TrainConfig(dir=folder, image_size=None), dataset, names)
    blocks = BlockOrder(source.blocks) if isinstance(source, PackedFiles) else None
    batches = EpochBatches(len(names), 8, 1, True, 0, 1, blocks=blocks)
    batches.set_epoch(1)
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix in (".jpg", ".tar", ".png")]
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    before, begun, count = _disk(), time.perf_counter(), 0
    for batch in batches:
        for key in batch:
            source.read(names[key.number])
            count += 1
    seconds, after = time.perf_counter() - begun, _disk()
    size = float(np.mean([dataset.path(name).stat().st_size for name in names]))
    rows = [
        (f"{kind}: bytes of an image's file", size, "B"),
        (f"{kind}: bytes asked for, an image", (after[0] - before[0]) / count, "B"),
        (f"{kind}: read calls, an image", (after[1] - before[1]) / count, ""),
        (f"{kind}: bytes from the disk, an image", (after[2] - before[2]) / count, "B"),
        (f"{kind}: images/s, cold", count / seconds, "images/s"),
    ]
    print(json.dumps(rows))
    return DONE


def _disk() -> tuple[int, int, int]:
    """Return bytes and calls of this process's reads, and what came from the disk."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"]), int(lines["syscr"]), int(lines["read_bytes"])


if __name__ == "__main__":
    run(main)
