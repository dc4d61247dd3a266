"""Pairs of near-duplicate images, and how the second lies on the first.

A candidate counts when its overlapping pixels correlate.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import fft
from tqdm import tqdm

from utils.data.duplicates.candidates import Candidates, find_candidates
from utils.data.duplicates.description import PIXELS, Description, describe
from utils.data.duplicates.symmetry import lay
from utils.data.images import read_size

SAME_HASH = 0.75  # correlation of whole images with like hashes; different ones stay below 0.7
SAME_SHIFTED = 0.85  # correlation of an overlap
# Stripes and bright bars of different images are alike in what whole rows and columns have in common, tread plates in
# a few frequencies. Copies correlate without these too.
SAME_RESIDUAL = 0.6  # correlation less the means of rows and columns
SAME_SPECTRUM = 0.55  # correlation of spectra whose strong frequencies are damped; different tread plates reach 0.53
# Tread plates fit each other at many shifts: drawn ones reach 0.67 where two of them overlap in part.
REPEATS, SAME_REPEATING = 0.8, 0.7  # autocorrelation off its peak of a pattern that repeats, and what its spectra need
NEAR_PEAK = 12  # pixels of a shift that still belong to the peak
SURE = 0.95  # correlation less the means from which nothing more is asked
IN_MEMORY = 512 * 2**20  # bytes of textures; those of more images lie in a file
BLOCK = 256  # candidates that a thread compares at a time


class Pair(NamedTuple):
    """Two images that are near-duplicates.

    Attributes:
        value: correlation of what they share, 0..1.
        first, second: positions of the images, the first one smaller.
        symmetry: what lays the second image on the first.
        down, right: where its upper left corner is then, in pixels of the shrunk images.
    """

    value: float
    first: int
    second: int
    symmetry: int
    down: int
    right: int


def scale_for(paths: Sequence[Path]) -> float:
    """Return what the sides of images are multiplied by before they are described, 0..1.

    One scale for all images, since a shift is only found at equal scale.
    """
    sizes = [read_size(path) for path in paths[:: max(1, len(paths) // 25)]]
    return min(1.0, float(np.sqrt(PIXELS / np.median([height * width for height, width in sizes]))))


def describe_images(
    paths: Sequence[Path], read: Callable[[Path], np.ndarray], scale: float, threads: int, progress: bool
) -> list[Description]:
    """Read and describe images.

    Args:
        paths: of the images.
        read: gives (H, W, 1) uint8 of one.
        scale: see ``scale_for``.
        threads: that read.
        progress: show a bar when standard error is a terminal.
    """
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda path: describe(read(path)[..., 0], scale), paths)
        return on_disk(tqdm(found, "describing images", len(paths), disable=None if progress else True))


def on_disk(described: Iterable[Description], most: int = IN_MEMORY) -> list[Description]:
    """Collect descriptions, and put the textures into a file once they take more than so many bytes of memory.

    The file has no name, lies where ``TMPDIR`` says, and goes with the last of the descriptions. What is read of it the
    system may forget again when it needs the memory.
    """
    kept: list[Description] = []
    total = 0
    file = None
    nothing = np.zeros((0, 0), np.int8)
    shapes = []
    for one in described:
        shapes.append(one.texture.shape)
        total += one.texture.nbytes
        if file is None and total > most:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the mapping below outlives this function
            for earlier in kept:
                file.write(np.ascontiguousarray(earlier.texture).data)
            kept = [dataclasses.replace(earlier, texture=nothing) for earlier in kept]
        if file is not None:
            file.write(np.ascontiguousarray(one.texture).data)
            one = dataclasses.replace(one, texture=nothing)
        kept.append(one)
    if file is None:
        return kept
    file.flush()
    pixels = np.memmap(file, np.int8, "r")
    ends = np.cumsum([height * width for height, width in shapes]).tolist()
    return [
        dataclasses.replace(one, texture=np.asarray(pixels)[end - height * width : end].reshape(height, width))
        for one, end, (height, width) in zip(kept, ends, shapes, strict=True)
    ]


def find_pairs(
    described: Sequence[Description], threads: int, progress: bool, sides: Sequence[int] | None = None
) -> list[Pair]:
    """Find the pairs of near-duplicates, the surest first.

    Args:
        described: the images.
        threads: that search and compare.
        progress: show a bar when standard error is a terminal.
        sides: number of the side of each image, to find pairs of two sides only; None: all pairs.
    """
    found = find_candidates(described, threads, sides)
    best: dict[tuple[int, int], Pair] = {}
    blocks = range(0, len(found.pairs), BLOCK)
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(found.pairs), desc="comparing images", disable=None if progress else True) as bar,
    ):
        for agreed in pool.map(lambda start: list(_compare(described, found, start)), blocks):
            for pair in agreed:
                known = best.get((pair.first, pair.second))
                if known is None or pair.value > known.value:
                    best[pair.first, pair.second] = pair
            bar.update(min(BLOCK, len(found.pairs) - bar.n))
    return sorted(best.values(), key=lambda pair: (-pair.value, pair.first, pair.second))


def _compare(described: Sequence[Description], found: Candidates, start: int) -> Iterator[Pair]:
    """Compare the candidates of a block; give those that are duplicates."""
    pairs, whole = found.pairs[start : start + BLOCK].tolist(), found.whole[start : start + BLOCK].tolist()
    for (first, second, symmetry, down, right), is_whole in zip(pairs, whole, strict=True):
        one, other = overlap(described[first].texture, lay(described[second].texture, symmetry), down, right)
        least = SAME_HASH if is_whole else SAME_SHIFTED
        # Most candidates are far from it, which a quarter of the pixels tells too.
        if correlation(one[::2, ::2], other[::2, ::2]) < least - 0.1:
            continue
        value = correlation(one, other)
        if value >= least and (is_whole or is_copy(one, other)):
            yield Pair(value, first, second, symmetry, down, right)


def overlap(one: np.ndarray, other: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the common part out of two pictures, the second of which is shifted: two (h, w)."""
    bottom, end = min(one.shape[0], down + other.shape[0]), min(one.shape[1], right + other.shape[1])
    top, left = max(0, down), max(0, right)
    return one[top:bottom, left:end], other[top - down : bottom - down, left - right : end - right]


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlate two textures, whose mean is about 0: -1..1."""
    x, y = one.astype(np.float32).ravel(), other.astype(np.float32).ravel()
    return float(x @ y / np.sqrt((x @ x) * (y @ y) + 1e-6))


def is_copy(one: np.ndarray, other: np.ndarray) -> bool:
    """Check that two overlapping textures share more than stripes or a pattern that repeats."""
    residual = correlation(_residual(one), _residual(other))
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
    shared /= float(np.sqrt(sizes_x.sum() * sizes_y.sum()) + 1e-9)
    return shared >= SAME_REPEATING or (shared >= SAME_SPECTRUM and _repeats(one) < REPEATS)


def _repeats(texture: np.ndarray) -> float:
    """Return how well a texture fits itself at its best shift of up to half its sides: 1 where its pattern repeats."""
    values = texture - texture.mean(dtype=np.float32)
    size = [fft.next_fast_len(2 * side, real=True) for side in values.shape]

    def lags(picture: np.ndarray) -> np.ndarray:
        return fft.irfft2(np.abs(fft.rfft2(picture, size)) ** 2, size)[
            : (picture.shape[0] + 1) // 2, : (picture.shape[1] + 1) // 2
        ]

    found = lags(values) / np.maximum(lags(np.ones_like(values)), 1)
    peak = float(found[0, 0]) + 1e-9
    found[:NEAR_PEAK, :NEAR_PEAK] = 0
    return float(found.max()) / peak


def _residual(texture: np.ndarray) -> np.ndarray:
    """Return a texture less the means of its rows and of its columns."""
    values = texture.astype(np.float32)
    values -= values.mean(axis=0, keepdims=True)
    return values - values.mean(axis=1, keepdims=True)
