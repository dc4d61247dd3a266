"""CSV tables of images and defects, read as text so that every malformed row can be named.

Rows are counted as an editor or spreadsheet shows them: the header is row 1.
"""

import re
from collections.abc import Iterable
from csv import QUOTE_ALL, QUOTE_MINIMAL, QUOTE_NONNUMERIC, field_size_limit
from csv import Error as CsvError
from csv import reader as csv_reader
from csv import writer as csv_writer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from utils.errors import InputError
from utils.files import replacing

if TYPE_CHECKING:
    import pandas as pd

CLASSES_FILE = "classes.txt"  # in a dataset folder, one name a line
LAYOUTS = "ImageId,ClassId,EncodedPixels or ImageId_ClassId,EncodedPixels"
MOST_CLASSES = 255  # index masks have 8 bits
# What tables of competitions and of pandas have for "nothing", in lower case; 0 0 and -1 are no code and no class.
FILLERS = frozenset({"", "-1", "-1.0", "-1 -1", "0", "0.0", "0 0", "nan", "none", "null", "n/a", "<na>"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for the beginning of one


class AnnotationError(InputError):
    """A malformed table; the message names file, row, reason and remedy.

    Attributes:
        file: the file.
        reason: what is wrong.
        remedy: what to do.
        row: the row in the file, header = 1; None when the file as a whole is wrong.
    """

    def __init__(self, file: Path | str, reason: str, remedy: str, row: int | None = None) -> None:
        super().__init__(f"{file}{'' if row is None else f', row {row}'}: {reason}; {remedy}")
        self.file = file
        self.reason = reason
        self.remedy = remedy
        self.row = row


def read_table(csv: Path) -> "pd.DataFrame":
    """Read a CSV as text, indexed by its row in the file; blank rows are dropped.

    Raises:
        AnnotationError: no such file, empty, not UTF-8, or a row has more or fewer fields than the header.
    """
    import pandas as pd  # here, since most predictions need no tables

    try:
        if csv.stat().st_size == 0:
            raise AnnotationError(csv, "empty file", f"expected a table {LAYOUTS}")
        with open(csv, encoding="utf-8-sig", newline="") as file:
            header, rows, columns = _read_columns(csv, file)
    except FileNotFoundError:
        raise AnnotationError(csv, "no such file", "put the table there, or run Prepare_data.py convert") from None
    except IsADirectoryError:
        raise AnnotationError(csv, "is a folder", "expected a CSV table") from None
    except UnicodeError:
        raise AnnotationError(csv, "not UTF-8 text", "save it as CSV with encoding UTF-8") from None
    if not rows:
        raise AnnotationError(csv, "holds only blank rows", f"expected a table {LAYOUTS}")
    # Columns by number, since a header may have a name twice.
    table = pd.DataFrame(dict(enumerate(columns)), index=rows[1:], dtype=object)
    return table.set_axis(header, axis=1)


def _read_columns(csv: Path, file: TextIO) -> tuple[list[str], list[int], list[list[str]]]:
    """Read the rows that are not blank: the header, the row in the file of each (the header's too), and the columns.

    Columns, and not rows: a list for each of a million rows would take more memory than what they hold.
    """
    field_size_limit(2**31 - 1)  # the code of a ragged mask is longer than the module's 128 KiB
    reader = csv_reader(file, strict=True)
    header: list[str] = []
    rows: list[int] = []
    columns: list[list[str]] = []
    wrong: AnnotationError | None = None
    try:
        for fields in reader:
            if not fields or not (fields[0].strip() or any(field.strip() for field in fields)):
                continue
            rows.append(reader.line_num)
            if len(rows) == 1:
                header = [name.strip() for name in fields]
                columns = [[] for _ in header]
                continue
            count = len(fields)
            if count != len(header) and (count < len(header) or any(fields[len(header) :])):
                reason = f"{count} fields, but the header has {len(header)}"
                remedy = "separate fields by commas, one image and class a row"
                wrong = wrong or AnnotationError(csv, reason, remedy, reader.line_num)
                continue
            for column, field in zip(columns, fields, strict=False):
                column.append(field)
    except CsvError as error:
        raise AnnotationError(csv, f"not a CSV table ({error})", f"expected {LAYOUTS}", reader.line_num) from None
    if wrong is not None:
        raise wrong
    return header, rows, columns


def require_columns(csv: Path, table: "pd.DataFrame", wanted: list[str], expected: str = f"expected {LAYOUTS}") -> None:
    """Raise ``AnnotationError`` when the table lacks a column or has it twice."""
    columns = list(table.columns)
    twice = [name for name in wanted if columns.count(name) > 1]
    if twice:
        raise AnnotationError(csv, f"column {twice[0]} occurs twice", "remove or rename one of them")
    missing = [name for name in wanted if name not in table]
    if not missing:
        return
    found = ",".join(map(str, table.columns))
    # A quoted name may have line breaks.
    plain = "".join(letter if letter.isprintable() else " " for letter in found[:81])
    shown = plain if len(plain) < 80 else f"{plain[:80]}..."
    remedy = "separate the columns by commas" if ";" in found or "\t" in found else expected
    raise AnnotationError(csv, f"missing column {', '.join(missing)} (found {shown})", remedy)


def read_listed(csv: Path) -> dict[int, str]:
    """Read the image names that a table lists, each once: row in the file -> name.

    Raises:
        AnnotationError: the table has no ``ImageId`` or ``ImageId_ClassId`` column, or one of them twice, or no rows.
    """
    table = read_table(csv)
    require_columns(csv, table, [name for name in ("ImageId", "ImageId_ClassId") if name in table])
    if "ImageId" in table:
        names = table["ImageId"].str.strip()
    elif "ImageId_ClassId" in table:
        names = table["ImageId_ClassId"].str.replace(r"_[^_]*$", "", regex=True).str.strip()
    else:
        found = ",".join(map(str, table.columns))
        raise AnnotationError(csv, f"no column ImageId or ImageId_ClassId; found {found}", "correct the header")
    if names.empty:
        raise AnnotationError(csv, "lists no images", "add rows or remove the file")
    names = names.drop_duplicates()
    return {int(row): str(name) for row, name in zip(names.index, names, strict=True)}


class TableWriter:
    """Writes rows of CSV so that every reader gets the cells that were given.

    Args:
        file: a text file, opened with ``newline=""``.
        formulas: what begins like a formula is written as it is; else with a ``'`` before it, as spreadsheets want text
            that is none. Names in tables that programs read back, or the competition, have to stay as they are.
    """

    def __init__(self, file: TextIO, formulas: bool = False) -> None:
        self._formulas = formulas
        self._plain = csv_writer(file, lineterminator="\n")
        self._quoted = csv_writer(file, lineterminator="\n", quoting=QUOTE_ALL)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        cells = list(row) if self._formulas else [as_text(cell) for cell in row]
        # The module quotes a carriage return from Python 3.13 on; without quotes it ends the row.
        broken = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoted if broken else self._plain).writerow(cells)

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


def as_text(cell: Any) -> Any:
    """Return a cell of a table that a spreadsheet shows and does not compute: ``'=1+1`` for ``=1+1``; numbers stay."""
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def write_frame(frame: "pd.DataFrame", csv: Path, formulas: bool = False) -> None:
    """Write a table with its header as ``TableWriter`` does, in one step; empty cells where there is no value."""
    import pandas as pd  # here, since most predictions need no tables

    with replacing(csv) as temporary:
        words = [name for name in frame if frame[name].dtype.kind == "O"]
        shown = frame.copy()
        for name in () if formulas else words:
            shown[name] = pd.Series([as_text(cell) for cell in frame[name]], frame.index, dtype=object)
        broken = any(_has_return(shown[name]) for name in words)
        # Paths may be any bytes.
        quoting: Any = QUOTE_NONNUMERIC if broken else QUOTE_MINIMAL
        shown.to_csv(temporary, index=False, lineterminator="\n", quoting=quoting, errors="backslashreplace")


def _has_return(column: "pd.Series") -> bool:
    import pandas as pd

    if isinstance(column.dtype, pd.StringDtype):
        return bool(column.str.contains("\r", regex=False).any())
    return any(isinstance(cell, str) and "\r" in cell for cell in column)


def write_listed(names: Iterable[str], csv: Path) -> None:
    """Write image names as a table that ``read_listed`` reads."""
    with replacing(csv) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        TableWriter(file, formulas=True).writerows([["ImageId"], *([name] for name in names)])


def is_filler(text: str) -> bool:
    """Check whether a field says that there is nothing: empty, or a word such as ``-1``, ``nan`` or ``0 0``."""
    return len(text) < 20 and " ".join(text.lower().split()) in FILLERS


def class_number(csv: Path, row: int, word: str, class_names: tuple[str, ...] | None) -> int:
    """Read a class number, 1 or more, at most the number of names, or a name; raise ``AnnotationError`` otherwise."""
    is_number = re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", word, re.ASCII)  # pandas writes 1.0 into columns with gaps
    if class_names is not None and not is_number and word in class_names:
        return class_names.index(word) + 1
    if not is_number:
        remedy = f"classes are 1, 2, 3, ..., or names that stand in {CLASSES_FILE} beside the table, one a line"
        raise AnnotationError(csv, f"class {word!r} is not a whole number", remedy, row)
    class_id = int(word.split(".")[0])
    if class_id < 1:
        raise AnnotationError(csv, f"class {class_id}", "classes are counted from 1", row)
    if class_names is not None and class_id > len(class_names):
        reason = f"class {class_id}, but only {len(class_names)} class names are given"
        raise AnnotationError(csv, reason, f"correct the row or add names to {CLASSES_FILE}", row)
    if class_id > MOST_CLASSES:
        raise AnnotationError(csv, f"class {class_id}", f"at most {MOST_CLASSES} classes are possible", row)
    return class_id
