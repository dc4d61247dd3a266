"""Check a dataset folder once, thoroughly, so that training need not: every image read, every code fitted to its image."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from config import CheckConfig, Side
from utils.data import rle
from utils.data.annotations import Annotations, make_rows
from utils.data.bit_depth import DARK, BitDepth, Levels
from utils.data.cache import FileCache
from utils.data.codes_in_file import last_pixels
from utils.data.dataset_folder import (
    Dataset,
    ImagePaths,
    has_images,
    missing_test_images,
    names_of_images,
    open_dataset,
)
from utils.data.facts import FactColumns
from utils.data.folder_layout import IMAGES, LABELS
from utils.data.images import ImageError, ImageFacts, verify_image
from utils.data.listing import TEST_IMAGES, TRAIN_IMAGES, about_folders, about_links
from utils.data.packed import open_pack
from utils.data.tables import AnnotationError, write_frame
from utils.errors import InputError
from utils.text import plural

COLUMNS = ["file", "row", "problem", "remedy"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        sizes: (height, width) in pixels of each readable training image.
        problems: columns file (str), row (Int64, missing for images), problem, remedy; empty when all is well.
        facts: lines about the dataset, to print.
        warnings: lines about images that can be used, but perhaps not as they were meant.
        depth: the bit depth of the images, as given and measured.
        largest: largest whole number of files with more than 8 bits; None without any.
        csv: where the problems were written; None when there are none, or when they could not be written (a fact says so).
    """

    sizes: dict[str, tuple[int, int]]
    problems: pd.DataFrame
    facts: list[str] = field(default_factory=list)
    csv: Path | None = None
    warnings: list[str] = field(default_factory=list)
    depth: BitDepth = BitDepth()
    largest: float | None = None

    def text(self, most: int = 40) -> str:
        """Return as text for a terminal the facts and the first ``most`` problems, one a line."""
        warnings = [f"warning: {line}" for line in self.warnings]
        if self.problems.empty:
            end = f"no problems, {plural(len(warnings), 'warning')}" if warnings else "no problems"
            return "\n".join([*self.facts, *warnings, end])
        listed = f", listed in {self.csv}" if self.csv else ""
        lines = [*self.facts, *warnings, f"{plural(len(self.problems), 'problem')}{listed}:"]
        lines += [f"  {line}" for line in _lines(self.problems.head(most))]
        if len(self.problems) > most:
            lines.append(f"  ... and {len(self.problems) - most} more")
        return "\n".join(lines)


def check(config: CheckConfig, progress: bool = True) -> CheckReport:
    """Check a dataset folder: tables, training images, test images; of both sides every image and every label.

    Args:
        config: folder, CSV for the problems, threads.
        progress: show a bar when standard error is a terminal.

    Returns:
        All problems together; they are also written as CSV when there are any.

    Raises:
        InputError: the folder holds neither training nor test images.
        OSError: the CSV that the user named cannot be written.
    """
    start = time.perf_counter()
    root = config.dir
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; -dir expects a dataset folder")
    sides = [side for side in IMAGES if has_images(root, side)]
    if not sides:
        raise InputError(f"{root}: neither {TRAIN_IMAGES}/ nor {TEST_IMAGES}/; put images there or run convert")
    facts: list[str] = []
    problems: list[list] = []
    sizes: dict[str, tuple[int, int]] = {}
    warnings: list[str] = []
    depth = BitDepth().overruled(config.bit_depth)
    largest: list[float | None] = []
    for side in sides:
        if (root / IMAGES[side]).is_dir() and (linked := about_links(root / IMAGES[side])):
            warnings.append(f"{linked}; copy its images")
        malformed: list[AnnotationError] = []
        found: list[list] = []
        try:
            if side == "test":
                malformed += missing_test_images(root)
            if side == "train" or (root / LABELS[side]).is_file():
                dataset = open_dataset(root, side, malformed)
                report = check_dataset(replace(dataset, depth=depth), config.num_of_workers, progress)
                facts += _facts(side, dataset, report.sizes)
                found = report.problems.values.tolist()
                sizes = report.sizes if side == "train" else sizes
                # Images to predict are read as those that a network was trained on.
                depth, warnings = report.depth, warnings + report.warnings
                largest.append(report.largest)
            else:
                paths = unlabelled(root).paths(names_of_images(root, "test"))
                read, bad = read_facts(paths, config.num_of_workers, progress)
                largest.append(read.largest())
                depth = _judge_depth(depth, read, bad)
                warnings += _warnings(paths, read, depth)
                sizes_there = read.sizes(paths.names).values()
                facts.append(f"test images: {len(paths)}{_within(paths.names)}, {_size_words(sizes_there)}")
                found = _as_problems(paths, bad)
            found += _damaged(root, side)
        except AnnotationError as error:
            malformed.append(error)
        problems += [_as_row(root, error) for error in malformed] + found
    if depth.text():
        facts.append(f"images with more than 8 bits are read as {depth.text()}")
    numbers = [number for number in largest if number is not None]
    if numbers:
        facts.append(
            f"largest number of files of 16 bits: {max(numbers):g}; if your camera has other bits than {depth.bits}, give"
            " -bit_depth"
        )
    frame = _frame(problems)
    csv = None
    if len(frame):
        try:
            csv = _save(frame, config.out or root / "problems.csv")
        except OSError as error:
            if config.out is not None:
                raise
            # A dataset may lie on a disk that nobody may write to: the problems are worth more than their file.
            facts.append(f"{error.filename}: not saved ({error.strerror}); -out FILE saves the problems elsewhere")
    facts.append(f"checked in {time.perf_counter() - start:.1f} s")
    return CheckReport(sizes, frame, facts, csv, warnings, depth, max(numbers, default=None))


