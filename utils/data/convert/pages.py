"""One labelled image at a time, drawn: what the writers of other layouts take."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.data import rle
from utils.data.convert.labels import Labels
from utils.data.convert.outlines import components
from utils.data.images import read_size
from utils.data.packed import PackedImage
from utils.errors import InputError


@dataclass(frozen=True, eq=False)
class Page:
    """An image and its labels.

    Attributes:
        name: of the image, with forward slashes.
        path: its file.
        height, width: pixels.
        masks: class number -> (H, W) bool, of classes that it shows.
    """

    name: str
    path: Path
    height: int
    width: int
    masks: dict[int, np.ndarray]

    def objects(self) -> Iterator[tuple[int, np.ndarray, int, int]]:
        """Yield class number, (h, w) bool, column and row of the upper left pixel of each connected defect."""
        for number, mask in self.masks.items():
            for part, x, y in components(mask):
                yield number, part, x, y


def page_of(labels: Labels, name: str) -> Page:
    """Draw the labels of an image.

    Raises:
        InputError: the image cannot be read, or a run does not fit it.
    """
    path = labels.images[name]
    height, width = read_size(path)
    masks = {}
    for number, code in sorted(labels.codes.get(name, {}).items()):
        try:
            masks[number] = rle.decode(code, height, width).astype(bool)
        except rle.RleError as error:
            raise InputError(f"{name}: class {number}: {error}; correct or remove the row") from None
    return Page(name, path, height, width, masks)


def stems_of(names: Sequence[str]) -> dict[str, str]:
    """Return image names without suffix; raises ``InputError`` for two that differ in the suffix alone."""
    stems: dict[str, str] = {}
    for name in names:
        stem = os.path.splitext(name)[0]  # noqa: PTH122 - 50,000 names
        if (other := stems.setdefault(stem, name)) != name:
            raise InputError(f"{name}: {other} has the same name but for the suffix; rename one")
    return {name: stem for stem, name in stems.items()}


def place_image(source: Path, target: Path, link: bool) -> None:
    """Put an image to another place, as a copy or a link; the folder is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, PackedImage):
        target.write_bytes(source.content())
    elif link:
        os.symlink(source.resolve(), target)  # noqa: PTH211 - Path.symlink_to reads the wrong way round
    else:
        shutil.copyfile(source, target)


def colours_of(count: int) -> list[tuple[int, int, int]]:
    """Return background's black and a colour for each class: those of Pascal VOC, which labelling programs take too."""
    colours = []
    for number in range(count + 1):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
        colours.append((colour[0], colour[1], colour[2]))
    return colours


def hex_colours(count: int) -> list[str]:
    """Return a colour for each class as ``#ff0000``."""
    return [f"#{bytes(colour).hex()}" for colour in colours_of(count)[1:]]


def index_of(page: Page) -> tuple[np.ndarray, bool]:
    """Draw class numbers into one picture, (H, W) int64, 0 for background; and whether pixels have several classes.

    Of two classes the higher number stays.
    """
    index = np.zeros((page.height, page.width), dtype=np.int64)
    overlap = False
    for number, mask in page.masks.items():
        overlap = overlap or bool(index[mask].any())
        index[mask] = number
    return index, overlap
