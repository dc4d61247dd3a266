"""How long the search for near-duplicates takes as folders grow, what it finds, and what it joins wrongly.

Strips are drawn at the size to which the search shrinks real ones; one in ten is a copy of another: turned, mirrored,
shifted, brighter, and stored as a JPEG again. Drawing is not timed.

    python benchmarks/near_duplicates.py -images 1000,4000,16000

With ``-dir`` it searches a dataset folder instead; each column of ``-known`` beside ``image`` says which images belong
together, and the share of these pairs that ended in one group is printed.

    python benchmarks/near_duplicates.py -dir NEU -known copies.csv
"""

import dataclasses
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from math import comb, log
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.data.annotations import open_dataset
from utils.data.duplicates.description import Description, describe
from utils.data.duplicates.groups import describe_groups, group, near_duplicate_groups
from utils.data.duplicates.symmetry import lay
from utils.data.synthetic.strip import make_strip

SIZE = (102, 640)  # what 256x1600 is shrunk to
COPY_EVERY = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearDuplicatesConfig:
    """What this benchmark does."""

    images: tuple[int, ...] = flag("numbers of images, e.g. 1000,4000", (1000, 2000, 4000))
    dir: Path | None = flag("dataset folder to search instead", None)
    known: Path | None = flag(
        "CSV with image and columns of numbers that are equal for images that belong together", None
    )
    threads: int = flag("CPU threads", 2, low=1)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/near_duplicates.csv"))


def draw(number: int) -> tuple[Description, float]:
    """Draw an image and describe it: the description and the seconds that describing took."""
    rng = np.random.default_rng(number - number % COPY_EVERY if number % COPY_EVERY == 1 else number)
    wide = (SIZE[0] + 16, SIZE[1] + 80)
    image = make_strip(rng, wide, tuple(k for k in (1, 2, 3, 4) if rng.random() < 0.3)).image
    if number % COPY_EVERY == 1:
        mine = np.random.default_rng(number)
        top, left = int(mine.integers(16)), int(mine.integers(80))
        image = lay(image[top : top + SIZE[0], left : left + SIZE[1]], int(mine.integers(8)))
        brighter = np.clip(image * mine.uniform(0.8, 1.2) + mine.uniform(-10, 10), 0, 255).astype(np.uint8)
        image = cv2.imdecode(cv2.imencode(".jpg", brighter, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_GRAYSCALE)
    else:
        image = np.ascontiguousarray(image[: SIZE[0], : SIZE[1]])
    started = time.perf_counter()
    return describe(image, 1.0), time.perf_counter() - started


def search(config: NearDuplicatesConfig) -> int:
    """Search a folder, and print how many of the known pairs are found."""
    assert config.dir is not None
    dataset = open_dataset(config.dir)
    started = time.perf_counter()
    groups = near_duplicate_groups(dataset, config.threads, progress=False)
    print(f"{describe_groups(groups)}; {time.perf_counter() - started:.1f} s (0 s: kept from an earlier search)")
    if config.known is None:
        return DONE
    known = pd.read_csv(config.known)
    known = known[known["image"].isin(groups)]
    found = known["image"].map(groups)
    for column in known.select_dtypes("number"):
        pairs = joined = 0
        for _, members in found.groupby(known[column]):
            pairs += comb(len(members), 2)
            joined += sum(comb(count, 2) for count in members.value_counts())
        print(f"{column}: {joined} of {pairs} pairs in one group ({joined / max(pairs, 1):.2%})")
    return DONE


def main(argv: Sequence[str]) -> int:
    """Measure, print and append to the CSV."""
    config = parse(NearDuplicatesConfig, argv, "near_duplicates.py", "Time the search for near-duplicates.")
    if config.dir is not None:
        return search(config)
    with ProcessPoolExecutor(config.threads) as pool:
        drawn = list(pool.map(draw, range(max(config.images)), chunksize=64))
    described = [one for one, _ in drawn]
    rows = []
    for count in sorted(config.images):
        started = time.perf_counter()
        groups = np.array(group(described[:count], config.threads, progress=False))
        seconds = time.perf_counter() - started
        copies = np.arange(1, count, COPY_EVERY)
        found = groups[copies] == groups[copies - 1]
        sizes = np.bincount(groups)
        rows.append(
            {
                "images": count,
                "describing_ms_an_image": round(1000 * float(np.mean([spent for _, spent in drawn[:count]])), 2),
                "comparing_s": round(seconds, 1),
                "copies_found": f"{found.sum()} of {len(copies)}",
                "wrongly_joined": int((sizes[sizes > 1] - 1).sum() - found.sum()),
                "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                **facts(config.threads, "faiss-cpu", "numpy"),
            }
        )
        print(*(f"{key} {value}" for key, value in rows[-1].items()), sep=", ", flush=True)
    for less, more in pairwise(rows):
        exponent = log(more["comparing_s"] / less["comparing_s"]) / log(more["images"] / less["images"])
        print(f"from {less['images']} to {more['images']} images: time grows with the power {exponent:.2f}")
    write_rows(config.out, rows)
    return DONE


if __name__ == "__main__":
    run(main)