def check_dataset(dataset: Dataset, workers: int | None, progress: bool) -> CheckReport:
    """Read every training image wholly, unless it was read before, and fit every code to its image.

    Args:
        dataset: an opened dataset folder; what its bit depth leaves open is measured on all of its images.
        workers: threads that read images; None: one a core.
        progress: show a bar when standard error is a terminal.

    Returns:
        Sizes of the readable images, all problems together, warnings and the bit depth.
    """
    paths = dataset.paths(dataset.images)
    read, bad = read_facts(paths, workers, progress)
    largest = read.largest()
    depth = _judge_depth(dataset.depth, read, bad)
    sizes = read.sizes(dataset.images)
    problems = _as_problems(paths, bad)
    annotations = dataset.annotations
    rows = annotations.rows
    ends = last_pixels(rows["rle"])
    for place, (image, class_id, end) in enumerate(zip(rows["image"], rows["class_id"], ends, strict=True)):
        if image not in sizes or end <= sizes[image][0] * sizes[image][1]:
            continue  # all else was looked at when the table was read
        try:
            rle.parse(rows["rle"].iloc[place], *sizes[image])
        except rle.RleError as error:
            problems.append(_as_row(dataset.root, annotations.error(image, class_id, error)))
    for image in annotations.ignored:
        try:
            if image in sizes:
                annotations.ignored_part(image, *sizes[image])
        except AnnotationError as error:
            problems.append(_as_row(dataset.root, error))
    warnings = _warnings(paths, read, depth)
    return CheckReport(sizes, _frame(problems), warnings=warnings, depth=depth, largest=largest)


def verified(dataset: Dataset, workers: int | None = None, progress: bool = True) -> CheckReport:
    """Return what checking a dataset without problems finds: sizes, warnings and the bit depth.

    Args:
        dataset: an opened dataset folder.
        workers: threads that read images; None: one a core.
        progress: show a bar when standard error is a terminal.

    Raises:
        InputError: something is wrong; names the first problem, the number of all and how to list them.
    """
    report = check_dataset(dataset, workers, progress)
    if len(report.problems):
        count = len(report.problems)
        more = f" (one of {count} problems; Prepare_data.py check -dir {dataset.root} lists all)" if count > 1 else ""
        raise InputError(f"{dataset.root}/{_lines(report.problems.head(1))[0]}{more}")
    return report


def thread_count(workers: int | None) -> int:
    """Return the number of threads for reading images; None and 0 mean one a core."""
    return workers or os.cpu_count() or 1


