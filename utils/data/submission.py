"""The layout of the competition's table, as a dataset folder's ``sample_submission.csv`` has it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.data.listing import TEST_IMAGES, as_name
from utils.data.tables import AnnotationError, read_table, require_columns

SAMPLE = "sample_submission.csv"
JOINED, CODE = "ImageId_ClassId", "EncodedPixels"


@dataclass(frozen=True)
class Layout:
    """Columns and order of a submission.

    Attributes:
        columns: their names, in order; ``ImageId_ClassId``, or ``ImageId`` and ``ClassId``, with ``EncodedPixels``. Others
            stay empty.
        pairs: the (image, class) of each row in order; a class of 0 stands for all classes. () leaves the order as it is.
    """

    columns: tuple[str, ...] = (JOINED, CODE)
    pairs: tuple[tuple[str, int], ...] = ()

    @property
    def classes(self) -> int:
        """The largest class that the rows name; 0: they name none."""
        return max((class_id for _, class_id in self.pairs), default=0)

    def row(self, image: str, class_id: int, code: str) -> list[str]:
        """Return one row."""
        known = {JOINED: f"{image}_{class_id}", "ImageId": image, "ClassId": str(class_id), CODE: code}
        return [known.get(column, "") for column in self.columns]

    def ordered(self, codes: dict[tuple[str, int], str]) -> Iterable[list[str]]:
        """Return the rows of the images with codes in this order: empty where an asked class has no code.

        What the order does not name comes last, as it was found.
        """
        of_image: dict[str, list[int]] = {}
        for image, class_id in codes:
            of_image.setdefault(image, []).append(class_id)
        asked = (
            (image, one)
            for image, class_id in self.pairs
            for one in (of_image.get(image, ()) if class_id == 0 else (class_id,))
        )
        for image, class_id in dict.fromkeys((*asked, *codes)):
            if image in of_image:
                yield self.row(image, class_id, codes.get((image, class_id), ""))


def read_layout(root: Path) -> Layout | None:
    """Read the layout that ``sample_submission.csv`` of a dataset folder has; None when there is no such file.

    A sample that lists each image once, whatever it writes as its class, asks for all classes of each image.

    Raises:
        AnnotationError: the table has no place for the image, the class or the code.
    """
    csv = root / SAMPLE
    if not csv.is_file():
        return None
    table = read_table(csv)
    columns = tuple(map(str, table.columns))
    keys = [JOINED] if JOINED in columns else ["ImageId", "ClassId"]
    require_columns(csv, table, [*keys, CODE], f"expected {JOINED},{CODE} or ImageId,ClassId,{CODE}, in any order")
    if JOINED in columns:
        parts = [text.strip().rpartition("_") for text in table[JOINED]]
        pairs = [(name, _number(word)) if mark else (word, 0) for name, mark, word in parts]
    else:
        words = zip(table["ImageId"].str.strip(), table["ClassId"], strict=True)
        pairs = [(name, _number(word)) for name, word in words]
    if not pairs:
        raise AnnotationError(csv, "lists no images", "add rows or remove the file")
    pairs = [(as_name(name, root / TEST_IMAGES), class_id) for name, class_id in pairs]
    once = len({name for name, _ in pairs}) == len(pairs)
    return Layout(columns, tuple((name, 0 if once else class_id) for name, class_id in pairs))


def _number(word: str) -> int:
    """Read a class number; 0 for what fills the place in a sample."""
    return int(word) if re.fullmatch(r"\s*\d{1,4}\s*", word, re.ASCII) else 0
