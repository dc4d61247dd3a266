"""How long the search for near-duplicates takes as folders grow, what it finds, and what it joins wrongly.

Strips are drawn at the size to which the search shrinks real ones; one in ten is a copy of another: turned, mirrored,
shifted, brighter, and stored as a JPEG again. Drawing is not timed.

    python benchmarks/near_duplicates.py -images 1000,4000,16000

With ``-dir`` it searches a dataset folder instead; each column of ``-known`` beside ``image`` says which images belong
together, and the share of these pairs that ended in one group is printed.

    python benchmarks/near_duplicates.py -dir NEU -known copies.csv

With ``-hashes true`` images are compared by the small hashes that weights files carry of their training images.
"""

import dataclasses
import functools
import resource
import sys
import time
from collections.abc import Iterator, Sequence
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
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.duplicates.description import POINTS, Description, describe
from utils.data.duplicates.groups import describe_groups, group, near_duplicate_groups
from utils.data.duplicates.hashes import QUERY_POINTS, Hashes, hash_of, query_of
from utils.data.duplicates.pairs import find_pairs, on_disk, overlap, scale_for
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
    hashes: bool = flag("compare by the small hashes that weights files carry, instead of all that is known", False)
    threads: int = flag("CPU threads", 2, low=1)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/near_duplicates.csv"))


def by_hashes(described: Sequence[Description]) -> set[tuple[int, int]]:
    """Compare each image with the hashes of all: positions of the image and of each hash that it is a copy of."""
    hashes = Hashes(np.stack([hash_of(one) for one in described]))
    found = set()
    for number, one in enumerate(described):
        found |= {(number, other) for other in hashes.matches(query_of(one)) if other != number}
    return found


def draw(number: int, points: int = POINTS) -> tuple[Description, float]:
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
    return describe(image, 1.0, points), time.perf_counter() - started


def search(config: NearDuplicatesConfig) -> int:
    """Search a folder, and print how many of the known pairs are found."""
    assert config.dir is not None
    dataset = open_dataset(config.dir)
    if config.hashes:
        return search_hashes(config, dataset)
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


def search_hashes(config: NearDuplicatesConfig, dataset: Dataset) -> int:
    """Search a folder by hashes, and print how many of the known pairs are found, and how many others."""
    assert config.known is not None
    known = pd.read_csv(config.known)
    known = known[known["image"].isin(dataset.images)].reset_index(drop=True)
    paths = [dataset.path(name) for name in known["image"]]
    scale = scale_for(paths)
    described = [describe(dataset.read(path.name, 1)[..., 0], scale, QUERY_POINTS) for path in paths]
    found = by_hashes(described)
    first, second = np.array(sorted(found), dtype=np.int64).reshape(-1, 2).T
    for column in known.select_dtypes("number"):
        numbers = known[column].to_numpy()
        same = numbers[first] == numbers[second]
        pairs = sum(count * (count - 1) for count in known[column].value_counts())
        print(f"{column}: {same.sum()} of {pairs} ordered pairs found ({same.sum() / max(pairs, 1):.2%})")
        apart = len(set(first[~same].tolist()))
        print(f"{column}: {apart} of {len(known)} images have a copy of another {column}, {(~same).sum()} pairs")
    by_overlap(described, found, config.threads)
    return DONE


def by_overlap(described: Sequence[Description], found: set[tuple[int, int]], threads: int) -> None:
    """Print how many of the pairs that pixels find the hashes find too, by the share of the smaller image on both."""
    few = [
        dataclasses.replace(
            one, points=one.points[:POINTS], symmetries=one.symmetries[:POINTS], patches=one.patches[:POINTS]
        )
        for one in described
    ]
    counts: dict[int, list[bool]] = {}
    for pair in find_pairs(few, threads, progress=False):
        one, other = described[pair.first].texture, lay(described[pair.second].texture, pair.symmetry)
        share = overlap(one, other, pair.down, pair.right)[0].size / min(one.size, other.size)
        for ends in ((pair.first, pair.second), (pair.second, pair.first)):
            counts.setdefault(min(4, int(share * 5)), []).append(ends in found)
    for number, hits in sorted(counts.items()):
        print(f"overlap from {number / 5:g}: {sum(hits)} of {len(hits)} ordered pairs found ({np.mean(hits):.1%})")


def main(argv: Sequence[str]) -> int:
    """Measure, print and append to the CSV."""
    config = parse(NearDuplicatesConfig, argv, "near_duplicates.py", "Time the search for near-duplicates.")
    if config.dir is not None:
        return search(config)
    points = QUERY_POINTS if config.hashes else POINTS
    with ProcessPoolExecutor(config.threads) as pool:
        spent: list[float] = []

        def drawn() -> Iterator[Description]:
            for one, seconds in pool.map(
                functools.partial(draw, points=points), range(max(config.images)), chunksize=64
            ):
                spent.append(seconds)
                yield one

        described = on_disk(drawn())
    rows = []
    for count in sorted(config.images):
        started, before = time.perf_counter(), time.process_time()
        copies = np.arange(1, count, COPY_EVERY)
        if config.hashes:
            pairs = by_hashes(described[:count])
            found = np.array([(copy, copy - 1) in pairs for copy in copies.tolist()])
            wrong = sum(max(pair) != min(pair) + 1 or max(pair) % COPY_EVERY != 1 for pair in pairs)
        else:
            groups = np.array(group(described[:count], config.threads, progress=False))
            found = groups[copies] == groups[copies - 1]
            sizes = np.bincount(groups)
            wrong = int((sizes[sizes > 1] - 1).sum() - found.sum())
        seconds, processor_seconds = time.perf_counter() - started, time.process_time() - before
        rows.append(
            {
                "images": count,
                "by": "hashes" if config.hashes else "pixels",
                "describing_ms_an_image": round(1000 * float(np.mean(spent[:count])), 2),
                "comparing_s": round(seconds, 1),
                "processor_s": round(processor_seconds, 1),
                "copies_found": f"{found.sum()} of {len(copies)}",
                "wrongly_joined": wrong,
                "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                **facts(config.threads, "faiss-cpu", "numpy"),
            }
        )
        print(*(f"{key} {value}" for key, value in rows[-1].items()), sep=", ", flush=True)
    for less, more in pairwise(rows):
        # Of processor time: other programs on the machine do not count.
        exponent = log(more["processor_s"] / less["processor_s"]) / log(more["images"] / less["images"])
        print(f"from {less['images']} to {more['images']} images: time grows with the power {exponent:.2f}")
    write_rows(config.out, rows)
    return DONE


if __name__ == "__main__":
    run(main)
