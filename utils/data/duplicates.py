"""Groups of near-duplicate images: the same piece of strip again, flipped, turned by 180 degrees or shifted.

A split that puts such images on both sides flatters the validation score. Two searches give candidates: a perceptual
hash of the whole image in its four flips, which misses shifts, and small patches around salient points, which finds
shifts by patches that agree on one. A candidate counts when the overlapping pixels correlate.

Measured on the 3,630 training crops of NEU-Seg against 81 overlaps that an exhaustive search found for 24 of them: the
hash alone puts 18 of the pairs into one group, both searches 74; the largest group has 3 % of the images.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from PIL import Image
from tqdm import tqdm

from utils.data.annotations import Dataset
from utils.data.cache import FileCache, files_fingerprint
from utils.data.checks import thread_count
from utils.data.images import read_size

PIXELS = 65_536  # images are shrunk to about this many: 1 byte each stays in memory, and time does not depend on size
POINTS = 16  # salient points an image
REACH = 12  # pixels around a point that its patch covers
PATCH = 8  # side of a patch after shrinking
ALIKE = 0.95  # correlation of two patches that count as one
VOTES = 2  # patches that must agree on a flip and a shift before pixels are compared
OVERLAP = 0.15  # least share of the image that two shifted images must have in common
HASH_BITS = 4  # bits of 64 in which the hashes of a candidate may differ
SAME_HASH = 0.75  # correlation of whole images with like hashes; different ones stay below 0.7
SAME_SHIFTED = 0.9  # correlation of an overlap; below it, many pairs share only the look of a stripe
BLOCK_BYTES = 2**27  # bytes of the table of similarities that is compared at a time
LARGEST_SHARE, LARGEST_LEAST = 0.05, 8  # a group never grows beyond this share (and number) of the images


@dataclass(frozen=True)
class _Picture:
    """What is kept of an image; flips are numbered 1 left-right, 2 up-down, 3 both."""

    texture: np.ndarray  # (h, w) int8, uneven light removed
    hashes: np.ndarray  # (4, 64) bool, one per flip
    points: np.ndarray  # (k, 3) int64: y, x, flip that brings the patch into its canonical position
    patches: np.ndarray  # (k, PATCH * PATCH) float32 of mean 0 and length 1


def near_duplicate_groups(
    dataset: Dataset, workers: int | None = None, progress: bool = True, images: Sequence[str] | None = None
) -> dict[str, int]:
    """Put near-duplicate images into groups; the result is kept until an image changes.

    Args:
        dataset: an opened dataset folder.
        workers: threads that read images; None: one a core.
        progress: show a bar when standard error is a terminal.
        images: names to look at; None: all of the dataset.

    Returns:
        Image name -> group number, from 0 in order of the names; an image without duplicates has a group of its own.
    """
    names = sorted(dataset.images if images is None else images)
    paths = [dataset.path(name) for name in names]
    if not paths:
        return {}
    settings = [PIXELS, POINTS, REACH, PATCH, ALIKE, VOTES, OVERLAP, HASH_BITS, SAME_HASH, SAME_SHIFTED]
    # The depth of images with more than 8 bits; without such images the key is that of versions that knew no depth.
    depth = f" {dataset.depth.text()}" if dataset.depth.text() else ""
    key = f"{files_fingerprint(paths)} {json.dumps(settings)}{depth}"
    cache = FileCache(dataset.root, "duplicates")
    stored = cache.get(dataset.image_dir)
    if isinstance(stored, dict) and stored.get("key") == key and len(stored["groups"]) == len(names):
        return dict(zip(names, stored["groups"], strict=True))
    pictures = _read(dataset, names, workers, progress)
    pairs = _pairs(pictures, progress)
    groups = _unite(len(pictures), pairs)
    cache.put(dataset.image_dir, {"key": key, "groups": groups})
    cache.save()
    return dict(zip(names, groups, strict=True))


def describe_groups(groups: dict[str, int]) -> str:
    """Describe in one line how many images are near-duplicates and how large the largest group is."""
    sizes = np.bincount(list(groups.values())) if groups else np.zeros(0, dtype=np.int64)
    alone = int((sizes == 1).sum())
    return (
        f"{len(groups)} images in {len(sizes)} groups, {alone} without near-duplicates, largest {sizes.max(initial=0)}"
    )


def _read(dataset: Dataset, names: Sequence[str], workers: int | None, progress: bool) -> list[_Picture]:
    sizes = [read_size(dataset.path(name)) for name in names[:: max(1, len(names) // 25)]]
    # One scale for all images, since a shift is only found at equal scale.
    scale = min(1.0, float(np.sqrt(PIXELS / np.median([height * width for height, width in sizes]))))
    with ThreadPoolExecutor(thread_count(workers)) as pool:
        read = pool.map(lambda name: _describe(dataset.read(name, channels=1)[..., 0], scale), names)
        return list(tqdm(read, "describing images", len(names), disable=None if progress else True))


def _describe(grey: np.ndarray, scale: float) -> _Picture:
    if scale < 1:
        down, right = (max(scale, 1 / side) for side in grey.shape)  # a line among large images keeps its one pixel
        grey = cv2.resize(grey, None, fx=right, fy=down, interpolation=cv2.INTER_AREA)
    small = Image.fromarray(cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA))  # what the hash shrinks to
    hashes = np.stack([imagehash.phash(_flip_picture(small, flip)).hash.ravel() for flip in range(4)])
    texture = grey.astype(np.float32)
    texture -= cv2.GaussianBlur(texture, (0, 0), 8)
    points, patches = _salient(texture)
    return _Picture(np.clip(np.rint(texture), -127, 127).astype(np.int8), hashes, points, patches)


def _salient(texture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the strongest blobs and corners and cut a patch around each, flipped so that its weight is right and low."""
    blobs = np.abs(cv2.GaussianBlur(texture, (0, 0), 1.5) - cv2.GaussianBlur(texture, (0, 0), 3))
    peaks = blobs == cv2.dilate(blobs, np.ones((9, 9)))
    inside = np.zeros_like(peaks)
    inside[REACH:-REACH, REACH:-REACH] = True
    ys, xs = np.nonzero(peaks & inside)
    strongest = np.argsort(-blobs[ys, xs], kind="stable")[:POINTS]
    smooth = cv2.GaussianBlur(texture, (0, 0), 2)
    lever = np.arange(-REACH, REACH + 1, dtype=np.float32)
    points, patches = [], []
    for y, x in zip(ys[strongest], xs[strongest], strict=True):
        patch = smooth[y - REACH : y + REACH + 1, x - REACH : x + REACH + 1]
        flip = int(patch.sum(axis=0) @ lever < 0) + 2 * int(patch.sum(axis=1) @ lever < 0)
        shrunk = cv2.resize(_flip(patch, flip), (PATCH, PATCH), interpolation=cv2.INTER_AREA).ravel()
        shrunk = shrunk - shrunk.mean()
        length = float(np.linalg.norm(shrunk))
        if length > PATCH:  # a contrast of one grey level: less is noise
            points.append((y, x, flip))
            patches.append(shrunk / length)
    return (
        np.array(points, dtype=np.int64).reshape(-1, 3),
        np.array(patches, dtype=np.float32).reshape(-1, PATCH * PATCH),
    )


