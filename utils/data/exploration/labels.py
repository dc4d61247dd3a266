"""Figures of the labels: images and pixels per class, areas, classes that occur together, and where they sit."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from utils.data import rle

GRID = 100  # cells of a map along the longer side of the images
LEAST_CELLS = 8  # along the shorter side
# Of fewer areas, the 2nd and the 98th percentile lie between the two smallest and the two largest: chance decides.
FEW = 51
AREA_COLUMNS = ("count", "mean", "std", "min", "2%", "25%", "50%", "75%", "98%", "max")


@dataclass(frozen=True)
class ImageLabels:
    """The labels of one image.

    Attributes:
        areas: class -> pixels.
        union: pixels of any class; classes may overlap.
        defects: class -> areas in pixels of its connected defects (8 neighbours); None when the size is unknown.
        maps: class -> (h, w) float32, share of each cell of a grid over the image that is covered, 0..1; as ``defects``.
    """

    areas: dict[int, int]
    union: int
    defects: dict[int, np.ndarray] | None = None
    maps: dict[int, np.ndarray] | None = None


def measure_labels(
    codes: dict[int, str], size: tuple[int, int] | None = None, grid: tuple[int, int] = (LEAST_CELLS, GRID)
) -> ImageLabels:
    """Measure the labels of one image.

    Args:
        codes: class -> run-length code, as ``Annotations.runs`` gives it.
        size: (height, width) of the image in pixels; None when it is unknown.
        grid: (h, w) cells of the maps.

    Raises:
        rle.RleError: a code is malformed or does not fit the size.
    """
    height, width = size or (None, None)
    runs = {class_id: rle.parse(text, height, width) for class_id, text in codes.items()}
    areas = {class_id: int(pairs[:, 1].sum()) for class_id, pairs in runs.items()}
    if size is None:
        return ImageLabels(areas, _union(list(runs.values())))
    defects, maps = {}, {}
    for class_id, text in codes.items():
        mask = rle.decode(text, *size)
        defects[class_id] = _connected_areas(mask)
        maps[class_id] = cv2.resize(mask.astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
    return ImageLabels(areas, _union(list(runs.values())), defects, maps)


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Choose the (h, w) cells of the maps for images of a (height, width)."""
    longest = max(size)
    height, width = (min(side, max(LEAST_CELLS, round(GRID * side / longest))) for side in size)
    return height, width


class LabelTally:
    """Adds up the labels of images one by one; memory does not grow with their pixels."""

    def __init__(self, class_names: Sequence[str], grid: tuple[int, int] | None = None) -> None:
        """Begin with no image.

        Args:
            class_names: name of class k is ``class_names[k - 1]``.
            grid: (h, w) cells of the maps; None when image sizes are unknown.
        """
        self.class_names = tuple(class_names)
        self.images = 0
        self.union = 0
        self._rows: list[tuple[str, int, int]] = []
        self._defects: dict[int, list[np.ndarray]] = {k: [] for k in range(1, len(class_names) + 1)}
        self._maps = None if grid is None else np.zeros((len(class_names), *grid))

    def add(self, image: str, labels: ImageLabels) -> None:
        """Add one image; a clean one has no areas."""
        self.images += 1
        self.union += labels.union
        self._rows += [(image, class_id, area) for class_id, area in sorted(labels.areas.items())]
        for class_id, areas in (labels.defects or {}).items():
            self._defects[class_id].append(areas)
        if self._maps is not None:
            for class_id, part in (labels.maps or {}).items():
                self._maps[class_id - 1] += part

    def statistics(self, pixels: int | None = None) -> "LabelStatistics":
        """Return the figures of the images so far.

        Args:
            pixels: of all images together; None when sizes are unknown.
        """
        areas = pd.DataFrame(self._rows, columns=["image", "class_id", "area"])
        areas = areas.astype({"image": object, "class_id": np.int64, "area": np.int64})
        if self._maps is None:
            return LabelStatistics(self.class_names, self.images, areas, self.union, pixels)
        parts = [(k, area) for k, arrays in self._defects.items() for array in arrays for area in array]
        defects = pd.DataFrame(parts, columns=["class_id", "area"]).astype(np.int64)
        counts = areas["class_id"].value_counts().reindex(range(1, len(self.class_names) + 1), fill_value=0)
        maps = self._maps / np.maximum(counts.to_numpy(), 1)[:, None, None]
        return LabelStatistics(self.class_names, self.images, areas, self.union, pixels, defects, maps)


