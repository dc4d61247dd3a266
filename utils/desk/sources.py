"""Where the images of the page come from: strips drawn by the computer, uploads, and the folder named at start.

No path comes from a browser: it sends the name of an image, which is looked up in a list made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from utils.data.annotation_table import read_annotations
from utils.data.annotations import Annotations
from utils.data.folder_layout import IMAGES, LABELS, read_class_names
from utils.data.listing import IMAGE_SUFFIXES, image_names
from utils.data.synthetic import CLASS_NAMES
from utils.data.synthetic.strip import make_strip
from utils.errors import InputError

# One strip of each class (their numbers), one with two classes, and a clean one.
SAMPLES: tuple[tuple[int, ...], ...] = ((4,), (1,), (3,), (2,), (3, 4), ())
SAMPLE_SIZE = (256, 1600)  # the competition's
SAMPLE_SEED = 11
SAMPLE_CONTRAST = 1.5  # between what real strips show and what the demo's network learns in minutes
SAMPLE_QUALITY = 90  # of the JPEG, 0..100


@dataclass(frozen=True, eq=False)
class Truth:
    """The labels of an image.

    Attributes:
        class_names: of the labels; they need not be the network's.
        masks: ``(T, H, W)`` bool; none when the labels do not fit the image.
        note: why there are no masks; empty when there are.
    """

    class_names: tuple[str, ...]
    masks: np.ndarray | None
    note: str = ""

    def of_network(self, class_names: Sequence[str], task: str) -> np.ndarray | None:
        """Return the labels as masks of a network's classes, ``(C, H, W)`` bool; None when it has other classes."""
        if self.masks is None:
            return None
        if set(self.class_names) == set(class_names):
            return self.masks[[self.class_names.index(name) for name in class_names]]
        if task == "binary":
            return np.logical_or.reduce(self.masks, axis=0, keepdims=True)
        if task == "per-class" and class_names[0] in self.class_names:
            return self.masks[self.class_names.index(class_names[0])][None]
        return None


@dataclass(frozen=True, eq=False)
class SampleStrip:
    """A strip drawn by the computer, and its labels."""

    name: str
    content: bytes
    labels: np.ndarray  # (H, W) uint8, 0 or the number of the class

    def truth(self, height: int, width: int) -> Truth | None:
        """Return the labels that the strip was drawn with."""
        numbers = np.arange(1, len(CLASS_NAMES) + 1, dtype=np.uint8)
        return Truth(CLASS_NAMES, self.labels == numbers[:, None, None])


def draw_samples() -> list[SampleStrip]:
    """Draw the sample strips: the same ones every time, named for what they show."""
    samples = []
    for number, classes in enumerate(SAMPLES, start=1):
        random = np.random.default_rng([SAMPLE_SEED, number])
        strip = make_strip(random, SAMPLE_SIZE, classes, SAMPLE_CONTRAST)
        _, jpeg = cv2.imencode(".jpg", strip.image, [cv2.IMWRITE_JPEG_QUALITY, SAMPLE_QUALITY])
        shown = "-".join(CLASS_NAMES[k - 1] for k in classes) or "clean"
        samples.append(SampleStrip(f"sample-{number}-{shown}.jpg", jpeg.tobytes(), strip.labels))
    return samples


class Part:
    """A folder of images, with the table of their labels if there is one.

    Args:
        title: what the page calls it.
        folder: that holds the images.
        table: of the labels; None when there is none.
    """

    def __init__(self, title: str, folder: Path, table: Path | None) -> None:
        self.title, self.folder = title, folder
        self.table = table if table is not None and table.is_file() else None
        self.names = image_names(folder)
        self._known = frozenset(self.names)

    def matching(self, words: str) -> list[str]:
        """List the names that hold a piece of text, in any case."""
        piece = words.strip().casefold()
        return [name for name in self.names if piece in name.casefold()]

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def read(self, name: str) -> bytes:
        """Read an image file; raises ``InputError`` where that cannot be done any more."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})") from None

    @cached_property
    def _labels(self) -> Annotations | str | None:
        """Read the table once: the labels, or why there are none."""
        if self.table is None:
            return None
        try:
            return read_annotations(self.table, read_class_names(self.table.parent))
        except InputError as error:
            return self._plain(error)

    def _plain(self, error: InputError) -> str:
        """Leave out where the table lies: that is no business of a browser's."""
        assert self.table is not None
        return str(error).replace(str(self.table), self.table.name)

    def truth(self, name: str, height: int, width: int) -> Truth | None:
        """Draw the labels of an image; an image without a row is clean."""
        labels = self._labels
        if labels is None:
            return None
        if isinstance(labels, str):
            return Truth((), None, f"no ground truth: {labels}")
        try:
            masks = labels.mask(name, height, width).transpose(2, 0, 1).astype(np.bool_)
        except InputError as error:
            return Truth((), None, f"no ground truth: {self._plain(error)}")
        return Truth(labels.class_names, masks)


def open_folder(root: Path) -> list[Part]:
    """Open the folder that ``-dir`` names: a dataset folder, or any folder of images.

    Returns:
        The images of a dataset folder's ``train_images/`` and ``test_images/``, or those of the folder itself.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not root.is_dir():
        raise InputError(f"-dir {root}: no such folder; name a dataset folder or a folder of images")
    parts = [Part(name, root / name, root / LABELS[side]) for side, name in IMAGES.items() if (root / name).is_dir()]
    parts = [part for part in parts or [Part(root.name or str(root), root, None)] if part.names]
    if not parts:
        raise InputError(f"-dir {root}: holds no image files ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return parts
