"""One pass over the images: for every threshold, how large the defects are and how much of them is labelled.

Of an image and class, for each threshold, the connected defects are put into bins by their area and by the
probability of their likeliest pixel. A bin keeps their number, their pixels and how many of those are labelled; for
each labelled defect it keeps how many of its pixels they cover. From that follow, for any limits of the area between
two bins, the Dice and the defects that are found, exactly and without the network. Only bins that hold something are
kept, some ten bytes each: the memory of an image does not depend on its size, and is largest for noise, with every
bin of every threshold in use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from utils.calibration.grid import ClassGrid
from utils.decision.masks import levels

# Connected defects of one bin; row: the image's number, which is known when all are put together.
BIN = np.dtype(
    [
        ("row", np.int32),
        ("level", np.uint8),  # index of the threshold
        ("bin", np.uint8),
        ("peak", np.uint8),  # index of what their likeliest pixel reaches
        ("number", np.int32),
        ("pixels", np.int32),
        ("labelled", np.int32),  # of the pixels
    ]
)
# What they cover of one labelled defect; row: the labelled defect's number.
COVER = np.dtype([("row", np.int32), ("level", np.uint8), ("bin", np.uint8), ("peak", np.uint8), ("pixels", np.int32)])


NOT_COUNTED = -1  # in the map of labelled defects: neither background nor one of them


@dataclass(frozen=True, eq=False)
class ImageTable:
    """What is kept of one class of one image.

    Attributes:
        truth: labelled pixels.
        objects: (O,) int32 pixels of each labelled defect.
        bins: of dtype ``BIN``.
        cover: of dtype ``COVER``.
    """

    truth: int
    objects: np.ndarray
    bins: np.ndarray
    cover: np.ndarray


@dataclass(frozen=True, eq=False)
class ClassTable:
    """What is kept of one class of all N images.

    Attributes:
        truth: (N,) labelled pixels.
        objects: (O,) pixels of each labelled defect.
        object_image: (O,) the image that it is in.
        bins: of dtype ``BIN``, ``row`` an image.
        cover: of dtype ``COVER``, ``row`` a labelled defect.
    """

    truth: np.ndarray
    objects: np.ndarray
    object_image: np.ndarray
    bins: np.ndarray
    cover: np.ndarray


def count_image(
    logits: np.ndarray, truth: np.ndarray, task: str, grids: Sequence[ClassGrid], ignored: np.ndarray | None = None
) -> list[ImageTable]:
    """Count one image.

    Args:
        logits: (K, H, W) float32 at the image's own size.
        truth: (C, H, W) bool.
        task: as in ``masks.decide``.
        grids: of the C classes.
        ignored: (H, W) bool, pixels that count for nothing, but for the area by which a defect is kept: what decides
            does not know of them.

    Returns:
        The tables of the C classes.
    """
    passed = levels(logits, task, [grid.thresholds for grid in grids])
    return [_count_class(*one, ignored) for one in zip(passed, truth, grids, strict=True)]


def _count_class(level: np.ndarray, truth: np.ndarray, grid: ClassGrid, ignored: np.ndarray | None) -> ImageTable:
    """Count a class from the (H, W) uint8 number of thresholds that each pixel reaches."""
    truth = truth if ignored is None else truth & ~ignored
    objects, found = cv2.connectedComponents(truth.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    labels = np.asarray(found, dtype=np.int32)
    sizes = np.bincount(labels[truth], minlength=objects)[1:].astype(np.int32)
    if ignored is not None:
        labels[ignored] = NOT_COUNTED
    bins: list[np.ndarray] = []
    cover: list[np.ndarray] = []
    left = -1
    for index in range(len(grid.thresholds)):
        x, y, width, height = cv2.boundingRect((level > index).view(np.uint8))
        if not width:
            break
        # Higher thresholds keep fewer pixels: each looks only where the one before it has some.
        level, labels = level[y : y + height, x : x + width], labels[y : y + height, x : x + width]
        mask = level > index
        pixels = int(np.count_nonzero(mask))
        if pixels == left:  # the same mask as before
            bins.append(_at(bins[-1], index))
            cover.append(_at(cover[-1], index))
            continue
        left = pixels
        one, other = _count_level(mask, level, labels, len(sizes), grid)
        bins.append(_at(one, index))
        cover.append(_at(other, index))
    empty = [np.zeros(0, BIN)], [np.zeros(0, COVER)]
    return ImageTable(int(sizes.sum()), sizes, np.concatenate(bins or empty[0]), np.concatenate(cover or empty[1]))


def _count_level(
    mask: np.ndarray, level: np.ndarray, labels: np.ndarray, objects: int, grid: ClassGrid
) -> tuple[np.ndarray, np.ndarray]:
    """Count the connected defects of one mask."""
    bins, peaks = len(grid.areas), len(grid.peaks)
    number, components = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    of_pixel, label = components[mask], labels[mask]
    area = np.bincount(of_pixel, minlength=number)
    reached = np.zeros(number, np.uint8)
    np.maximum.at(reached, of_pixel, level[mask])
    # Of the background too, which no pixel asks for.
    bin_of = np.searchsorted(grid.areas, area, side="right") - 1
    bin_of = bin_of * peaks + np.searchsorted(grid.peaks, reached, side="right") - 1
    counted = np.bincount(of_pixel[label != NOT_COUNTED], minlength=number)
    hit = label > 0
    bin_hit = bin_of[of_pixel[hit]]
    table = np.zeros(bins * peaks, BIN)
    table["bin"], table["peak"] = np.divmod(np.arange(bins * peaks), peaks)
    table["number"] = np.bincount(bin_of[1:][counted[1:] > 0], minlength=bins * peaks)
    table["pixels"] = np.bincount(bin_of[1:], weights=counted[1:], minlength=bins * peaks)
    table["labelled"] = np.bincount(bin_hit, minlength=bins * peaks)
    pairs = np.bincount(bin_hit * objects + label[hit] - 1, minlength=1) if objects else np.zeros(1, np.int64)
    met = np.flatnonzero(pairs)
    cover = np.zeros(len(met), COVER)
    found, cover["row"] = np.divmod(met, max(objects, 1))
    cover["bin"], cover["peak"] = np.divmod(found, peaks)
    cover["pixels"] = pairs[met]
    return table[table["number"] > 0], cover


def _at(table: np.ndarray, level: int) -> np.ndarray:
    copy = table.copy()
    copy["level"] = level
    return copy


def join(images: Sequence[Sequence[ImageTable]]) -> list[ClassTable]:
    """Put the tables of N images of C classes together; image n becomes row n."""
    return [_join_class(tables) for tables in zip(*images, strict=True)]


def _join_class(tables: Sequence[ImageTable]) -> ClassTable:
    objects = [len(table.objects) for table in tables]
    first = np.concatenate([[0], np.cumsum(objects)[:-1]])
    bins = np.concatenate([table.bins for table in tables])
    bins["row"] = np.repeat(np.arange(len(tables)), [len(table.bins) for table in tables])
    cover = np.concatenate([table.cover for table in tables])
    cover["row"] += np.repeat(first, [len(table.cover) for table in tables]).astype(np.int32)
    return ClassTable(
        np.array([table.truth for table in tables], dtype=np.int64),
        np.concatenate([table.objects for table in tables]).astype(np.int64),
        np.repeat(np.arange(len(tables)), objects),
        bins,
        cover,
    )
