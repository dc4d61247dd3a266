"""What it costs to turn logits into defects: decide, components, records, run-length code; and how people do it today.

``strips`` are the labels of synthetic strips made into what a trained network says about them: blurred outlines, a grey zone
around them, specks. ``noise`` is what an untrained network says: every second pixel. The usual way, timed in turn on the
same logits, is a sigmoid image, a threshold per class, and a Python loop over the components of ``cv2.connectedComponents``.
Both ways have to give the same masks, defects and codes. Times are processor time of one thread, so that a busy machine does not
add to them, but for the last line, which is what two threads with an image each take by the clock.

    python benchmarks/postprocess.py
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.data.rle import encode
from utils.data.synthetic.strip import make_strip
from utils.decision.decision import Decision

CLASSES = 4
BARS = {"strips": 5.0, "noise": 20.0}  # milliseconds an image of 256x1600


@dataclasses.dataclass(frozen=True, kw_only=True)
class PostprocessConfig:
    """What this benchmark does."""

    image_size: tuple[int, int] = flag("H,W in pixels of the logits", (256, 1600))
    num_of_images: int = flag("images of each kind", 12, low=1)
    rounds: int = flag("times that each image is done, in turn with the usual way", 7, low=1)
    usual_rounds: int = flag("of which also by the usual way, which takes seconds on noise", 1, low=0)
    min_area: int = flag("smallest connected defect in pixels", 100, low=0)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/postprocess.csv"))


def strip_logits(seed: int, height: int, width: int) -> np.ndarray:
    """Return ``(4, H, W)`` float32 logits as a trained network gives them for a strip that shows two classes."""
    random = np.random.default_rng(seed)
    labels = make_strip(random, (height, width), (1 + seed % CLASSES, 1 + (seed + 2) % CLASSES)).labels
    logits = np.empty((CLASSES, height, width), np.float32)
    for index, plane in enumerate(logits):
        mask = cv2.GaussianBlur((labels == index + 1).astype(np.float32), (0, 0), 4)
        noise = cv2.GaussianBlur(random.standard_normal((height, width)).astype(np.float32), (0, 0), 5)
        plane[:] = 14 * mask - 7 + 1.5 * noise / noise.std()
    return logits


def noise_logits(seed: int, height: int, width: int) -> np.ndarray:
    """Return ``(4, H, W)`` float32 logits of which every second one, at random, is above 0.

    None is so near to 0 that the usual way's sigmoid rounds it to the other side of 0.5.
    """
    logits = np.random.default_rng(seed).standard_normal((CLASSES, height, width)).astype(np.float32)
    return np.where(np.abs(logits) < 1e-5, np.float32(1e-5), logits)


KINDS: dict[str, Callable[[int, int, int], np.ndarray]] = {"strips": strip_logits, "noise": noise_logits}


def ours(logits: np.ndarray, min_area: int) -> tuple[dict[str, float], list[tuple], list[str]]:
    """Do it as the pipeline does; give the milliseconds of each step, the defects and the codes."""
    decision = Decision.uniform(CLASSES, 0.5, min_area)
    clock = [time.thread_time()]
    masks = decision.decide(torch.from_numpy(logits)[None], "multilabel")[0].numpy()
    clock.append(time.thread_time())
    masks, table = decision.find_defects(masks, logits, "multilabel")
    clock.append(time.thread_time())
    codes = [encode(mask) for mask in masks]
    clock.append(time.thread_time())
    steps = dict(zip(("decide", "components and records", "run-length code"), 1000 * np.diff(clock), strict=True))
    rows = [
        (*row[:6], round(row[6], 4))
        for row in table[["class_id", "area_px", "x", "y", "width", "height", "mean_probability"]].tolist()
    ]
    return {**steps, "whole": 1000 * (clock[-1] - clock[0])}, sorted(rows), codes


def usual(logits: np.ndarray, min_area: int) -> tuple[float, list[tuple], list[str]]:
    """Do it as most scripts do; give the milliseconds, the defects and the codes."""
    started = time.thread_time()
    probabilities = torch.sigmoid(torch.from_numpy(logits)).numpy()
    rows, codes = [], []
    for index, probability in enumerate(probabilities):
        mask = (probability >= 0.5).astype(np.uint8)
        count, labels = cv2.connectedComponents(mask)
        cleaned = np.zeros_like(mask)
        for label in range(1, count):
            component = labels == label
            if component.sum() < min_area:
                continue
            cleaned[component] = 1
            y, x = np.where(component)
            box = (int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1)
            mean = float(probability[component].astype(np.float64).mean())
            rows.append((index + 1, int(component.sum()), *box, round(mean, 4)))
        pixels = np.concatenate([[0], cleaned.T.flatten(), [0]])
        runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
        runs[1::2] -= runs[::2]
        codes.append(" ".join(str(number) for number in runs))
    return 1000 * (time.thread_time() - started), sorted(rows), codes


def same(one: list[tuple], other: list[tuple]) -> bool:
    """Check whether two lists of defects agree; a mean may differ by the order of its sum."""
    return len(one) == len(other) and all(
        a[:6] == b[:6] and abs(a[6] - b[6]) < 1e-3 for a, b in zip(one, other, strict=True)
    )


def main(argv: Sequence[str]) -> int:
    """Measure, compare, print and append to the CSV."""
    config = parse(PostprocessConfig, argv, "postprocess.py", "Time the way from logits to defects.")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    height, width = config.image_size
    machine = facts(1, "torch", "numpy", "opencv-python-headless")
    rows: list[dict[str, Any]] = []
    for kind, make in KINDS.items():
        images = [make(seed, height, width) for seed in range(config.num_of_images)]
        times: dict[str, list[float]] = {}
        defects = 0
        for number in range(config.rounds):
            for logits in images:
                steps, found, codes = ours(logits, config.min_area)
                for step, milliseconds in steps.items():
                    times.setdefault(step, []).append(milliseconds)
                if number < config.usual_rounds:
                    milliseconds, expected, expected_codes = usual(logits, config.min_area)
                    assert codes == expected_codes
                    assert same(found, expected)
                    times.setdefault("usual way, whole", []).append(milliseconds)
                    defects += len(found)
        for _ in range(config.rounds):  # as the pipeline does: an image in each of its threads
            with ThreadPoolExecutor(2) as pool:
                started = time.perf_counter()
                list(pool.map(lambda logits: ours(logits, config.min_area), images))
                times.setdefault("whole, two threads", []).append(1000 * (time.perf_counter() - started) / len(images))
        whole = statistics.median(times["whole"])
        for step, values in times.items():
            median = statistics.median(values)
            bar = f"{BARS[kind]:g}" if step.startswith("whole") else ""
            print(f"{kind:>7}  {step:<24} {median:9.2f} ms" + (f"   bar {bar} ms" if bar else ""))
            what = {"logits": kind, "step": step, "image_size": f"{height}x{width}", "classes": CLASSES}
            result = {"ms_per_image": f"{median:.3f}", "bar_ms": bar, "times_of_ours": f"{median / whole:.2f}"}
            rows.append({**what, "min_area": config.min_area, **result, **machine})
        if config.usual_rounds:
            print(f"{kind:>7}  {defects / len(images) / config.usual_rounds:.0f} defects an image, the same both ways")
    write_rows(config.out, rows)
    return DONE


if __name__ == "__main__":
    run(main)
