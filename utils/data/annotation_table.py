"""Tables of labels: annotations and ignored pixels, read with every malformed row named, and written."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from utils.data import rle
from utils.data.annotations import Annotations, make_rows
from utils.data.folder_layout import LABELS, ignore_table_of, images_of
from utils.data.label_rows import LabelRows, well_formed
from utils.data.listing import as_name
from utils.data.tables import (
    CLASSES_FILE,
    AnnotationError,
    class_number,
    is_filler,
    read_table,
    require_columns,
    write_frame,
)

if TYPE_CHECKING:
    import pandas as pd


def read_annotations(
    csv: Path, class_names: tuple[str, ...] | None = None, problems: list[AnnotationError] | None = None
) -> Annotations:
    """Read a table in either published layout; extra columns are ignored, an empty code or a filler means clean.

    Args:
        csv: ``ImageId,ClassId,EncodedPixels`` or ``ImageId_ClassId,EncodedPixels``. The pixels that do not count are
            read from ``ignore.csv`` beside ``train.csv``, ``test_ignore.csv`` beside ``test_labels.csv``.
        class_names: names in order of the class numbers, which the table may have instead of the numbers; None:
            "1".."C" with C the largest class of the table.
        problems: a list that takes malformed rows, which are then left out; None: the first one is raised.

    Returns:
        The table, every code validated but for the image's end (sizes are not known here; ``check`` does that).

    Raises:
        AnnotationError: anything malformed; names file, row, reason and remedy.
    """
    from utils.data.codes_in_file import CodesInFile
    from utils.data.large_table import read_labels

    table = read_labels(csv)
    joined = "ImageId_ClassId" in table and "ClassId" not in table
    require_columns(csv, table, [*(["ImageId_ClassId"] if joined else ["ImageId", "ClassId"]), "EncodedPixels"])
    if joined:
        parts = [_split_joined(text.strip(), class_names) for text in table["ImageId_ClassId"]]
        # A name without a class has nothing before its "_"; keep it for the message.
        names = [name if mark else word for name, mark, word in parts]
        classes = [word if mark else "" for _, mark, word in parts]
    else:
        names, classes = (table[column].str.strip().tolist() for column in ("ImageId", "ClassId"))
    folder = images_of(csv)
    names = [as_name(name, folder) for name in names]
    texts = table["EncodedPixels"].array
    column = texts if isinstance(texts, CodesInFile) else texts.tolist()
    found = well_formed(csv, table.index.to_numpy(), names, classes, column, class_names, joined)
    if found is None:
        found = _one_by_one(csv, table, names, classes, class_names, joined, problems)
    if class_names is None:
        if not found.largest:
            raise AnnotationError(csv, "no row has a class", f"add rows, or name the classes in {CLASSES_FILE}")
        class_names = tuple(str(k) for k in range(1, found.largest + 1))
    ignored = {}
    if csv.name in LABELS.values():
        ignored = read_ignored(csv.with_name(ignore_table_of(csv)), problems)
    return Annotations(found.rows, tuple(dict.fromkeys(names)), class_names, csv, ignored, found.fillers)


def _one_by_one(
    csv: Path,
    table: "pd.DataFrame",
    names: list[str],
    classes: list[str],
    class_names: tuple[str, ...] | None,
    joined: bool,
    problems: list[AnnotationError] | None,
) -> LabelRows:
    """Read the rows of a table of which some are malformed, and name these."""
    records: list[tuple[str, int, str, int]] = []
    first_row: dict[tuple[str, int], int] = {}
    fillers = 0
    for row, name, word, text in zip(table.index, names, classes, table["EncodedPixels"], strict=True):
        if is_filler(text):
            fillers += bool(text.strip())
            text = ""
            word = "" if is_filler(word) and not joined else word
        try:
            if joined and not word:
                reason = f"{name!r} in ImageId_ClassId has no class"
                raise AnnotationError(csv, reason, "write IMAGE_CLASS, as in 0002cc93b.jpg_1", row)
            class_id = _validated(csv, row, name, word, text, class_names, first_row)
        except AnnotationError as problem:
            if problems is None:
                raise
            problems.append(problem)
        else:
            if text.strip():
                records.append((name, class_id, text.strip(), row))
    largest = max((class_id for _, class_id in first_row), default=0)
    return LabelRows(make_rows(records), largest, fillers)


def _split_joined(text: str, class_names: tuple[str, ...] | None) -> tuple[str, str, str]:
    """Split ``IMAGE_CLASS`` into image, ``_`` and class, which may be a name that has ``_`` itself."""
    longest = max((name for name in class_names or () if text.endswith(f"_{name}")), key=len, default=None)
    return (text[: -len(longest) - 1], "_", longest) if longest else text.rpartition("_")


def _validated(
    csv: Path,
    row: int,
    name: str,
    word: str,
    text: str,
    class_names: tuple[str, ...] | None,
    first_row: dict[tuple[str, int], int],
) -> int:
    """Validate one row, note it in ``first_row`` and give its class; 0 when it lists a clean image."""
    if not name:
        raise AnnotationError(csv, "no image name", "name the image or remove the row", row)
    if not word and not text.strip():
        return 0
    class_id = class_number(csv, row, word, class_names)
    earlier = first_row.setdefault((name, class_id), row)
    if earlier != row:
        reason = f"duplicate of row {earlier}: {name} class {class_id}"
        raise AnnotationError(csv, reason, "join both rows into one", row)
    try:
        rle.parse(text)
    except rle.RleError as error:
        reason = f"{name} class {class_id}: {error}"
        raise AnnotationError(csv, reason, "correct or remove the row", row) from None
    return class_id


def read_ignored(csv: Path, problems: list[AnnotationError] | None = None) -> dict[str, str]:
    """Read the pixels that count neither in the loss nor in scores; {} when there is no such table.

    Args:
        csv: ``ImageId,EncodedPixels``, a row for an image.
        problems: a list that takes malformed rows, which are then left out; None: the first one is raised.

    Raises:
        AnnotationError: anything malformed; names file, row, reason and remedy.
    """
    if not csv.is_file():
        return {}
    table = read_table(csv)
    require_columns(csv, table, ["ImageId", "EncodedPixels"], "expected ImageId,EncodedPixels")
    codes: dict[str, str] = {}
    for row, listed, text in zip(table.index, table["ImageId"].str.strip(), table["EncodedPixels"], strict=True):
        name = as_name(listed, images_of(csv))
        try:
            if not name or name in codes:
                reason = f"{name} has a row already" if name else "no image name"
                raise AnnotationError(csv, reason, "join or remove the row", row)
            rle.parse(text)
        except (rle.RleError, AnnotationError) as error:
            problem = (
                error
                if isinstance(error, AnnotationError)
                else AnnotationError(csv, f"{name}: {error}", "correct or remove the row", row)
            )
            if problems is None:
                raise problem from None
            problems.append(problem)
        else:
            codes[name] = text.strip()
    return {name: code for name, code in codes.items() if code}


def write_annotations(annotations: "Annotations | pd.DataFrame", csv: Path) -> None:
    """Write ``ImageId,ClassId,EncodedPixels``, one row per image and class with a defect.

    Args:
        annotations: the table, or its rows (columns image, class_id, rle).
        csv: file to write.
    """
    rows = annotations.rows if isinstance(annotations, Annotations) else annotations
    table = rows[["image", "class_id", "rle"]].set_axis(["ImageId", "ClassId", "EncodedPixels"], axis=1)
    write_frame(table, csv, formulas=True)


def write_ignored(codes: Mapping[str, str], csv: Path) -> None:
    """Write ``ImageId,EncodedPixels`` as ``read_ignored`` reads it."""
    import pandas as pd

    table = pd.DataFrame(sorted(codes.items()), columns=["ImageId", "EncodedPixels"])
    write_frame(table, csv, formulas=True)
