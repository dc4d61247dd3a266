"""What calibration adds to an evaluation: time and memory of the counts an image, time of the search for all of them.

``strips`` are what a trained network says about synthetic strips, ``noise`` is what an untrained one says, ``clean`` is a
network that sees nothing: see ``benchmarks/postprocess.py``. Counting is timed beside the measurements that every evaluation
makes of the same image, without the network. For the search the images are repeated up to ``-num_of_strips``.

    python benchmarks/calibration.py
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from benchmarks.postprocess import CLASSES, noise_logits, strip_logits
from config import flag
from utils.calibration.counting import ImageTable, count_image, join
from utils.calibration.grid import make_grid
from utils.calibration.solving import solve
from utils.cli import DONE, parse, run
from utils.decision.decision import ClassDecision, Decision
from utils.decision.probabilities import class_probabilities
from utils.scoring.evaluation import measure


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """What this benchmark does."""

    image_size: tuple[int, int] = flag("H,W in pixels of the logits", (256, 1600))
    num_of_images: int = flag("images of each kind", 8, low=3)
    num_of_strips: int = flag("images to search over", 2_000, low=3)
    rounds: int = flag("times that each image is counted", 3, low=1)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/calibration.csv"))


def clean_logits(seed: int, height: int, width: int) -> np.ndarray:
    """Return ``(4, H, W)`` float32 logits of a network that is sure to see nothing."""
    return noise_logits(seed, height, width) - 40


def labels_of(logits: np.ndarray, seed: int) -> np.ndarray:
    """Return ``(4, H, W)`` bool labels that agree with the logits here and there, as a few large defects."""
    random = np.random.default_rng(seed)
    field = cv2.GaussianBlur(random.standard_normal(logits.shape[1:]).astype(np.float32), (0, 0), 9)
    return (logits > -2) & (field > 0) if seed % 2 else np.zeros(logits.shape, np.bool_)


def milliseconds(action: Callable[[], Any]) -> float:
    start = time.thread_time()
    action()
    return 1000 * (time.thread_time() - start)


def benchmark(config: CalibrationConfig) -> list[dict[str, Any]]:
    """Return a row for each kind of image."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    grids = [make_grid(ClassDecision(0.5), 100_000)] * CLASSES
    rows = []
    for kind, draw in (("strips", strip_logits), ("clean", clean_logits), ("noise", noise_logits)):
        counting, plain = [], []
        tables: list[list[ImageTable]] = []
        for seed in range(config.num_of_images):
            logits = draw(seed, *config.image_size)
            # Labels of noise would be noise: what calibration meets is noise over labels of strips.
            truth = labels_of(strip_logits(seed, *config.image_size), seed)
            masks = Decision.uniform(CLASSES, 0.5).decide(torch.from_numpy(logits)[None], "multilabel")[0].numpy()

            def evaluated(masks=masks, truth=truth, logits=logits) -> None:  # type: ignore[no-untyped-def]
                measure(masks, truth, class_probabilities(logits, "multilabel"))

            for _ in range(config.rounds):
                start = time.thread_time()
                table = count_image(logits, truth, "multilabel", grids)
                counting.append(1000 * (time.thread_time() - start))
                plain.append(milliseconds(evaluated))
            tables.append(table)
        held = [sum(part.nbytes for one in image for part in (one.objects, one.bins, one.cover)) for image in tables]
        joined = join([tables[number % len(tables)] for number in range(config.num_of_strips)])
        start = time.thread_time()
        result = solve(list("1234"), joined, grids, np.arange(config.num_of_strips) // len(tables), folds=5, seed=0)
        searching = time.thread_time() - start
        rows.append(
            {
                "kind": kind,
                "image_size": "{}x{}".format(*config.image_size),
                "count_ms": round(statistics.median(counting), 1),
                "evaluation_ms": round(statistics.median(plain), 1),
                "kilobytes_an_image": round(statistics.mean(held) / 1000, 1),
                "images": result.images,
                "megabytes": round(statistics.mean(held) * result.images / 1e6),
                "search_s": round(searching, 1),
                **facts(1, "numpy", "opencv-python-headless"),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main(argv: list[str]) -> int:
    """Measure, print and append to the CSV."""
    config = parse(CalibrationConfig, argv, "benchmarks/calibration.py", "Time and memory that calibration adds.")
    write_rows(config.out, benchmark(config))
    return DONE


if __name__ == "__main__":
    run(main)
