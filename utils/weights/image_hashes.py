"""Hashes of the images that a network was trained on, as a weights file carries them, see ``utils.data.duplicates.hashes``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

VERSION = 1  # of the hashes; those of another one are not read
BYTES = 48


@dataclass(frozen=True, eq=False)
class HashSet:
    """Hashes of images that were shrunk by one scale, in an order that tells nothing.

    Attributes:
        scale: 0..1, what the sides of the images were multiplied by.
        train: (N, 48) uint8, of the images trained on.
        valid: (M, 48) uint8, of those that the weights were chosen by.
    """

    scale: float
    train: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True, eq=False)
class ImageHashes:
    """What is known of the images that a network has learnt from, itself and the weights that it went on from.

    Attributes:
        sets: one a scale.
        unknown: names of weights files that it went on from, whose images nobody knows.
    """

    sets: tuple[HashSet, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def trained(self) -> int:
        """Number of different images trained on, as far as they are known."""
        return sum(len(one.train) for one in self.sets)

    def to_content(self) -> dict[str, Any]:
        """Return what a weights file holds: tensors, numbers and words."""
        sets = [
            {"scale": one.scale, "train": torch.from_numpy(one.train), "valid": torch.from_numpy(one.valid)}
            for one in self.sets
        ]
        return {"version": VERSION, "sets": sets, "unknown": list(self.unknown)}


def joined(parts: Iterable[ImageHashes]) -> ImageHashes:
    """Put together what several know: each image once."""
    by_scale: dict[float, list[HashSet]] = {}
    unknown: list[str] = []
    for part in parts:
        unknown += part.unknown
        for one in part.sets:
            by_scale.setdefault(one.scale, []).append(one)
    sets = tuple(
        HashSet(scale, _once([one.train for one in those]), _once([one.valid for one in those]))
        for scale, those in sorted(by_scale.items())
    )
    return ImageHashes(sets, tuple(dict.fromkeys(unknown)))


def of_images(scale: float, train: np.ndarray, valid: np.ndarray) -> ImageHashes:
    """Return the hashes of a run's own images, (N, 48) and (M, 48) uint8."""
    return joined([ImageHashes((HashSet(scale, train, valid),))])


def from_content(content: Any) -> ImageHashes | None:
    """Read what ``to_content`` gave.

    Returns:
        The hashes; None where a file has none, or those of another version, which cannot be compared.

    Raises:
        ValueError: something else; the message names the entry.
    """
    if content is None or (isinstance(content, dict) and content.get("version") != VERSION):
        return None
    try:
        sets = tuple(HashSet(_scale(one["scale"]), _rows(one["train"]), _rows(one["valid"])) for one in content["sets"])
        unknown = content["unknown"]
        if not isinstance(unknown, list) or not all(isinstance(name, str) for name in unknown):
            raise ValueError("unknown")
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"image_hashes: {error}") from None
    return ImageHashes(sets, tuple(unknown))


def _once(parts: list[np.ndarray]) -> np.ndarray:
    """Return each row once, sorted, so that their order does not tell that of the images."""
    rows = np.concatenate([np.zeros((0, BYTES), np.uint8), *parts])
    if _is_sorted(rows):  # as those of one run are
        return rows
    return np.unique(rows, axis=0)


def _is_sorted(rows: np.ndarray) -> bool:
    """Check whether each row comes once, in order."""
    before, behind = rows[:-1], rows[1:]
    differ = before != behind
    first = differ.argmax(axis=1)[:, None]
    greater = np.take_along_axis(before, first, 1) < np.take_along_axis(behind, first, 1)
    return bool(greater.all())


def _scale(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given <= 1:
        raise ValueError(f"scale {given!r:.60}")
    return float(given)


def _rows(given: Any) -> np.ndarray:
    plain = isinstance(given, torch.Tensor) and given.layout == torch.strided and given.device.type == "cpu"
    if not plain or given.dtype != torch.uint8 or given.ndim != 2 or given.shape[1] != BYTES:
        raise ValueError(f"expected rows of {BYTES} bytes")
    if given.numel() > given.untyped_storage().nbytes():
        raise ValueError("more rows than there is room for")
    return given.numpy()
