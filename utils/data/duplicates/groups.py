"""Groups of near-duplicate images: the same piece of steel again, turned, mirrored, shifted or cropped.

A split that puts such images on both sides flatters the score. Two searches give candidates: a perceptual hash of the
whole image, and small patches around salient points, of which several must agree on a shift. Both know the eight
symmetries of a picture. A candidate counts when its overlapping pixels correlate.
"""

from collections.abc import Sequence

import numpy as np

from utils.data.cache import FileCache, files_fingerprint
from utils.data.checks import thread_count
from utils.data.dataset_folder import Dataset
from utils.data.duplicates.description import Description
from utils.data.duplicates.pairs import Pair, describe_images, find_pairs, scale_for
from utils.data.images import read_image

VERSION = 4  # of the search: results of another one that were kept are made anew
LARGEST_SHARE, LARGEST_LEAST = 0.1, 8  # a group never grows beyond this share (and number) of the images


def near_duplicate_groups(
    dataset: Dataset, workers: int | None = None, progress: bool = True, images: Sequence[str] | None = None
) -> dict[str, int]:
    """Put near-duplicate images into groups; the result is kept until an image changes.

    Args:
        dataset: an opened dataset folder.
        workers: threads that read and compare images; None: one a core.
        progress: show a bar when standard error is a terminal.
        images: names to look at; None: all of the dataset.

    Returns:
        Image name -> group number, from 0 in order of the names; an image without duplicates has a group of its own.
    """
    names = sorted(dataset.images if images is None else images)
    if not names:
        return {}
    # The depth of images with more than 8 bits; without such images the key is that of versions that knew no depth.
    depth = f" {dataset.depth.text()}" if dataset.depth.text() else ""
    key = f"{files_fingerprint(dataset.paths(names), names)} {VERSION}{depth}"
    cache = FileCache(dataset.root, "duplicates")
    where = dataset.image_dir if dataset.pack is None else dataset.root
    stored = cache.get(where)
    if isinstance(stored, dict) and stored.get("key") == key and len(stored["groups"]) == len(names):
        return dict(zip(names, stored["groups"], strict=True))
    threads = thread_count(workers)
    paths = dataset.paths(names)
    described = describe_images(
        paths, lambda path: read_image(path, 1, dataset.depth), scale_for(paths), threads, progress
    )
    groups = group(described, threads, progress)
    cache.put(where, {"key": key, "groups": groups})
    cache.save()
    return dict(zip(names, groups, strict=True))


def group(described: Sequence[Description], threads: int, progress: bool) -> list[int]:
    """Return the group number of each described image, from 0 in their order."""
    return _unite(len(described), find_pairs(described, threads, progress))


def describe_groups(groups: dict[str, int]) -> str:
    """Describe in one line how many images are near-duplicates and how large the largest group is."""
    sizes = np.bincount(list(groups.values())) if groups else np.zeros(0, dtype=np.int64)
    alone = int((sizes == 1).sum())
    return (
        f"{len(groups)} images in {len(sizes)} groups, {alone} without near-duplicates, largest {sizes.max(initial=0)}"
    )


def _unite(count: int, pairs: list[Pair]) -> list[int]:
    """Join pairs into groups, the surest first, and never let a group grow beyond its share of the images."""
    largest = max(LARGEST_LEAST, int(count * LARGEST_SHARE))
    parent = list(range(count))
    size = [1] * count

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for pair in pairs:
        a, b = root(pair.first), root(pair.second)
        if a != b and size[a] + size[b] <= largest:
            parent[b] = a
            size[a] += size[b]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(count)]