def _pairs(pictures: list[_Picture], progress: bool) -> list[tuple[float, int, int]]:
    """Compare the pixels of all candidates: (correlation, first, second) of those that are duplicates."""
    best: dict[tuple[int, int], float] = {}
    with tqdm(total=len(pictures), desc="comparing images", disable=None if progress else True) as bar:
        for stop, candidates, least in _candidates(pictures):
            for first, second, flip, down, right in candidates:
                if (first, second) not in best:
                    value = _agreement(pictures[first], pictures[second], flip, down, right)
                    if value >= least:
                        best[first, second] = value
            bar.update(stop - bar.n)
    return sorted(((value, *pair) for pair, value in best.items()), key=lambda entry: (-entry[0], entry[1:]))


def _candidates(pictures: list[_Picture]) -> Iterator[tuple[int, list[list[int]], float]]:
    """Give, for one block of images after the other, (end of the block, candidates, correlation that they need).

    A candidate is first image, second image, flip of the second, then its shift down and right in pixels.
    """
    hashes = np.stack([picture.hashes for picture in pictures]).astype(np.float32) * 2 - 1
    shapes = np.array([picture.texture.shape for picture in pictures])
    owner = np.repeat(np.arange(len(pictures)), [len(picture.points) for picture in pictures])
    points = np.concatenate([picture.points for picture in pictures])
    patches = np.concatenate([picture.patches for picture in pictures])
    # All patches of a block are compared with all others: fewer images a block when there are many in all.
    block = int(np.clip(BLOCK_BYTES // (4 * POINTS**2 * len(pictures)), 1, 128))
    for start in range(0, len(pictures), block):
        stop = min(start + block, len(pictures))
        yield start, _alike_hashes(hashes, shapes, start, stop), SAME_HASH
        yield stop, _alike_patches(owner, points, patches, shapes, start, stop), SAME_SHIFTED


def _alike_hashes(hashes: np.ndarray, shapes: np.ndarray, start: int, stop: int) -> list[list[int]]:
    found = []
    for flip in range(4):
        differing = (64 - hashes[start:stop, 0] @ hashes[start:, flip].T) / 2
        first, second = np.nonzero(differing <= HASH_BITS)
        first, second = first + start, second + start
        keep = (first < second) & (shapes[first] == shapes[second]).all(axis=1)
        found += [[a, b, flip, 0, 0] for a, b in zip(first[keep].tolist(), second[keep].tolist(), strict=True)]
    return found


def _alike_patches(
    owner: np.ndarray, points: np.ndarray, patches: np.ndarray, shapes: np.ndarray, start: int, stop: int
) -> list[list[int]]:
    low, high = np.searchsorted(owner, [start, stop])
    first, second = np.nonzero(patches[low:high] @ patches[low:].T > ALIKE)
    first, second = first + low, second + low
    keep = owner[first] < owner[second]
    first, second = first[keep], second[keep]
    a, b = owner[first], owner[second]
    flip = points[first, 2] ^ points[second, 2]
    # Where the point of the second image lies once that image is flipped.
    y = np.where(flip & 2, shapes[b, 0] - 1 - points[second, 0], points[second, 0])
    x = np.where(flip & 1, shapes[b, 1] - 1 - points[second, 1], points[second, 1])
    down, right = points[first, 0] - y, points[first, 1] - x
    rows = np.minimum(shapes[a, 0], down + shapes[b, 0]) - np.maximum(0, down)
    columns = np.minimum(shapes[a, 1], right + shapes[b, 1]) - np.maximum(0, right)
    keep = rows * columns >= OVERLAP * np.minimum(shapes[a].prod(axis=1), shapes[b].prod(axis=1))
    # One number a vote: np.unique of rows is ten times slower.
    reach = int(shapes.max()) + 1
    spans = (len(shapes), len(shapes), 4, 2 * reach, 2 * reach)
    votes = np.ravel_multi_index((a[keep], b[keep], flip[keep], down[keep] + reach, right[keep] + reach), spans)
    unique, counts = np.unique(votes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    chosen = np.stack(np.unravel_index(unique[order[counts[order] >= VOTES]], spans), axis=1)
    return (chosen - [0, 0, 0, reach, reach]).tolist()


def _agreement(first: _Picture, second: _Picture, flip: int, down: int, right: int) -> float:
    """Correlate the textures where they overlap, -1..1."""
    a, b = first.texture, _flip(second.texture, flip)
    height = min(a.shape[0], down + b.shape[0])
    width = min(a.shape[1], right + b.shape[1])
    top, left = max(0, down), max(0, right)
    x = a[top:height, left:width].astype(np.float32).ravel()
    y = b[top - down : height - down, left - right : width - right].astype(np.float32).ravel()
    return float(x @ y / np.sqrt((x @ x) * (y @ y) + 1e-6))


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


def _flip(array: np.ndarray, flip: int) -> np.ndarray:
    return np.ascontiguousarray(array[:: -1 if flip & 2 else 1, :: -1 if flip & 1 else 1])


def _flip_picture(picture: Image.Image, flip: int) -> Image.Image:
    return Image.fromarray(_flip(np.asarray(picture), flip))
