"""What becomes of inspected images: pictures, masks and tables, every file written in one step.

A sink renders in worker threads, in any order, and collects in the main thread, in the order of the images. Tables are
written row by row beside their final name and appear when the run is complete.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TextIO

import cv2
import numpy as np

from utils.data import rle
from utils.data.listing import PICTURES
from utils.data.submission import Layout
from utils.data.tables import TableWriter
from utils.decision.masks import index_mask
from utils.decision.probabilities import class_probabilities
from utils.files import replacing
from utils.inference.inspected import Inspected
from utils.inference.tiles import is_large
from utils.reporting.heat_map import draw_heat_map
from utils.reporting.overlays import draw_overlay, overlay_bands
from utils.reporting.png_bands import band_rows, write_png_bands

SAVES = (*PICTURES, "submission", "defects", "labels")


class Sink(Protocol):
    """One kind of output."""

    def render(self, result: Inspected) -> Any:
        """Make what this image contributes; called in worker threads."""

    def collect(self, name: str, piece: Any) -> None:
        """Take what ``render`` made of the image of this name; called in the order of the images."""


class Overlays:
    """``<image>.png`` for each image: defects drawn on it, below that the labels if there are any.

    Args:
        folder: where the pictures go, those of images in folders within into folders of the same names.
        names: image name -> name of its picture.
        class_names: for the legend.
        truth: gives the labels of an image as ``(C, H, W)`` bool, or none.
    """

    def __init__(
        self,
        folder: Path,
        names: Mapping[str, str],
        class_names: Sequence[str],
        truth: Callable[[Inspected], np.ndarray | None],
    ) -> None:
        self.folder, self.names, self.class_names, self.truth = folder, names, class_names, truth
        self.written: list[Path] = []

    def render(self, result: Inspected) -> Path:
        """Draw and write the picture of an image."""
        target = self.folder / self.names[result.name]
        truth = self.truth(result)
        if truth is None and is_large(*result.image.shape[:2]):
            width = result.image.shape[1]
            height, bands = overlay_bands(result.image, result.masks, self.class_names, band_rows(width))
            with replacing(target) as temporary, open(temporary, "wb") as file:
                write_png_bands(file, height, width, bands)
        else:
            write_png(target, overlay_of(result, self.class_names, truth))
        return target

    def collect(self, name: str, piece: Path) -> None:
        """Remember the first few, for whoever wants to show some."""
        if len(self.written) < 10:
            self.written.append(piece)


class IndexMasks:
    """``<image>.png`` for each image: grey values are class numbers, 0 is background.

    Where classes overlap (multilabel), the likeliest one is drawn: ``submission.csv`` keeps them all.

    Args:
        folder: where the masks go, as in ``Overlays``.
        names: image name -> name of its mask.
        task: of the network.
        class_ids: number of each scored class; none: 1, 2, 3 ...
    """

    def __init__(
        self, folder: Path, names: Mapping[str, str], task: str, class_ids: Sequence[int] | None = None
    ) -> None:
        self.folder, self.names, self.task, self.class_ids = folder, names, task, class_ids

    def render(self, result: Inspected) -> None:
        """Write the mask of an image."""
        write_png(self.folder / self.names[result.name], index_mask_of(result, self.task, self.class_ids))

    def collect(self, name: str, piece: None) -> None:
        """Leave it at the file."""


class HeatMaps:
    """``<image>.png`` for each image: the probability of its likeliest class in colours.

    Args:
        folder: where they go, as in ``Overlays``.
        names: image name -> name of its picture.
        task: of the network.
    """

    def __init__(self, folder: Path, names: Mapping[str, str], task: str) -> None:
        self.folder, self.names, self.task = folder, names, task

    def render(self, result: Inspected) -> None:
        """Write the heat map of an image."""
        write_png(self.folder / self.names[result.name], heat_map_of(result, self.task))

    def collect(self, name: str, piece: None) -> None:
        """Leave it at the file."""


class CsvTable:
    """A CSV file that is written row by row and takes its name at the end."""

    header: tuple[str, ...]
    formulas = False  # whether names that begin like formulas stay as they are, see ``TableWriter``

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        # A stack, since closing writes what is left and may fail too: the temporary file must go all the same.
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replacing(self.path))
        file = self._stack.enter_context(open(temporary, "w", encoding="utf-8", newline=""))
        return self.into(file)

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def into(self, file: TextIO) -> Any:
        """Write into an open text file, with its header; ``path`` is not used then."""
        self._writer = TableWriter(file, self.formulas)
        self._writer.writerow(self.header)
        return self

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows."""
        self._writer.writerows(rows)