@dataclass(frozen=True)
class LabelStatistics:
    """Figures of the labels of a dataset.

    Attributes:
        class_names: name of class k is ``class_names[k - 1]``.
        images: number of images, clean ones included as far as they are known.
        areas: one row per image and class with a defect: image (str), class_id, area (int64, pixels).
        union: pixels of any class in all images; classes may overlap.
        pixels: of all images together; None when sizes are unknown.
        defects: one row per connected defect: class_id, area (int64, pixels); None when sizes are unknown.
        maps: (C, h, w) float64, 0..1: of the images with the class, the mean share of the cell that it covers; None when
            sizes are unknown.
    """

    class_names: tuple[str, ...]
    images: int
    areas: pd.DataFrame
    union: int
    pixels: int | None = None
    defects: pd.DataFrame | None = None
    maps: np.ndarray | None = None

    @property
    def clean(self) -> int:
        """Images without a defect."""
        return self.images - self.areas["image"].nunique()

    def images_per_class(self) -> np.ndarray:
        """Count the images that show each class: (C,) int64."""
        return self._per_class(self.areas["class_id"].value_counts())

    def pixels_per_class(self) -> np.ndarray:
        """Count the pixels of each class: (C,) int64."""
        return self._per_class(self.areas.groupby("class_id")["area"].sum())

    def images_per_number(self) -> np.ndarray:
        """Count the images with 0, 1, ... classes, up to the largest number that occurs: int64."""
        numbers = np.bincount(self.areas.groupby("image").size().to_numpy(dtype=np.int64), minlength=1)
        numbers[0] = self.clean
        return numbers

    def together(self) -> np.ndarray:
        """Count the images that show both of two classes: (C, C) int64, on the diagonal those that show the class."""
        table = pd.crosstab(self.areas["image"], self.areas["class_id"])
        shown = table.reindex(columns=range(1, len(self.class_names) + 1), fill_value=0).to_numpy(dtype=np.int64)
        return shown.T @ shown

    @property
    def background(self) -> int | None:
        """Pixels of no class; None when sizes are unknown."""
        return None if self.pixels is None else self.pixels - self.union

    def area_table(self) -> pd.DataFrame:
        """Describe the area of a class in an image, pixels: rows as the classes, columns ``AREA_COLUMNS``."""
        return describe_areas(self.areas, self.class_names)

    def defect_table(self) -> pd.DataFrame | None:
        """Describe the area of a connected defect as ``area_table`` does; None when sizes are unknown."""
        return None if self.defects is None else describe_areas(self.defects, self.class_names)

    def few(self) -> dict[str, int]:
        """Return the classes with too few areas for percentiles, and how many: images, or defects where they are fewer."""
        counts = self.area_table()["count"]
        defects = self.defect_table()
        if defects is not None:
            counts = counts.where(counts < defects["count"], defects["count"])
        return {str(name): int(count) for name, count in counts.items() if 0 < count < FEW}

    def deleted(self) -> pd.DataFrame | None:
        """Count the labelled defects that limits at percentiles would delete.

        Returns:
            Index: the class names; columns: ``image 2%`` (defects below the 2nd percentile of a class's area in an image),
            ``2%`` and ``98%`` (below and above those of the defects), int64; None when sizes are unknown.
        """
        if self.defects is None:
            return None
        images, defects = self.area_table(), describe_areas(self.defects, self.class_names)
        rows = []
        for k in range(1, len(self.class_names) + 1):
            own = self.defects.loc[self.defects["class_id"] == k, "area"].to_numpy()
            rows.append(
                [
                    int((own < images["2%"].iloc[k - 1]).sum()),
                    int((own < defects["2%"].iloc[k - 1]).sum()),
                    int((own > defects["98%"].iloc[k - 1]).sum()),
                ]
            )
        return pd.DataFrame(rows, index=list(self.class_names), columns=["image 2%", "2%", "98%"], dtype=np.int64)

    def _per_class(self, counts: pd.Series) -> np.ndarray:
        return counts.reindex(range(1, len(self.class_names) + 1), fill_value=0).to_numpy(dtype=np.int64)


def describe_areas(areas: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    """Describe areas class by class.

    Args:
        areas: columns class_id and area (pixels).
        class_names: name of class k is ``class_names[k - 1]``.

    Returns:
        Index: the class names; columns ``AREA_COLUMNS``: count (int64), the others float64 in pixels, NaN for a class
        without areas. Percentiles are interpolated linearly, std divides by n - 1.
    """
    table = areas.groupby("class_id")["area"].describe(percentiles=[0.02, 0.25, 0.5, 0.75, 0.98])
    table = table.reindex(index=range(1, len(class_names) + 1), columns=list(AREA_COLUMNS)).astype(np.float64)
    table["count"] = table["count"].fillna(0).astype(np.int64)
    return table.set_axis(list(class_names), axis=0)


def _union(runs: list[np.ndarray]) -> int:
    """Count the positions that lie in at least one run."""
    if len(runs) < 2:
        return int(runs[0][:, 1].sum()) if runs else 0
    starts, lengths = np.concatenate(runs).T
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], (starts + lengths)[order]
    reached = np.maximum.accumulate(np.concatenate([starts[:1], ends]))[:-1]
    return int(np.maximum(ends - np.maximum(starts, reached), 0).sum())


def _connected_areas(mask: np.ndarray) -> np.ndarray:
    x, y, width, height = cv2.boundingRect(mask)
    window = np.ascontiguousarray(mask[y : y + height, x : x + width])
    if not window.size:
        return np.zeros(0, dtype=np.int64)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(window, connectivity=8)
    return statistics[1:, cv2.CC_STAT_AREA].astype(np.int64)
