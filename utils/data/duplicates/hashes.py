"""Small hashes of images, by which copies of them are known years later, without the images.

A hash has 48 bytes: 16 for the whole image, which of its low frequencies are positive, and 8 for each of its four most
salient spots, 25 pixels wide: which low frequencies of the spot are positive, how it was laid, and where it lies. A hash
says little more of an image than a picture of 11 x 11 pixels would, and shows it to whoever has the image already.

The image that is looked for is there as a whole, so that it is compared with the signs by its real frequencies (asymmetric
distance; Dong et al., 2008), in all eight symmetries, and by more spots than a hash has.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from utils.data.duplicates.description import PATCH, REACH, Description
from utils.data.duplicates.symmetry import FLIPPED, MIRRORED, SYMMETRIES, TRANSPOSED, between, then

VERSION = 1  # of the hashes: those of another one cannot be compared
BYTES = 48
SPOTS, SPOT_BYTES = 4, 8
QUERY_POINTS = 32  # spots of an image that is looked for
PIXELS = 32  # side that an image is shrunk to for the frequencies of the whole
FLAT = 1.0  # grey levels of contrast below which nothing is compared
SAME_WHOLE = 0.9  # agreement of frequencies from which two images are one picture, -1..1
SAME_SPOT = 0.9  # agreement from which two spots are one
TWINS = 0.88  # agreement from which spots of one image are a pattern that repeats, which tells nothing
NEAR, APART = 2, REACH + 1  # pixels by which places of two spots may differ, and that the two are apart at least
TIE = 0.25  # of the heavier side of a spot: by less, either may be the heavier one in a copy
PLACE = 1024  # places are kept modulo this many pixels
BLOCK = 32_768  # spots of hashes that are compared at a time

Kind = Literal["whole", "part"]


def _low(side: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the lowest frequencies but the constant one: whole rings, so that turning keeps them."""
    rows, columns = np.mgrid[:side, :side]
    rings = rows * rows + columns * columns
    limits = [limit for limit in np.unique(rings) if (rings <= limit).sum() - 1 <= count]
    rows, columns = np.nonzero((rings > 0) & (rings <= limits[-1]))
    return rows, columns


WHOLE_AT, SPOT_AT = _low(PIXELS, 128), _low(PATCH, 40)


@dataclass(frozen=True)
class Query:
    """What an image that is looked for is compared by.

    Attributes:
        whole: (8, B) float32 weighted frequencies of each symmetry of the image; 0 for a flat one.
        spots: (K, 40) float32 weighted frequencies of spots, as each may lie in a hash.
        spot: (K,) number of the spot of each.
        symmetries: (K,) what lays the spot so.
        points: (K, 2) row and column of it.
    """

    whole: np.ndarray
    spots: np.ndarray
    spot: np.ndarray
    symmetries: np.ndarray
    points: np.ndarray


def hash_of(described: Description) -> np.ndarray:
    """Hash a described image: (48,) uint8."""
    signs = _frequencies(described)[WHOLE_AT] > 0
    found = np.zeros(BYTES, dtype=np.uint8)
    found[:16] = np.resize(np.packbits(signs), 16)
    for number, (patch, symmetry, point) in enumerate(
        zip(described.patches[:SPOTS], described.symmetries, described.points, strict=False)
    ):
        start = 16 + number * SPOT_BYTES
        bits = cv2.dct(patch.reshape(PATCH, PATCH))[SPOT_AT] > 0
        row, column = (int(one) % PLACE for one in point)
        word = 1 | int(symmetry) << 1 | row << 4 | column << 14
        found[start : start + 5] = np.packbits(bits)
        found[start + 5 : start + 8] = list(word.to_bytes(3, "little"))
    return found


def query_of(described: Description) -> Query:
    """Return what an image is looked for by; it is described with ``QUERY_POINTS`` points."""
    frequencies = _frequencies(described)
    whole = np.stack([_laid(frequencies, symmetry)[WHOLE_AT] for symmetry in SYMMETRIES])
    flat = float(described.texture.std(dtype=np.float32)) < FLAT
    spots, spot, symmetries = [], [], []
    lever = np.arange(PATCH) - (PATCH - 1) / 2
    for number, patch in enumerate(described.patches.reshape(-1, PATCH, PATCH)):
        low = cv2.dct(patch)
        right, down = float((patch @ lever).sum()), float((lever @ patch).sum())
        for symmetry in _likely(right, down):
            spots.append(_laid(low, symmetry)[SPOT_AT])
            spot.append(number)
            symmetries.append(int(then(described.symmetries[number], np.array(symmetry))))
    numbers = np.array(spot, dtype=np.int64)
    weighted = _weighted(np.array(spots, dtype=np.float32).reshape(-1, len(SPOT_AT[0])))
    alone = ~np.isin(numbers, _twins(described, weighted, numbers))
    return Query(
        np.zeros_like(whole) if flat else _weighted(whole),
        weighted[alone],
        numbers[alone],
        np.array(symmetries, dtype=np.int64)[alone],
        described.points[numbers[alone]],
    )