class Submission(CsvTable):
    """The competition's table: a row for every image and class, the code empty where there is no defect.

    Args:
        path: of the table.
        class_ids: number of each scored class; none: 1, 2, 3 ...
        layout: columns and order; none: ``ImageId_ClassId,EncodedPixels``, as the images come.
    """

    formulas = True

    def __init__(self, path: Path, class_ids: Sequence[int] | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        self.class_ids, self.layout = class_ids, layout or Layout()
        self.header = self.layout.columns
        self._codes: dict[tuple[str, int], str] = {}  # where the order is not that of the images

    def __exit__(self, *error: Any) -> None:
        try:
            if not any(error):
                self.write(self.layout.ordered(self._codes))
        except BaseException as failed:
            super().__exit__(type(failed), failed, failed.__traceback__)
            raise
        super().__exit__(*error)

    def render(self, result: Inspected) -> list[str]:
        """Encode each class."""
        return [rle.encode(mask) if mask.any() else "" for mask in result.masks]

    def collect(self, name: str, piece: list[str]) -> None:
        """Append the rows of an image."""
        numbered = list(zip(self.class_ids or range(1, len(piece) + 1), piece, strict=True))
        if self.layout.pairs:
            self._codes |= {(name, class_id): code for class_id, code in numbered}
        else:
            self.write(self.layout.row(name, class_id, code) for class_id, code in numbered)


class Defects(CsvTable):
    """A row for every connected defect.

    Args:
        path: of the table.
        class_names: of the scored classes.
        class_ids: their numbers; none: 1, 2, 3 ...
    """

    header = ("image", "class_id", "name", "area_px", "x", "y", "width", "height", "mean_probability")

    def __init__(self, path: Path, class_names: Sequence[str], class_ids: Sequence[int] | None = None) -> None:
        super().__init__(path)
        self.class_names, self.class_ids = class_names, class_ids or range(1, len(class_names) + 1)

    def render(self, result: Inspected) -> list[tuple[Any, ...]]:
        """Return the rows of an image as plain numbers."""
        return result.defects.tolist()

    def collect(self, name: str, piece: list[tuple[Any, ...]]) -> None:
        """Append the rows of an image."""
        self.write(
            (name, self.class_ids[mask - 1], self.class_names[mask - 1], *rest, f"{probability:.4f}")
            for mask, *rest, probability in piece
        )


class LabelTable(CsvTable):
    """A row for every image: the probability of each label of the whole image, as the classifier or the gate saw it.

    Args:
        path: of the table.
        label_names: of the labels.
    """

    def __init__(self, path: Path, label_names: Sequence[str]) -> None:
        super().__init__(path)
        self.header = ("image", *label_names)

    def render(self, result: Inspected) -> list[str]:
        """Return the probabilities of an image."""
        assert result.labels is not None, "only for networks with labels"
        return [f"{probability:.4f}" for probability in result.labels]

    def collect(self, name: str, piece: list[str]) -> None:
        """Append the row of an image."""
        self.write([(name, *piece)])


def picture_names(images: Sequence[str]) -> dict[str, str]:
    """Return the picture name of each image: ``a.jpg`` becomes ``a.png``, or ``a.jpg.png`` beside another ``a``.

    Beside ``a.jpg``, ``a.png`` and ``a.jpg.png``, or a folder ``a.png``, every image keeps its whole name. A picture lies in
    folders of the same names as its image.

    Args:
        images: their names, none of which leads out of the folder of images.
    """
    stems = {name: name.removesuffix(PurePosixPath(name).suffix) for name in images}
    counts = Counter(stem.casefold() for stem in stems.values())
    names = {name: f"{stem if counts[stem.casefold()] == 1 else name}.png" for name, stem in stems.items()}
    taken = {name.casefold() for name in names.values()}
    folders = {name.rpartition("/")[0].casefold() for name in images if "/" in name}
    folders |= {str(parent) for folder in folders for parent in PurePosixPath(folder).parents}
    if len(taken) < len(names) or taken & folders:
        return {name: f"{name}.png" for name in images}
    return names


def overlay_of(result: Inspected, class_names: Sequence[str], truth: np.ndarray | None = None) -> np.ndarray:
    """Draw the defects of an image on it, and below that its labels if there are any: ``(H, W, 3)`` BGR pixels."""
    return cv2.cvtColor(draw_overlay(result.image, result.masks, class_names, truth), cv2.COLOR_RGB2BGR)


def heat_map_of(result: Inspected, task: str) -> np.ndarray:
    """Draw the heat map of an image, as ``write_png`` takes it; a gate that turned it away leaves it cold."""
    hottest = np.zeros(result.image.shape[:2])
    for plane in () if result.logits is None else class_probabilities(result.logits, task):
        np.maximum(hottest, plane, out=hottest)
    return draw_heat_map(result.image, hottest)


def index_mask_of(result: Inspected, task: str, class_ids: Sequence[int] | None) -> np.ndarray:
    """Draw the index mask of an image, ``(H, W)``, see ``IndexMasks``."""
    logits = result.decided_logits if len(result.defects) else None
    if logits is None:  # nothing to draw, or nothing that overlaps
        logits = np.empty((0, 0, 0), np.float32)
    index = index_mask(result.masks, logits, task)
    if class_ids is None or list(class_ids) == list(range(1, len(result.masks) + 1)):
        return index
    return np.array([0, *class_ids], np.uint8 if max(class_ids) <= 255 else np.uint16)[index]


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write ``(H, W)`` or ``(H, W, 3)`` BGR pixels as PNG in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(pixels))


def encode_png(pixels: np.ndarray) -> bytes:
    """Return ``(H, W)`` or ``(H, W, 3)`` BGR pixels as the bytes of a PNG."""
    # With zlib's own strategy files are 40 % smaller than with OpenCV's default, in the same time.
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT])
    return encoded.tobytes()
