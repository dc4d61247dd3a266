"""Groups of near-duplicate images: the same piece of steel again, turned, mirrored, shifted or cropped.

A split that puts such images on both sides flatters the score. Two searches give candidates: a perceptual hash of the
whole image, and small patches around salient points, of which several must agree on a shift. Both know the eight
symmetries of a picture. A candidate counts when its overlapping pixels correlate.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import fft
from tqdm import tqdm

from utils.data.annotations import Dataset
from utils.data.cache import FileCache, files_fingerprint
from utils.data.checks import thread_count
from utils.data.duplicates.candidates import Candidates, find_candidates
from utils.data.duplicates.description import PIXELS, Description, describe
from utils.data.duplicates.symmetry import lay
from utils.data.images import read_size

VERSION = 2  # of the search: results of another one that were kept are made anew
SAME_HASH = 0.75  # correlation of whole images with like hashes; different ones stay below 0.7
SAME_SHIFTED = 0.85  # correlation of an overlap
# Stripes and bright bars of different images are alike in what whole rows and columns have in common, tread plates in
# a few frequencies. Copies correlate without these too.
SAME_RESIDUAL = 0.6  # correlation less the means of rows and columns
SAME_SPECTRUM = 0.55  # correlation of spectra whose strong frequencies are damped; different tread plates reach 0.53
SURE = 0.95  # correlation less the means from which nothing more is asked
LARGEST_SHARE, LARGEST_LEAST = 0.1, 8  # a group never grows beyond this share (and number) of the images
BLOCK = 256  # candidates that a thread compares at a time


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
    key = f"{files_fingerprint(dataset.image_dir, names)} {VERSION}{depth}"
    cache = FileCache(dataset.root, "duplicates")
    stored = cache.get(dataset.image_dir)
    if isinstance(stored, dict) and stored.get("key") == key and len(stored["groups"]) == len(names):
        return dict(zip(names, stored["groups"], strict=True))
    threads = thread_count(workers)
    groups = group(_read(dataset, names, threads, progress), threads, progress)
    cache.put(dataset.image_dir, {"key": key, "groups": groups})
    cache.save()
    return dict(zip(names, groups, strict=True))


def group(described: Sequence[Description], threads: int, progress: bool) -> list[int]:
    """Return the group number of each described image, from 0 in their order."""
    return _unite(len(described), _duplicates(described, threads, progress))


def describe_groups(groups: dict[str, int]) -> str:
    """Describe in one line how many images are near-duplicates and how large the largest group is."""
    sizes = np.bincount(list(groups.values())) if groups else np.zeros(0, dtype=np.int64)
    alone = int((sizes == 1).sum())
    return (
        f"{len(groups)} images in {len(sizes)} groups, {alone} without near-duplicates, largest {sizes.max(initial=0)}"
    )


def _read(dataset: Dataset, names: Sequence[str], threads: int, progress: bool) -> list[Description]:
    sizes = [read_size(dataset.path(name)) for name in names[:: max(1, len(names) // 25)]]
    # One scale for all images, since a shift is only found at equal scale.
    scale = min(1.0, float(np.sqrt(PIXELS / np.median([height * width for height, width in sizes]))))
    with ThreadPoolExecutor(threads) as pool:
        read = pool.map(lambda name: describe(dataset.read(name, channels=1)[..., 0], scale), names)
        return list(tqdm(read, "describing images", len(names), disable=None if progress else True))


def _duplicates(described: Sequence[Description], threads: int, progress: bool) -> list[tuple[float, int, int]]:
    """Compare the pixels of all candidates: (correlation, first, second) of those that are duplicates, surest first."""
    found = find_candidates(described, threads)
    best: dict[tuple[int, int], float] = {}
    blocks = range(0, len(found.pairs), BLOCK)
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(found.pairs), desc="comparing images", disable=None if progress else True) as bar,
    ):
        for agreed in pool.map(lambda start: list(_compare(described, found, start)), blocks):
            for value, first, second in agreed:
                best[first, second] = max(value, best.get((first, second), 0.0))
            bar.update(min(BLOCK, len(found.pairs) - bar.n))
    return sorted(((value, *pair) for pair, value in best.items()), key=lambda entry: (-entry[0], entry[1:]))


def _compare(described: Sequence[Description], found: Candidates, start: int) -> Iterator[tuple[float, int, int]]:
    """Compare the candidates of a block: (correlation, first, second) of those that are duplicates."""
    pairs, whole = found.pairs[start : start + BLOCK].tolist(), found.whole[start : start + BLOCK].tolist()
    for (first, second, symmetry, down, right), is_whole in zip(pairs, whole, strict=True):
        one, other = _overlap(described[first].texture, lay(described[second].texture, symmetry), down, right)
        least = SAME_HASH if is_whole else SAME_SHIFTED
        # Most candidates are far from it, which a quarter of the pixels tells too.
        if _correlation(one[::2, ::2], other[::2, ::2]) < least - 0.1:
            continue
        value = _correlation(one, other)
        if value >= least and (is_whole or _is_copy(one, other)):
            yield value, first, second


def _overlap(one: np.ndarray, other: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the common part out of two pictures, the second of which is shifted: two (h, w)."""
    bottom, end = min(one.shape[0], down + other.shape[0]), min(one.shape[1], right + other.shape[1])
    top, left = max(0, down), max(0, right)
    return one[top:bottom, left:end], other[top - down : bottom - down, left - right : end - right]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlate two textures, whose mean is about 0: -1..1."""
    x, y = one.astype(np.float32).ravel(), other.astype(np.float32).ravel()
    return float(x @ y / np.sqrt((x @ x) * (y @ y) + 1e-6))


def _is_copy(one: np.ndarray, other: np.ndarray) -> bool:
    """Check that two overlapping textures share more than stripes or a pattern that repeats."""
    residual = _correlation(_residual(one), _residual(other))
    if residual < SAME_RESIDUAL:
        return False
    if residual >= SURE:
        return True
    window = np.outer(np.hanning(one.shape[0] + 2)[1:-1], np.hanning(one.shape[1] + 2)[1:-1])
    size = [fft.next_fast_len(side, real=True) for side in one.shape]
    x, y = (
        fft.rfft2((texture - texture.mean(dtype=np.float32)) * window.astype(np.float32), size)
        for texture in (one, other)
    )
    # Half whitened: the weights of PHAT-beta with beta 0.5 (Knapp and Carter, 1976; Donohue et al., 2007).
    sizes_x, sizes_y = np.abs(x), np.abs(y)
    shared = float(((x * y.conj()).real / np.sqrt(sizes_x * sizes_y + 1e-9)).sum())
    return shared >= SAME_SPECTRUM * float(np.sqrt(sizes_x.sum() * sizes_y.sum()))


def _residual(texture: np.ndarray) -> np.ndarray:
    """Return a texture less the means of its rows and of its columns."""
    values = texture.astype(np.float32)
    values -= values.mean(axis=0, keepdims=True)
    return values - values.mean(axis=1, keepdims=True)


def _unite(count: int, pairs: list[tuple[float, int, int]]) -> list[int]:
    """Join pairs into groups, the surest first, and never let a group grow beyond its share of the images."""
    largest = max(LARGEST_LEAST, int(count * LARGEST_SHARE))
    parent = list(range(count))
    size = [1] * count

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for _, first, second in pairs:
        a, b = root(first), root(second)
        if a != b and size[a] + size[b] <= largest:
            parent[b] = a
            size[a] += size[b]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(count)]