def unlabelled(root: Path) -> Dataset:
    """Return the test images of a dataset folder that has no labels of them."""
    none = Annotations(make_rows([]), (), ())
    return Dataset(root, root / TEST_IMAGES, names_of_images(root, "test"), none, pack=open_pack(root), side="test")


def read_facts(
    paths: ImagePaths, workers: int | None, progress: bool
) -> tuple[FactColumns, list[tuple[int, str, str]]]:
    """Read images in threads, those that the cache does not know as good; of a packed dataset its index alone.

    Returns:
        Facts, and (place among the paths, reason, remedy) of bad images.
    """
    if paths.dataset.pack is not None:
        return FactColumns.of_pack(paths), []
    cache = FileCache(paths.dataset.root, "images")
    read_so_far = FactColumns(len(paths))
    unknown = []
    for place, path in enumerate(paths):
        facts = _facts_of(cache.get(path))
        if facts is None:
            unknown.append(place)
        else:
            read_so_far[place] = facts
    bad = []

    def read(place: int) -> ImageFacts | ImageError:
        try:
            return verify_image(paths[place])
        except ImageError as error:
            return error

    if unknown:
        try:
            bar = tqdm(
                in_order(read, unknown, thread_count(workers)),
                "reading images",
                len(unknown),
                disable=None if progress else True,
            )
            for place, found in bar:
                # Permissions, a disk or a library may be repaired without a trace on the file: read it anew then.
                if isinstance(found, ImageError):
                    bad.append((place, found.reason, found.remedy))
                else:
                    read_so_far[place] = found
                    levels = found.levels
                    numbers = [levels.low, levels.high, levels.usual]
                    cache.put(paths[place], [found.height, found.width, levels.kind, *numbers, found.pages])
        finally:
            cache.save()  # an interrupted check goes on where it was
    return read_so_far, bad


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[tuple[Item, Result]]:
    """Do the work in threads and give item and result in order; only a few results wait at any time."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > 4 * threads:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _as_problems(paths: ImagePaths, bad: Sequence[tuple[int, str, str]]) -> list[list]:
    folder = paths.dataset.image_dir.name
    return [[f"{folder}/{paths.names[place]}", None, *why] for place, *why in bad]


def _damaged(root: Path, side: Side) -> list[list]:
    """Compare every image of a packed side with its checksum, shard by shard."""
    pack = open_pack(root)
    if pack is None:
        return []
    images = pack.side(side)
    found = []
    for row in np.lexsort((images.columns["offset"], images.columns["shard"])).tolist():
        try:
            pack.content(side, row)
        except InputError as error:
            shard = images.shards[images.columns["shard"][row]]
            reason, _, remedy = str(error).removeprefix(f"{pack.place}/{shard}: ").partition("; ")
            found.append([shard, None, reason, remedy])
    return found


def _facts_of(stored: Any) -> ImageFacts | None:
    """Read stored facts; None for anything else, such as what earlier versions stored: failures, or sizes alone."""
    try:
        height, width, kind, low, high, usual, pages = stored
        levels = Levels(kind, float(low), float(high), None if usual is None else float(usual))
        return ImageFacts(int(height), int(width), levels, int(pages))
    except (TypeError, ValueError):
        return None


def _judge_depth(depth: BitDepth, read: FactColumns, bad: list[tuple[int, str, str]]) -> BitDepth:
    """Measure what is not known of the bit depth, and count images that exceed it among the bad ones."""
    wide = read.wide()
    depth = depth.measured(read[place].levels for place in wide)
    for place in wide:
        if refusal := depth.refusal(read[place].levels):
            bad.append((place, *refusal))
            read.known[place] = False
    return depth


def _few_above(levels: Levels) -> str:
    return f" but for a few pixels up to {levels.high:g}" if levels.usual is not None else ""


def _warnings(paths: ImagePaths, read: FactColumns, depth: BitDepth) -> list[str]:
    """Describe what may be wrong with images that can be read, each kind in one line."""

    def named(places: list[int]) -> str:
        others = f" (and {plural(len(places) - 1, 'other image')})" if len(places) > 1 else ""
        return f"{paths.dataset.image_dir.name}/{paths.names[places[0]]}{others}"

    found: dict[str, list[int]] = {}
    pages: list[int] = []
    above: list[int] = []
    for place in read.notable():
        facts = read[place]
        low, high = depth.shown(facts.levels)
        if high - low < 256 // DARK and high < 255:
            found.setdefault(facts.levels.kind, []).append(place)
        if facts.levels.kind == "whole" and depth.bits is not None and facts.levels.high >= 2**depth.bits:
            above.append(place)
        if facts.pages > 1:
            pages.append(place)
    lines = []
    for kind, places in found.items():
        levels = read[places[0]].levels
        low, high = depth.shown(levels)
        own = BitDepth().measured([replace(levels, high=levels.most)])
        remedy = "convert it anew from what the camera wrote, if it looks black"
        if kind == "whole" and own.bits != depth.bits:
            remedy = f"its numbers {levels.low:g} to {levels.most:g} fit {own.bits} bits{_few_above(levels)}: give -bit_depth {own.bits} if the"
            remedy += " camera has so many, and keep images of different cameras in folders of their own"
        elif kind == "float":
            remedy = (
                f"its numbers {levels.low:g} to {levels.high:g} are scaled by a white of {depth.float_white:g}: scale"
            )
            remedy += " all images alike"
        lines.append(f"{named(places)}: uses grey {low} to {high} of 0 to 255; {remedy}")
    if above:
        most = read[above[0]].levels.high
        lines.append(f"{named(above)}: a few numbers, up to {most:g}, exceed {depth.bits} bits; they become white")
    if pages:
        count = read[pages[0]].pages
        lines.append(
            f"{named(pages)}: holds {count} pages, and the first alone is read; save each as a file of its own"
        )
    return lines


def _save(problems: pd.DataFrame, csv: Path) -> Path:
    write_frame(problems, csv)
    return csv


def _as_row(root: Path, error: AnnotationError) -> list:
    file = Path(error.file)
    shown = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return [shown, error.row, error.reason, error.remedy]


def _frame(problems: list[list]) -> pd.DataFrame:
    # Text as objects: where pyarrow is installed pandas keeps it as UTF-8, which a path need not be.
    return pd.DataFrame(problems, columns=COLUMNS, dtype=object).astype({"row": "Int64"})


def _lines(problems: pd.DataFrame) -> list[str]:
    return [
        f"{file}{'' if row is pd.NA else f', row {row}'}: {problem}; {remedy}"
        for file, row, problem, remedy in problems[COLUMNS].itertuples(index=False, name=None)
    ]


def _facts(side: Side, dataset: Dataset, sizes: dict[str, tuple[int, int]]) -> list[str]:
    annotations = dataset.annotations
    counts = annotations.rows["class_id"].value_counts()
    with_defect = annotations.rows["image"].nunique()
    named = ", ".join(f"{name} {counts.get(k, 0)}" for k, name in enumerate(annotations.class_names, 1))
    return [
        f"{'training' if side == 'train' else 'test'} images: {len(dataset.images)}{_within(dataset.images)},"
        f" {_size_words(sizes.values())}",
        f"with a defect: {with_defect}, clean: {len(dataset.images) - with_defect}",
        f"images per class: {named}",
        *([f"rows with -1, nan or the like, read as no defect: {annotations.fillers}"] if annotations.fillers else []),
        *_ignored_fact(annotations.ignored, sizes),
    ]


def _within(names: Iterable[str]) -> str:
    said = about_folders(names)
    return f" ({said})" if said else ""


def _ignored_fact(ignored: Mapping[str, str], sizes: dict[str, tuple[int, int]]) -> list[str]:
    if not ignored:
        return []
    pixels = sum(int(rle.parse(code)[:, 1].sum()) for code in ignored.values())
    whole = sum(height * width for height, width in sizes.values())
    share = f", {pixels / whole:.2%} of all pixels" if whole else ""
    return [f"with pixels that count neither in the loss nor in scores: {plural(len(ignored), 'image')}{share}"]


def _size_words(sizes: Iterable[tuple[int, int]]) -> str:
    """Describe which sizes occur, the commonest first."""
    counts = Counter(sizes).most_common()
    words = [f"{height}x{width} ({count})" for (height, width), count in counts[:3]]
    return "height x width " + ", ".join(words) + (f" and {len(counts) - 3} other sizes" if len(counts) > 3 else "")
