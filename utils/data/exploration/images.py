"""Figures of the images: sizes, brightness, and the grey values inside and outside of the defects."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import pandas as pd

from utils.data import rle

LEVELS = 256
DARK, BRIGHT = 10, 245  # grey values up to DARK count as black border, from BRIGHT on as overexposed


@dataclass(frozen=True)
class ImageLight:
    """The light of one image.

    Attributes:
        size: (height, width) in pixels.
        colour: whether the channels differ.
        histograms: (C + 1, 256) int64: pixels of each grey value outside of all defects, then inside class 1..C.
        total: (256,) int64: pixels of each grey value in the whole image.
    """

    size: tuple[int, int]
    colour: bool
    histograms: np.ndarray
    total: np.ndarray


def measure_light(image: np.ndarray, codes: dict[int, str], num_classes: int) -> ImageLight:
    """Measure the light of one image.

    Args:
        image: (H, W, 3) uint8 RGB.
        codes: class -> run-length code that fits the image.
        num_classes: number of classes.
    """
    height, width = image.shape[:2]
    colour = bool((image[..., 0] != image[..., 1]).any() or (image[..., 0] != image[..., 2]).any())
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if colour else np.ascontiguousarray(image[..., 0])
    total = np.bincount(grey.ravel(), minlength=LEVELS)
    histograms = np.zeros((num_classes + 1, LEVELS), dtype=np.int64)
    covered = np.zeros((height, width), dtype=bool)
    for class_id, text in codes.items():
        mask = rle.decode(text, height, width).view(np.bool_)
        histograms[class_id] = np.bincount(grey[mask], minlength=LEVELS)
        covered |= mask
    histograms[0] = total - np.bincount(grey[covered], minlength=LEVELS) if codes else total
    return ImageLight((height, width), colour, histograms, total)


class ImageTally:
    """Adds up images one by one; what is kept is one row an image and one histogram a class."""

    def __init__(self, num_classes: int) -> None:
        """Begin with no image."""
        self._rows: list[tuple[str, int, int, bool, float, float, float, float]] = []
        self._histograms = np.zeros((num_classes + 1, LEVELS), dtype=np.int64)

    def add(self, image: str, light: ImageLight) -> None:
        """Add one image."""
        count = light.total.sum()
        levels = np.arange(LEVELS)
        mean = float(light.total @ levels / count)
        std = float(np.sqrt(light.total @ (levels - mean) ** 2 / count))
        dark, bright = light.total[: DARK + 1].sum() / count, light.total[BRIGHT:].sum() / count
        self._rows.append((image, *light.size, light.colour, mean, std, float(dark), float(bright)))
        self._histograms += light.histograms

    def statistics(self) -> "ImageStatistics":
        """Return the figures of the images so far."""
        columns = ["image", "height", "width", "colour", "mean", "std", "dark", "bright"]
        return ImageStatistics(pd.DataFrame(self._rows, columns=columns), self._histograms)


@dataclass(frozen=True)
class ImageStatistics:
    """Figures of the images of a dataset.

    Attributes:
        table: one row per image: image (str), height, width (pixels), colour (bool), mean and std of its grey values
            (0..255), dark and bright (share of its pixels, 0..1, up to ``DARK`` and from ``BRIGHT`` on).
        histograms: (C + 1, 256) int64: pixels of each grey value outside of all defects, then inside class 1..C.
    """

    table: pd.DataFrame
    histograms: np.ndarray = field(repr=False)

    @property
    def pixels(self) -> int:
        """Pixels of all images together."""
        return int((self.table["height"] * self.table["width"]).sum())

    def sizes(self) -> pd.DataFrame:
        """Count the sizes, the commonest first: columns height, width (pixels), images."""
        counts = self.table.groupby(["height", "width"]).size().rename("images").reset_index()
        return counts.sort_values(["images", "height", "width"], ascending=[False, True, True], ignore_index=True)

    def light_table(self) -> pd.DataFrame:
        """Describe mean, std, dark and bright over the images: rows mean, std, dark, bright; columns mean, min, 25%, 50%, 75%, max."""
        table = self.table[["mean", "std", "dark", "bright"]].describe().T
        return table[["mean", "min", "25%", "50%", "75%", "max"]]

    def grey_table(self) -> pd.DataFrame:
        """Describe the grey values outside and inside of the defects: rows 0 (outside), 1..C; columns pixels, mean, std; NaN without pixels."""
        levels = np.arange(LEVELS)
        pixels = self.histograms.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.histograms @ levels / pixels
            std = np.sqrt(np.maximum(self.histograms @ levels**2 / pixels - mean**2, 0))
        return pd.DataFrame({"pixels": pixels, "mean": mean, "std": std})