def _twins(described: Description, weighted: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the spots of an image that look like others of it: those of tread plates look like those of any other."""
    if not len(numbers):
        return numbers
    signs = np.stack([cv2.dct(patch.reshape(PATCH, PATCH))[SPOT_AT] > 0 for patch in described.patches])
    agree = weighted @ (signs.astype(np.float32) * 2 - 1).T >= TWINS
    far = np.abs(described.points[numbers][:, None] - described.points[None]).max(axis=-1) > 2 * REACH
    return numbers[(agree & far).any(axis=1)]


def _frequencies(described: Description) -> np.ndarray:
    small = cv2.resize(described.texture.astype(np.float32), (PIXELS, PIXELS), interpolation=cv2.INTER_AREA)
    return cv2.dct(small)


def _laid(frequencies: np.ndarray, symmetry: int) -> np.ndarray:
    """Return the frequencies (N, N) of a picture after a symmetry: a mirror changes the sign of every second one."""
    signs = np.where(np.arange(len(frequencies)) % 2, -1, 1).astype(np.float32)
    turned = frequencies.T if symmetry & TRANSPOSED else frequencies
    turned = turned * signs if symmetry & MIRRORED else turned
    return turned * signs[:, None] if symmetry & FLIPPED else turned


def _likely(right: float, down: float) -> list[int]:
    """Return what may lay a spot, heavy at right and low, in a copy whose weights differ a little."""
    most = TIE * max(abs(right), abs(down))
    found = []
    for symmetry in SYMMETRIES:
        x, y = (down, right) if symmetry & TRANSPOSED else (right, down)
        x, y = (-x if symmetry & MIRRORED else x), (-y if symmetry & FLIPPED else y)
        if x >= y - most and y >= -most and x >= -most:
            found.append(symmetry)
    return found


def _weighted(frequencies: np.ndarray) -> np.ndarray:
    """Return weights (..., B) that sum to 1: the larger a frequency, the less likely has its sign changed."""
    weights = np.sqrt(np.abs(frequencies)) * np.sign(frequencies)
    return (weights / np.maximum(np.abs(weights).sum(axis=-1, keepdims=True), 1e-9)).astype(np.float32)


class Hashes:
    """Hashes of images, ready to be compared.

    Args:
        hashes: (N, 48) uint8.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        self.whole = _as_signs(hashes[:, :16], len(WHOLE_AT[0]))
        spots = hashes[:, 16:].reshape(-1, SPOT_BYTES)
        words = spots[:, 5:].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        there = np.flatnonzero(words & 1)
        words = words[there]
        self.owner = there // SPOTS
        self.spots = _as_signs(spots[there, :5], len(SPOT_AT[0]))
        self.symmetries = words >> 1 & 7
        self.points = np.stack([words >> 4 & (PLACE - 1), words >> 14 & (PLACE - 1)], axis=1)

    def find(self, query: Query) -> Kind | None:
        """Look for an image: ``whole``, a hash is of the same picture; ``part``, two spots agree; None."""
        kinds = set(self.matches(query).values())
        return "whole" if "whole" in kinds else "part" if kinds else None

    def matches(self, query: Query) -> dict[int, Kind]:
        """Return the position of each hash that an image is a copy of, and what they share."""
        if not len(self.whole):
            return {}
        found: dict[int, Kind] = dict.fromkeys(self._sharing_spots(query), "part")
        whole = (query.whole @ self.whole.T).max(axis=0) >= SAME_WHOLE
        return found | dict.fromkeys(np.flatnonzero(whole).tolist(), "whole")

    def _sharing_spots(self, query: Query) -> list[int]:
        """Return the hashes of which two spots lie as two spots of the image do."""
        asked, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for start in range(0, len(self.spots), BLOCK):
            rows, columns = np.nonzero(query.spots @ self.spots[start : start + BLOCK].T >= SAME_SPOT)
            asked.append(rows)
            found.append(columns + start)
        mine, its = np.concatenate(asked), np.concatenate(found)
        order = np.argsort(self.owner[its], kind="stable")
        mine, its = mine[order], its[order]
        owners, starts, counts = np.unique(self.owner[its], return_index=True, return_counts=True)
        return [
            int(owner)
            for owner, start, count in zip(owners, starts, counts, strict=True)
            if count > 1 and self._agree(query, mine[start : start + count], its[start : start + count])
        ]

    def _agree(self, query: Query, mine: np.ndarray, its: np.ndarray) -> bool:
        symmetry = between(query.symmetries[mine], self.symmetries[its])
        first, second = np.triu_indices(len(mine), 1)
        different = (query.spot[mine[first]] != query.spot[mine[second]]) & (its[first] != its[second])
        keep = different & (symmetry[first] == symmetry[second])
        first, second = first[keep], second[keep]
        here = query.points[mine[first]] - query.points[mine[second]]
        there = self.points[its[first]] - self.points[its[second]]
        turn = symmetry[first]
        there = np.where((turn & TRANSPOSED > 0)[:, None], there[:, ::-1], there)
        there = np.where(np.stack([turn & FLIPPED, turn & MIRRORED], axis=1) > 0, -there, there)
        # Places are known modulo PLACE.
        off = np.abs((here - there + PLACE // 2) % PLACE - PLACE // 2).max(axis=1, initial=0)
        return bool(((off <= NEAR) & (np.abs(here).max(axis=1, initial=0) >= APART)).any())


def _as_signs(packed: np.ndarray, count: int) -> np.ndarray:
    """Return -1 and 1 for each bit, (N, count) float32."""
    return np.unpackbits(packed, axis=1, count=count).astype(np.float32) * 2 - 1
