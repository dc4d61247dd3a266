"""Which image has which defect where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.data import rle
from utils.data.folder_layout import ignore_table_of
from utils.data.rectangles import Rectangles, draw
from utils.data.tables import AnnotationError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Annotations:
    """The defects of a set of images.

    Attributes:
        rows: one row per image and class with a defect, columns image (str), class_id (int64, from 1), rle (str, not
            empty; of a large table read when asked for, see ``CodesInFile``), row (int64, the row in the file, 0 when made in memory); sorted by image and class.
        listed: names that the table lists, with or without a defect, in file order.
        class_names: name of class k is ``class_names[k - 1]``.
        source: the file, for messages.
        ignored: image -> run-length code of the pixels whose class nobody knows, of images that have such; they count
            neither in the loss nor in scores, whatever the rows say of them.
        fillers: rows of the file that have a word for no defect, such as ``-1`` or ``nan``, instead of an empty code.
    """

    rows: "pd.DataFrame"
    listed: tuple[str, ...]
    class_names: tuple[str, ...]
    source: Path = field(default=Path("annotations"))
    ignored: Mapping[str, str] = field(default_factory=dict)
    fillers: int = 0

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def _places(self) -> tuple[dict[str, int], np.ndarray, np.ndarray, Any]:
        """Where the rows of each image begin, by its name; behind which row they end; classes and codes."""
        from utils.data.codes_in_file import CodesInFile  # pandas takes half a second, which prediction need not wait

        images = self.rows["image"].to_numpy(dtype=object)
        change = np.ones(len(images), dtype=np.bool_)
        change[1:] = images[1:] != images[:-1]
        first = np.flatnonzero(change)
        length = np.diff(np.append(first, len(images)))
        ends = (first + length).repeat(length)
        # One number an image, and no dict: a million of those take most of a GB.
        begin = dict(zip(images[first].tolist(), first.tolist(), strict=True))
        codes = self.rows["rle"].array
        codes = codes if isinstance(codes, CodesInFile) else codes.to_numpy(dtype=object)
        return begin, ends, self.rows["class_id"].to_numpy(), codes

    def runs(self, image: str) -> dict[int, str]:
        """Return the run-length code of each class that the image has; {} for a clean image."""
        begin, ends, classes, codes = self._places
        place = begin.get(image)
        if place is None:
            return {}
        return {int(classes[row]): str(codes[row]) for row in range(place, ends[place])}

    def classes(self, image: str) -> list[int]:
        """Return the classes that an image shows, sorted; codes of a large table are not read for them."""
        begin, ends, classes, _ = self._places
        place = begin.get(image)
        return [] if place is None else classes[place : ends[place]].tolist()

    def mask(self, image: str, height: int, width: int) -> np.ndarray:
        """Draw the mask of an image.

        Args:
            image: file name.
            height: of the image, pixels.
            width: of the image, pixels.

        Returns:
            (H, W, C) uint8 of 0 and 1; channel k - 1 is class k.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        return draw(self.defects(image, height, width))

    def defects(self, image: str, height: int, width: int) -> list[Rectangles]:
        """Return where the defects of an image are, without drawing them.

        Args:
            image: file name.
            height: of the image, pixels.
            width: of the image, pixels.

        Returns:
            C classes, those without a defect too; k - 1 is class k.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        codes = self.runs(image)
        defects = []
        for class_id in range(1, self.num_classes + 1):
            try:
                runs = rle.parse(codes.get(class_id, ""), height, width)
            except rle.RleError as error:
                raise self.error(image, class_id, error) from None
            defects.append(Rectangles.of_runs(runs, height, width))
        return defects

    def ignored_part(self, image: str, height: int, width: int) -> Rectangles | None:
        """Return where the ignored pixels of an image are; None when it has none.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        code = self.ignored.get(image)
        if not code:
            return None
        try:
            return Rectangles.of_runs(rle.parse(code, height, width), height, width)
        except rle.RleError as error:
            file = self.source.with_name(ignore_table_of(self.source))
            raise AnnotationError(file, f"{image}: {error}", "correct or remove the row") from None

    def ignored_mask(self, image: str, height: int, width: int) -> np.ndarray | None:
        """Draw the ignored pixels of an image, ``(H, W)`` bool; None when it has none.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        part = self.ignored_part(image, height, width)
        return None if part is None else draw([part])[..., 0].astype(np.bool_)

    def error(self, image: str, class_id: int, error: rle.RleError) -> AnnotationError:
        """Put file, row, image and class before what is wrong with a run-length code."""
        match = self.rows[(self.rows["image"] == image) & (self.rows["class_id"] == class_id)]
        row = int(match["row"].iloc[0]) if len(match) and "row" in match else 0
        reason = f"{image} class {class_id}: {error}"
        return AnnotationError(self.source, reason, "correct or remove the row", row or None)


def make_rows(records: list[tuple[str, int, str, int]]) -> "pd.DataFrame":
    """Make the sorted rows of ``Annotations`` from (image, class_id, rle, row in the file or 0)."""
    import pandas as pd

    frame = pd.DataFrame(sorted(records), columns=["image", "class_id", "rle", "row"])
    return frame.astype({"image": object, "class_id": np.int64, "rle": object, "row": np.int64})
