"""A report as one HTML file that needs nothing else: style and pictures are in it, and it runs no script. Tables are sorted
by rules of style, so that a page in a mail or behind a strict browser sorts too.

A report is a list of sections, a section a list of parts. ``page.html`` beside this module lays them out, for a screen
of 1366 pixels and for paper.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np

from utils.files import write_text
from utils.reporting.plots import to_svg

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

NOTHING = "-"
JPEG_QUALITY = 85
SORTED_COLUMNS = 12  # that the page has rules of sorting for
_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Text:
    """A paragraph of plain words."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Heading:
    """A title inside a section; the list of contents does not name it."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Numbers:
    """The few numbers that matter most, large and beside each other.

    Attributes:
        values: by label; numbers are written by ``cell``.
        notes: by label, a few words under the number.
        digits: behind the point.
    """

    kind: ClassVar[str] = "numbers"
    values: Mapping[str, Any]
    notes: Mapping[str, str]
    digits: int = 4

    @property
    def tiles(self) -> list[tuple[str, str, str]]:
        """Label, number and note of each tile."""
        return [(label, cell(value, self.digits), self.notes.get(label, "")) for label, value in self.values.items()]


@dataclass(frozen=True)
class Table:
    """Rows under a header; numbers are lined up at the right.

    Attributes:
        columns: the header.
        rows: as many values a row as there are columns; written by ``cell``.
        caption: what the table says.
        digits: of numbers that are not whole, behind the point.
        last: rows at the end that stay there however the others are sorted: sums and means.
        ordered: the order of the rows says something, so that they are not sorted.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    digits: int = 4
    last: int = 0
    ordered: bool = False

    @property
    def sorts(self) -> bool:
        """Whether there are rows to sort, and no more columns than the page has rules for."""
        return not self.ordered and len(self.rows) - self.last > 2 and len(self.columns) <= SORTED_COLUMNS

    @property
    def ranks(self) -> list[str]:
        """Each row's place by each column, ascending, as CSS variables; rows that stay at the end have none."""
        moving = self.rows[: len(self.rows) - self.last]
        ranks: list[list[int]] = [[] for _ in moving]
        for k in range(len(self.columns)):
            keys = sorted({_sort_key(row[k]) for row in moving})
            for places, row in zip(ranks, moving, strict=True):
                places.append(keys.index(_sort_key(row[k])) + 1)
        return [";".join(f"--c{k}:{place}" for k, place in enumerate(places)) for places in ranks] + [""] * self.last

    @property
    def cells(self) -> list[list[tuple[str, bool]]]:
        """Each row's texts, and whether each stands at the left."""
        return [[(cell(value, self.digits), isinstance(value, str)) for value in row] for row in self.rows]

    @property
    def left(self) -> list[bool]:
        """Whether each column's title stands at the left: where its values are words."""
        return [any(isinstance(row[k], str) for row in self.rows) for k in range(len(self.columns))]


@dataclass(frozen=True)
class Plot:
    """A figure of ``utils.reporting.plots``.

    Attributes:
        figure: drawn into the page as SVG.
        alt: what it shows, for those who cannot see it.
        caption: what it says, and how to read it.
    """

    kind: ClassVar[str] = "picture"
    figure: "Figure"
    alt: str
    caption: str = ""

    @property
    def source(self) -> str:
        """The picture as a data address."""
        return _data_address(to_svg(self.figure).encode(), "image/svg+xml")


@dataclass(frozen=True)
class Picture:
    """Pixels.

    Attributes:
        data: bytes of a PNG or JPEG file.
        alt: what it shows, for those who cannot see it.
        caption: what it says.
    """

    kind: ClassVar[str] = "picture"
    data: bytes
    alt: str
    caption: str = ""

    @classmethod
    def of_pixels(cls, pixels: np.ndarray, alt: str, caption: str = "") -> "Picture":
        """Make a JPEG of (H, W, 3) RGB uint8."""
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        return cls(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes(), alt, caption)

    @property
    def source(self) -> str:
        """The picture as a data address."""
        return _data_address(self.data, next(kind for mark, kind in _KINDS.items() if self.data.startswith(mark)))


@dataclass(frozen=True)
class Row:
    """Plots, pictures or tables beside each other, as many a line as fit.

    Attributes:
        parts: what stands beside each other.
        width: of each in pixels of a screen; pictures are scaled to it.
    """

    kind: ClassVar[str] = "row"
    parts: Sequence["Plot | Picture | Table"]
    width: int = 480


@dataclass(frozen=True)
class Section:
    """A part of the report that the list of contents names."""

    title: str
    parts: Sequence[Text | Heading | Numbers | Table | Plot | Picture | Row]

    @property
    def anchor(self) -> str:
        """The title in small letters and dashes: what stands behind # in a link."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def cell(value: Any, digits: int = 4) -> str:
    """Write a value for a reader: 12,568, 0.9171, or a dash for None."""
    if value is None or value != value:  # not a number
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "item"):  # numpy's numbers
        value = value.item()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


def _sort_key(value: Any) -> tuple[int, float, str]:
    """Return what a cell is sorted by: numbers, then words, then what is not known; "1,234 to 5" goes by its first number."""
    if value is None or value != value:
        return 2, 0.0, ""
    if isinstance(value, str):
        number = re.match(r"[+-]?[\d,]*\.?\d+", value)
        return (0, float(number[0].replace(",", "")), value) if number else (1, 0.0, value.casefold())
    return 0, float(value), ""


def shown(name: str) -> str:
    """Name a class for a reader: a bare number becomes "class 3"."""
    return f"class {name}" if name.isdecimal() else name


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Build the sections of a report.

    Args:
        title: of the report.
        lead: a sentence below it: what was looked at, with what, and when.
        sections: with different titles.

    Returns:
        The whole page, for ``utils.files.write_text``.

    Raises:
        ValueError: two sections have one title.
    """
    anchors = [section.anchor for section in sections]
    if len(set(anchors)) != len(anchors):
        raise ValueError(f"sections of equal title: {', '.join(section.title for section in sections)}")
    return _template().render(title=title, lead=lead, sections=sections, columns=SORTED_COLUMNS)


def write_page(path: Path, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Write what ``render`` gives to ``path`` in one step."""
    write_text(path, render(title, lead, sections))


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # StrictUndefined: a misspelt name in the template is an error, not a gap in somebody's report.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _data_address(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
