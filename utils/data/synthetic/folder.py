"""Write a dataset folder of synthetic strips."""

import os
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from config import Side, SynthesiseConfig
from utils.data import rle
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.folder_layout import IMAGES, LABELS, TEST_TABLE, read_class_names
from utils.data.synthetic.statistics import CLASS_NAMES, LARGEST_FLOOR, draw_class_set
from utils.data.synthetic.strip import make_strip
from utils.data.tables import CLASSES_FILE, write_listed
from utils.errors import InputError
from utils.files import write_text

# Tells a later run that the folder's images may be replaced.
MARK = "synthetic.txt"
OUR_IMAGES = re.compile(r"(train|test|c\d+)_\d{5}\.jpg")
# What a coil has beside its images and labels.
COIL_FILES = ("positions.csv", "speed.csv", "coil.yaml", "defects.csv", "truth.json")

SMALLEST_SIDE, LARGEST_SIDE = 64, 8192
MOST_IMAGES = 100_000  # names have five digits

# The real images are three equal channels, about 107 KB each; this quality gives the same size.
JPEG_QUALITY = 90

# Both splits of one seed must differ.
STREAM = {"train": 0, "test": 1}


@dataclass(frozen=True)
class SynthesiseSummary:
    """What was written.

    Attributes:
        dir: the dataset folder.
        split: "train" or "test".
        images: number of strips.
        clean: number of strips without a defect.
        per_class: class name -> number of strips that show it.
        seconds: time it took.
    """

    dir: Path
    split: Side
    images: int
    clean: int
    per_class: dict[str, int]
    seconds: float

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        classes = ", ".join(f"{count} with {name}" for name, count in self.per_class.items())
        return f"{self.dir / IMAGES[self.split]}: {self.images} strips ({self.clean} clean, {classes}) in {self.seconds:.0f} s"


def synthesise(config: SynthesiseConfig) -> SynthesiseSummary:
    """Write a dataset folder of synthetic strips.

    A strip depends only on seed, split, image size, class floor and its number: more strips leave the first as they
    were, and they may be made in any order.

    Args:
        config: folder, number, size, split, class floor and seed.

    Returns:
        What was written.

    Raises:
        InputError: number or size is out of range, or the folder holds images that this function did not make
            or names other classes.
    """
    _check(config)
    start = time.perf_counter()
    image_dir = config.dir / IMAGES[config.split]
    make_room(config.dir, config.split)

    results: list[tuple[str, dict[int, str]]] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        try:
            made = pool.map(partial(_write_strip, config, image_dir), range(config.num_of_images))
            results.extend(
                tqdm(made, total=config.num_of_images, desc=f"{config.split} strips", unit="strip", disable=None)
            )
        except BaseException as error:
            pool.shutdown(cancel_futures=True)
            if isinstance(error, OSError):  # a full disk: strips without a table are of no use
                error.filename = error.filename or str(image_dir)
                for path in image_dir.iterdir():
                    path.unlink()
            raise

    # The tables come last: without them an interrupted folder is not taken for a finished one.
    rows = [(name, class_id, code, 0) for name, codes in results for class_id, code in codes.items()]
    write_annotations(make_rows(rows), config.dir / LABELS[config.split])
    if config.split == "test":
        write_listed([name for name, _ in results], config.dir / TEST_TABLE)
    counts = Counter(class_id for _, codes in results for class_id in codes)
    return SynthesiseSummary(
        dir=config.dir,
        split=config.split,
        images=len(results),
        clean=sum(not codes for _, codes in results),
        per_class={name: counts[class_id] for class_id, name in enumerate(CLASS_NAMES, start=1)},
        seconds=time.perf_counter() - start,
    )


def _write_strip(config: SynthesiseConfig, image_dir: Path, index: int) -> tuple[str, dict[int, str]]:
    """Make and write one strip; give its file name and the run-length code of each class that it shows."""
    stream = STREAM[config.split]
    offset = float(np.random.default_rng([config.seed, stream]).random())
    classes = draw_class_set(offset, index, config.class_floor)
    strip = make_strip(
        np.random.default_rng([config.seed, stream, index]),
        config.image_size,
        classes,
        config.contrast,
        config.distractors,
    )
    name = f"{config.split}_{index:05d}.jpg"
    _, encoded = cv2.imencode(".jpg", cv2.merge([strip.image] * 3), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    (image_dir / name).write_bytes(encoded.tobytes())
    codes = {class_id: rle.encode(strip.labels == class_id) for class_id in range(1, len(CLASS_NAMES) + 1)}
    return name, {class_id: code for class_id, code in codes.items() if code}


def _check(config: SynthesiseConfig) -> None:
    """Refuse what cannot be made."""
    if not 1 <= config.num_of_images <= MOST_IMAGES:
        raise InputError(f"-num_of_images {config.num_of_images}: give 1 to {MOST_IMAGES} strips")
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in config.image_size):
        size = ",".join(map(str, config.image_size))
        raise InputError(f"-image_size {size}: each side must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    if not 0.0 <= config.class_floor <= LARGEST_FLOOR:
        raise InputError(f"-class_floor {config.class_floor}: give a share from 0 to {LARGEST_FLOOR}")
    if config.seed < 0:
        raise InputError(f"-seed {config.seed}: give 0 or more")


def make_room(root: Path, split: Side, coil: bool = False) -> None:
    """Make the folders; remove an earlier run's files of this split, and refuse a folder with anybody else's.

    Args:
        root: dataset folder.
        split: whose images and tables are about to be written.
        coil: the tables of a coil are, too.

    Raises:
        InputError: the folder holds what no earlier run has written, or names other classes.
    """
    image_dir = root / IMAGES[split]
    for folder in (root, image_dir):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; give -dir a folder")
    old = sorted(image_dir.iterdir()) if image_dir.is_dir() else []
    tables = [root / LABELS[split]] + ([root / TEST_TABLE] if split == "test" else [])
    marked = (root / MARK).is_file()
    if coil or marked:
        tables += [root / name for name in COIL_FILES]
    ours = marked and all(OUR_IMAGES.fullmatch(path.name) for path in old)
    foreign = [path for path in (*old, *tables) if path.exists()]
    if foreign and not ours:
        raise InputError(f"{foreign[0]}: is not of an earlier synthesise; give -dir an empty or a new folder")
    if read_class_names(root) not in (None, CLASS_NAMES):
        raise InputError(f"{root / CLASSES_FILE}: names other classes; give -dir an empty or a new folder")
    image_dir.mkdir(parents=True, exist_ok=True)
    write_text(root / MARK, "Made by Prepare_data.py synthesise, which replaces the strips in this folder.\n")
    write_text(root / CLASSES_FILE, "".join(f"{name}\n" for name in CLASS_NAMES))
    for path in (*tables, *old):
        path.unlink(missing_ok=True)
