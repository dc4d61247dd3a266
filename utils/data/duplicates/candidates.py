"""Pairs of images that may be near-duplicates: those with like hashes, and those whose patches agree on a shift."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.data.duplicates.description import HASH, Description
from utils.data.duplicates.index import nearest
from utils.data.duplicates.symmetry import SYMMETRIES, between, move, turned_shapes

HASH_BITS = 4  # bits of 63 in which the hashes of a candidate may differ
ALIKE = 0.95  # correlation of two patches that count as one
NEIGHBOURS = 16  # like patches, or like hashes, that are looked for
VOTES = 2  # patches that must agree on a symmetry and a shift before pixels are compared
OVERLAP = 0.15  # least share of the smaller image that two shifted images must have in common


@dataclass(frozen=True)
class Candidates:
    """Pairs of images to compare, the most promising first.

    Attributes:
        pairs: (N, 5) int64: first image, second image, symmetry that lays the second on the first, and its shift down
            and right in pixels of the shrunk images.
        whole: (N,) bool, whether the hashes of the whole images are alike, instead of some patches.
    """

    pairs: np.ndarray
    whole: np.ndarray


def find_candidates(described: Sequence[Description], threads: int, sides: Sequence[int] | None = None) -> Candidates:
    """Find the pairs of images that are worth a comparison of their pixels.

    Args:
        described: the images.
        threads: threads to search with.
        sides: number of the side of each image, to find pairs of two sides only; None: all pairs.
    """
    shapes = np.array([one.texture.shape for one in described], dtype=np.int64)
    side = None if sides is None else np.asarray(sides, dtype=np.int64)
    whole, parts = _like_hashes(described, shapes, side, threads), _like_patches(described, shapes, side, threads)
    return Candidates(np.concatenate([whole, parts]), np.arange(len(whole) + len(parts)) < len(whole))


def _neighbours(
    vectors: np.ndarray,
    queries: np.ndarray,
    owner: np.ndarray,
    asking: np.ndarray,
    side: np.ndarray | None,
    threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest vectors of each query, of images on other sides than its own where there are sides.

    Args:
        vectors: (N, D).
        queries: (Q, D).
        owner: (N,) image of each vector.
        asking: (Q,) image of each query.
        side: side of each image, or None.
        threads: to search with.

    Returns:
        (Q, ``NEIGHBOURS``) positions, -1 where there are no more, and their products.
    """
    if side is None:
        return nearest(vectors, queries, NEIGHBOURS, threads)
    found = np.full((len(queries), NEIGHBOURS), -1, dtype=np.int64)
    products = np.full((len(queries), NEIGHBOURS), -1, dtype=np.float32)
    for one in np.unique(side):
        # Of the images of its own side there may be more alike than neighbours are looked for.
        others, rows = np.flatnonzero(side[owner] != one), np.flatnonzero(side[asking] == one)
        if len(others) and len(rows):
            places, products[rows] = nearest(vectors[others], queries[rows], NEIGHBOURS, threads)
            found[rows] = np.where(places >= 0, others[places], -1)
    return found, products


def _like_hashes(
    described: Sequence[Description], shapes: np.ndarray, side: np.ndarray | None, threads: int
) -> np.ndarray:
    """Return pairs of whole images whose hashes differ in few bits, (N, 5)."""
    bits = HASH * HASH - 1
    hashes = np.stack([one.hashes for one in described]).astype(np.float32) / np.sqrt(bits)
    images = np.arange(len(described))
    owner = np.repeat(images, len(SYMMETRIES))
    found, likeness = _neighbours(hashes.reshape(-1, bits), hashes[:, 0], owner, images, side, threads)
    first = np.repeat(images, found.shape[1])
    second, symmetry = np.divmod(found.ravel(), len(SYMMETRIES))
    # The second image, laid by the symmetry, has the hash of the first. Each pair is found from both images, but where
    # one of two sides has more copies of an image than neighbours are looked for.
    keep = (likeness.ravel() > 1 - (2 * HASH_BITS + 1) / bits) & (
        first != second if side is not None else first < second
    )
    keep &= (shapes[first] == turned_shapes(shapes[second], symmetry)).all(axis=1)
    first, second, symmetry = first[keep], second[keep], symmetry[keep]
    swapped = first > second
    symmetry = np.where(swapped, between(symmetry, np.zeros_like(symmetry)), symmetry)
    first, second = np.minimum(first, second), np.maximum(first, second)
    pairs = np.stack([first, second, symmetry, np.zeros_like(first), np.zeros_like(first)], axis=1)
    return pairs if side is None else np.unique(pairs, axis=0)


def _like_patches(
    described: Sequence[Description], shapes: np.ndarray, side: np.ndarray | None, threads: int
) -> np.ndarray:
    """Return pairs of images of which some like patches agree on a symmetry and a shift, (N, 5), most votes first."""
    owner = np.repeat(np.arange(len(described)), [len(one.points) for one in described])
    points = np.concatenate([one.points for one in described])
    symmetries = np.concatenate([one.symmetries for one in described])
    patches = np.concatenate([one.patches for one in described])
    found, likeness = _neighbours(patches, patches, owner, owner, side, threads)
    first, second = np.repeat(np.arange(len(patches)), found.shape[1]), found.ravel()
    alike = (likeness.ravel() > ALIKE) & (second >= 0) & (owner[first] != owner[second])
    # Of two patches one may be among the nearest of the other and not the other way round.
    pairs = np.unique(np.sort(np.stack([first[alike], second[alike]], axis=1), axis=1), axis=0)
    first, second = pairs.T
    a, b = owner[first], owner[second]
    symmetry = between(symmetries[first], symmetries[second])
    shift = points[first] - move(points[second], shapes[b], symmetry)
    laid = turned_shapes(shapes[b], symmetry)
    common = np.minimum(shapes[a], shift + laid) - np.maximum(0, shift)
    least = OVERLAP * np.minimum(shapes[a].prod(axis=1), laid.prod(axis=1))
    keep = (common > 0).all(axis=1) & (common.prod(axis=1) >= least)
    # One number a vote: np.unique of rows is ten times slower.
    reach = int(shapes.max(initial=0)) + 1
    spans = (len(shapes), len(shapes), len(SYMMETRIES), 2 * reach, 2 * reach)
    down, right = shift[keep].T + reach
    votes = np.ravel_multi_index((a[keep], b[keep], symmetry[keep], down, right), spans)
    unique, counts = np.unique(votes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    chosen = np.stack(np.unravel_index(unique[order[counts[order] >= VOTES]], spans), axis=1)
    return chosen - [0, 0, 0, reach, reach]
