"""What the names of images and cameras tell: the order in which images were taken, and how cameras stand."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


def numbers_of(names: Sequence[str] | pd.Series) -> np.ndarray | None:
    """Return the number of each image from its name, the last one in it; none where these do not tell an order.

    They do where names differ in the number alone: ``7.jpg``, ``line2_0012.png``.
    """
    parts = [_NUMBERED.fullmatch(Path(name).stem) for name in names]
    if not all(parts) or len({(part[1], part[3]) for part in parts if part}) > 1:
        return None
    numbers = [int(part[2]) for part in parts if part]
    if len(set(numbers)) < len(numbers) or max(numbers) >= 2**62:
        return None
    return np.array(numbers, dtype=np.int64)


def camera_name(word: str) -> str:
    """Return the name of a camera as tables write it: 1 for 1.0, which pandas makes of numbers beside gaps."""
    return re.sub(r"^(\d+)\.0+$", r"\1", word)


def side_by_side(cameras: Sequence[str]) -> dict[str, int]:
    """Return each camera's place in a row: by its number, so that one that is missing leaves a gap, else by the order."""
    if all(camera.isdecimal() for camera in cameras):
        numbers = [int(camera) for camera in cameras]
        first = min(numbers) if min(numbers) > len(numbers) else min(1, min(numbers))
        if len(set(numbers)) == len(numbers) and max(numbers) - first < 2 * len(numbers):
            return dict(zip(cameras, (number - first for number in numbers), strict=True))
    return {camera: place for place, camera in enumerate(cameras)}


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what names are sorted by: numbers in them as numbers."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)
