"""What reading each image of a dataset has told: columns of numbers, since a million objects would take a GB."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.data.bit_depth import DARK, Levels
from utils.data.dataset_folder import ImagePaths
from utils.data.images import ImageFacts
from utils.data.packed import COLUMNS, KINDS

OF_IMAGE = ("height", "width", "kind", "low", "high", "usual", "pages")


class FactColumns:
    """Facts of some images, by their place among the paths.

    Attributes:
        columns: an entry for each image, see ``packed.COLUMNS``.
        known: (N,) bool, which images have been read and are good.
    """

    def __init__(self, count: int) -> None:
        """Begin with no image known."""
        self.columns: dict[str, np.ndarray] = {name: np.zeros(count, COLUMNS[name]) for name in OF_IMAGE}
        self.known = np.zeros(count, dtype=np.bool_)

    @classmethod
    def of_pack(cls, paths: ImagePaths) -> "FactColumns":
        """Return what the index of a packed dataset says."""
        assert paths.dataset.pack is not None
        images = paths.dataset.pack.side(paths.dataset.side)
        found = cls(len(paths))
        if paths.names is not images.names:
            rows = np.fromiter(map(images.row, paths.names), np.int64, len(paths))
            found.columns = {name: images.columns[name][rows] for name in OF_IMAGE}
        else:
            found.columns = {name: images.columns[name] for name in OF_IMAGE}
        found.known[:] = True
        return found

    def __setitem__(self, place: int, facts: ImageFacts) -> None:
        levels = facts.levels
        usual = math.nan if levels.usual is None else levels.usual
        values = facts.height, facts.width, KINDS.index(levels.kind), levels.low, levels.high, usual, facts.pages
        for name, value in zip(OF_IMAGE, values, strict=True):
            self.columns[name][place] = value
        self.known[place] = True

    def __getitem__(self, place: int) -> ImageFacts:
        height, width, kind, low, high, usual, pages = (self.columns[name][place].item() for name in OF_IMAGE)
        word: Any = KINDS[kind]
        return ImageFacts(height, width, Levels(word, low, high, None if math.isnan(usual) else usual), pages)

    def wide(self) -> list[int]:
        """Return the places of known images with more than 8 bits."""
        return self._places(self.columns["kind"] != KINDS.index("byte"))

    def notable(self) -> list[int]:
        """Return the places of known images that there may be something to warn of: many bits, little contrast, pages."""
        columns = self.columns
        flat = (columns["high"] - columns["low"] < 256 // DARK) & (columns["high"] < 255)
        return self._places((columns["kind"] != KINDS.index("byte")) | flat | (columns["pages"] > 1))

    def largest(self) -> float | None:
        """Return the largest whole number of files with more than 8 bits; None without any."""
        high = self.columns["high"][self.known & (self.columns["kind"] == KINDS.index("whole"))]
        return float(high.max()) if len(high) else None

    def sizes(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return (height, width) in pixels of each known image by its name; equal sizes are one object."""
        alike: dict[tuple[int, int], tuple[int, int]] = {}
        pairs = zip(self.columns["height"].tolist(), self.columns["width"].tolist(), strict=True)
        known = self.known.tolist()
        return {
            name: alike.setdefault(pair, pair) for name, pair, there in zip(names, pairs, known, strict=True) if there
        }

    def _places(self, chosen: np.ndarray) -> list[int]:
        return [int(place) for place in np.flatnonzero(self.known & chosen)]
