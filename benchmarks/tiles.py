"""Tiles and turns: what they cost and what they score; large frames: how fast, and in how much memory.

``views`` scores labelled images, and squares that are put together from them, with the tiles of each view overlapping and
with those that the views share (``utils/inference/tiled_views.py``). ``frames`` predicts files of growing length, and strips
of 256x1600 of the same pixels, each by a process of its own. Times are of the processor, which other programs disturb little.

    python benchmarks/tiles.py -cases views -dir NEU-VALID
    python benchmarks/tiles.py -cases frames -frame FRAME.jpg
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.errors import InputError

STRIP = (256, 1600)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TilesConfig:
    """What this benchmark does."""

    cases: tuple[str, ...] = flag("views, frames", ("views", "frames"))
    dir: Path | None = flag("for views: dataset folder of labelled images, square and of one size", None)
    frame: Path | None = flag("for frames: image whose pixels are repeated to every length", None)
    weights_dir: Path = flag("weights", Path("weights"))
    tile: tuple[int, int] = flag("for views: H,W in pixels", (192, 192))
    mosaics: tuple[int, ...] = flag("for views: images a side of the squares; 1: the images themselves", (1, 2))
    every: int = flag("for views: take every so manieth image", 1, low=1)
    lengths: tuple[int, ...] = flag("for frames: widths in pixels", (8192, 16384, 32768))
    following: int = flag("for frames: files of each length, which follow each other as a line's do", 1, low=1)
    backend: str = flag("what runs the network", "openvino")
    precision: str = flag("f32, bf16", "bf16")
    threads: int = flag("CPU threads", 2, low=1)
    work: Path = flag("folder for frames and results", Path(tempfile.gettempdir()) / "steel-benchmark-tiles")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/tiles.csv")


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    config = parse(TilesConfig, argv, "tiles.py", "Measure tiles, turns and large frames.")
    cases: dict[str, Callable[[TilesConfig], Iterator[dict[str, Any]]]] = {"views": views, "frames": frames}
    for case in config.cases:
        if case not in cases:
            raise InputError(f"-cases {case}: choose from {', '.join(cases)}")
        for row in cases[case](config):
            known = {"backend": config.backend, "precision": config.precision}
            write_rows(config.out, [{**row, **known, **facts(config.threads, "torch", "openvino")}])
            print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return DONE


def row(case: str, what: str, **figures: Any) -> dict[str, Any]:
    """Return a row of the table, with empty cells for what it does not measure."""
    names = ("size", "images", "passes", "mean_dice", "cpu_s", "megapixels", "cpu_s_per_megapixel", "wall_s")
    names += ("wall_s_per_megapixel", "peak_mb")
    return {"case": case, "what": what, **{name: figures.get(name, "") for name in names}}


def views(config: TilesConfig) -> Iterator[dict[str, Any]]:
    """Score labelled images with tiles and turns, by three ways."""
    import numpy as np
    import torch

    from utils.data.dataset_folder import open_dataset
    from utils.data.images import read_image
    from utils.inference.opening import open_network
    from utils.inference.tiled_views import TiledViews
    from utils.inference.tiles import Tiled
    from utils.inference.tta import Augmented
    from utils.weights.finding import open_weights
    from utils.weights.weights_file import WeightsFile

    if config.dir is None:
        raise InputError("-cases views: give labelled images, -dir DATA")
    weights = open_weights(config.weights_dir)
    if not isinstance(weights, WeightsFile) or weights.spec.labels:
        raise InputError(f"-weights_dir {config.weights_dir}: expected one network of masks")
    torch.set_num_threads(config.threads)
    network = open_network(weights, config.backend, "cpu", config.precision, config.threads)
    counted = _Counted(network)
    dataset = open_dataset(config.dir)
    names = list(dataset.images)[:: config.every]
    images = [read_image(dataset.path(name), weights.spec.channels) for name in names]
    height, width = images[0].shape[:2]
    if any(image.shape[:2] != (height, width) for image in images) or height != width:
        raise InputError(f"{config.dir}: expected square images of one size")
    truth = [dataset.annotations.mask(name, height, width).transpose(2, 0, 1) > 0 for name in names]
    ways: dict[str, Any] = {
        "whole": counted,
        "overlapping tiles in each view": Augmented(Tiled(counted, config.tile), "d4"),
        "tiles that the views share": TiledViews(counted, config.tile, "d4"),
    }
    for side in config.mosaics:
        count = len(images) // side**2
        for what, way in ways.items():
            counted.passes, dice, spent = 0, [], 0.0
            for number in range(count):
                own = range(number * side**2, (number + 1) * side**2)
                whole = _mosaic([images[index] for index in own], side, 0)
                labels = _mosaic([truth[index] for index in own], side, 1)
                way(whole[None]) if number == 0 else None  # what is only done once is not to count
                counted.passes -= counted.passes if number == 0 else 0
                start = time.process_time()
                masks = weights.decision.apply(way(whole[None]).masks, weights.spec.task)[0].numpy()
                spent += time.process_time() - start
                for row_, column in np.ndindex(side, side):
                    cell = np.s_[:, row_ * height : (row_ + 1) * height, column * width : (column + 1) * width]
                    dice += [_dice(mine, label) for mine, label in zip(masks[cell], labels[cell], strict=True)]
            yield row(
                "views",
                what,
                size=f"{side * height}x{side * width}",
                images=count,
                passes=round(counted.passes / max(count, 1), 2),
                mean_dice=f"{np.mean(dice):.5f}",
                cpu_s=round(spent, 2),
            )


class _Counted:
    """Counts the images that a network sees."""

    def __init__(self, network: Any) -> None:
        self.network, self.parallel, self.name, self.passes = network, network.parallel, network.name, 0

    def __call__(self, images: Any, choose: Any = None) -> Any:
        self.passes += len(images)
        return self.network(images, choose)


def _mosaic(parts: Sequence[Any], side: int, first: int) -> Any:
    import numpy as np

    rows = [np.concatenate(parts[at : at + side], axis=first + 1) for at in range(0, side**2, side)]
    return np.concatenate(rows, axis=first)


def _dice(mine: Any, label: Any) -> float:
    total = int(mine.sum() + label.sum())
    return 2 * int((mine & label).sum()) / total if total else 1.0


def frames(config: TilesConfig) -> Iterator[dict[str, Any]]:
    """Predict frames of several lengths, and the strips that are cut of the longest, each twice and the second time counts."""
    import numpy as np
    from PIL import Image

    from utils.data.images import read_image

    if config.frame is None:
        raise InputError("-cases frames: give an image, -frame FILE")
    pixels = read_image(config.frame, 1)[..., 0]
    folders: dict[str, Path] = {}
    for length in config.lengths:
        folders[f"frame {pixels.shape[0]}x{length}"] = folder = config.work / f"frame-{length}"
        _fresh(folder)
        repeated = np.tile(pixels, (1, -(-length // pixels.shape[1])))[:, :length]
        for number in range(config.following):
            Image.fromarray(np.roll(repeated, 100 * number, 1)).save(folder / f"frame-{number}.jpg", quality=92)
    folders["strips 256x1600"] = folder = config.work / "strips"
    _fresh(folder)
    high, wide = STRIP
    longest = np.tile(pixels, (1, -(-max(config.lengths) // pixels.shape[1])))[:, : max(config.lengths)]
    for top in range(0, longest.shape[0] - high + 1, high):
        for left in range(0, longest.shape[1] - wide + 1, wide):
            part = longest[top : top + high, left : left + wide]
            Image.fromarray(part).save(folder / f"{top:05d}-{left:05d}.jpg", quality=92)
    few = config.work / "strips-few"
    _fresh(few)
    for path in sorted(folder.iterdir())[:4]:
        shutil.copy(path, few)
    folders = {"four strips": few, **folders}
    first: tuple[dict[str, Any], float] | None = None
    for what, folder in folders.items():
        found = [_predict(config, folder) for _ in range(2)][-1]
        sizes = [image.size for image in map(Image.open, sorted(folder.glob("*.jpg")))]
        seen = sum(width * height for width, height in sizes) / 1e6
        figures: dict[str, Any] = {"images": len(sizes), "megapixels": round(seen, 2)}
        if first is None:
            first = found, seen  # hardly more than the program's start, which the others are freed of
        else:
            for clock in ("cpu", "wall"):
                spent = found[f"{clock}_s"] - first[0][f"{clock}_s"]
                figures[f"{clock}_s_per_megapixel"] = round(spent / (seen - first[1]), 4)
        yield row("frames", what, size=what.split()[-1], **figures, **found)


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _predict(config: TilesConfig, folder: Path) -> dict[str, Any]:
    """Run Predict_masks.py by a process of its own: its processor time, wall time and the most memory that it had."""
    command = [sys.executable, str(Path(__file__).parents[1] / "Predict_masks.py"), "-images", str(folder)]
    command += ["-weights_dir", str(config.weights_dir), "-out", str(folder.with_name(f"{folder.name}-out"))]
    command += ["-backend", config.backend, "-precision", config.precision, "-threads", str(config.threads)]
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(config.threads)}
    began = time.perf_counter()
    said = subprocess.run([sys.executable, "-c", code, *command], env=environment, stdout=subprocess.PIPE, text=True)
    returned, spent, peak = json.loads(said.stdout)
    if returned:
        raise InputError(f"{folder}: Predict_masks.py ended with exit code {returned}")
    return {"cpu_s": round(spent, 2), "wall_s": round(time.perf_counter() - began, 2), "peak_mb": round(peak)}


if __name__ == "__main__":
    run(main)
