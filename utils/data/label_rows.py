"""Rows of a table of labels, all read at once: what a million of them is quick by.

Tables in which anything is out of order are read row by row instead, which takes ten times as long and names what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.data import rle
from utils.data.tables import AnnotationError, class_number, is_filler

if TYPE_CHECKING:
    import pandas as pd

    from utils.data.codes_in_file import CodesInFile


@dataclass(frozen=True)
class LabelRows:
    """What a table of labels says.

    Attributes:
        rows: as ``Annotations`` has them.
        largest: class that any row has, with a defect or without; 0: none has one.
        fillers: rows with a word for no defect.
    """

    rows: "pd.DataFrame"
    largest: int
    fillers: int


def well_formed(
    csv: Path,
    row: np.ndarray,
    names: Sequence[str],
    words: Sequence[str],
    texts: "Sequence[str] | CodesInFile",
    class_names: tuple[str, ...] | None,
    joined: bool,
) -> LabelRows | None:
    """Read all rows of a table at once.

    Args:
        csv: the table.
        row: (N,) int64, the row in the file of each.
        names: of the images.
        words: for the classes.
        texts: run-length codes, or words for no defect.
        class_names: names in order of the class numbers; None: there are none.
        joined: whether image and class were one column, where every row has a class.

    Returns:
        None where any row is malformed, or looks so: somebody else has to read them one by one.
    """
    if "" in names:
        return None
    numbers: dict[str, int] = {}
    for word in set(words):
        try:
            empty = not word if joined else is_filler(word)
            numbers[word] = 0 if empty else class_number(csv, 0, word, class_names)
        except AnnotationError:
            return None
    count = len(names)
    classes = np.fromiter((numbers[word] for word in words), np.int64, count)
    import pandas as pd

    from utils.data.codes_in_file import CodesDtype, CodesInFile
    from utils.data.large_table import fillers

    clean = fillers(texts)
    if (classes[~clean] == 0).any() or (joined and not classes.all()):
        return None
    named = np.empty(count, dtype=object)
    named[:] = names
    with_class = pd.DataFrame({"image": named, "class_id": classes})[classes > 0]
    if with_class.duplicated().any():
        return None
    codes: Any
    kind: Any
    if isinstance(texts, CodesInFile):
        codes, kind = texts[~clean], CodesDtype()
        valid = bool(codes.ends.all())
    else:
        codes, kind = [text.strip() for text, none in zip(texts, clean.tolist(), strict=True) if not none], object
        valid = rle.are_valid(codes)
    if not valid:
        return None
    words_for_nothing = sum(1 for place in np.flatnonzero(clean).tolist() if texts[place].strip())
    table = pd.DataFrame({"image": named[~clean], "class_id": classes[~clean], "rle": codes, "row": row[~clean]})
    table = table.astype({"image": object, "class_id": np.int64, "rle": kind, "row": np.int64})
    order = np.lexsort((table["class_id"], pd.factorize(table["image"], sort=True)[0]))
    rows = table.iloc[order].reset_index(drop=True)
    return LabelRows(rows, int(classes.max(initial=0)), words_for_nothing)
