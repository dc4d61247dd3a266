"""Read and write the XML of CVAT ("CVAT for images 1.1"): images, labels and the shapes on them.

CVAT writes a mask as the lengths of its runs along the rows of its box, background first, which is neither COCO's code nor
that of dataset folders. The format: https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from utils.errors import InputError

SHAPES = ("box", "ellipse", "polygon", "polyline", "points", "mask", "cuboid", "skeleton")
BLOCK = 2**20


@dataclass
class CvatImage:
    """An image of a file: its attributes, and kind and attributes of each shape on it."""

    attributes: dict[str, str]
    shapes: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@dataclass
class CvatFile:
    """What a file says: names of its labels in order, its images, and whether it is of a video."""

    file: Path
    labels: list[str] = field(default_factory=list)
    images: list[CvatImage] = field(default_factory=list)


def read_cvat_file(file: Path) -> CvatFile:
    """Read a file.

    Raises:
        InputError: no such file, not XML of CVAT, of a video, or it defines entities, which CVAT never does.
    """
    content = CvatFile(file)
    reader = _Reader(content)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        with file.open("rb") as opened:
            while block := opened.read(BLOCK):
                parser.Parse(block, False)
            parser.Parse(b"", True)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; -annotations expects annotations.xml of CVAT") from None
    except IsADirectoryError:
        raise InputError(f"{file}: is a folder; -annotations expects annotations.xml of CVAT") from None
    except (expat.ExpatError, ValueError, LookupError) as error:  # of XML, and of encodings that nobody knows
        raise InputError(f"{file}: not a whole XML file ({error}); export it again") from None
    if not reader.is_cvat:
        raise InputError(f"{file}: has no element <annotations>; -annotations expects 'CVAT for images 1.1'")
    return content


class _Reader:
    """Takes the elements of a file one after another."""

    def __init__(self, content: CvatFile) -> None:
        self.content = content
        self.open: list[str] = []
        self.words: list[str] = []
        self.label: dict[str, str] = {}
        self.is_cvat = False

    def refuse(self, *_: Any) -> None:
        raise InputError(f"{self.content.file}: has a DOCTYPE, which CVAT never writes; export it again")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        within = self.open[-1] if self.open else ""
        self.open.append(tag)
        self.words = []
        if tag == "annotations" and not within:
            self.is_cvat = True
        elif tag == "track":
            raise InputError(
                f"{self.content.file}: has tracks of a video; export it as 'CVAT for images 1.1', which has every frame"
            )
        elif tag == "image" and within == "annotations":
            self.content.images.append(CvatImage(attributes))
        elif tag in SHAPES and within == "image":
            self.content.images[-1].shapes.append((tag, attributes))
        elif tag == "label" and within == "labels":
            self.label = {}

    def end(self, tag: str) -> None:
        self.open.pop()
        within = self.open[-1] if self.open else ""
        if within == "label" and "labels" in self.open:
            self.label[tag] = "".join(self.words).strip()
        elif tag == "label" and within == "labels" and self.label.get("name") and not self.label.get("parent"):
            self.content.labels.append(self.label["name"])  # parts of a skeleton have a parent
        self.words = []

    def text(self, words: str) -> None:
        if "labels" in self.open:
            self.words.append(words)


def decode_runs(where: str, attributes: dict[str, str], most: tuple[int, int]) -> tuple[np.ndarray, int, int]:
    """Draw the mask of an element.

    Args:
        where: for messages.
        attributes: its ``rle``, ``left``, ``top``, ``width`` and ``height``.
        most: (height, width) of the image.

    Returns:
        (h, w) bool of the box; column and row of its upper left pixel.

    Raises:
        InputError: a number is missing, the box is larger than the image, or the runs do not fill it.
    """
    try:
        left, top, width, height = (int(attributes[name]) for name in ("left", "top", "width", "height"))
        runs = np.array(attributes["rle"].split(","), dtype=np.int64)
    except (KeyError, ValueError, OverflowError):
        raise InputError(f"{where}: its mask lacks rle, left, top, width or height; correct or remove it") from None
    if not (0 < height <= most[0] and 0 < width <= most[1]):
        raise InputError(f"{where}: its mask is {height}x{width}, the image {most[0]}x{most[1]}; correct it")
    pixels = height * width  # each length is compared first: the sum of large ones may overflow
    if (runs < 0).any() or (runs > pixels).any() or runs.sum() != pixels:
        raise InputError(f"{where}: its runs do not add up to the {pixels} pixels of its box; correct or remove it")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width), left, top


def encode_runs(part: np.ndarray) -> str:
    """Write a mask, (h, w) bool, as lengths of runs along its rows, background first."""
    flat = part.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return ", ".join(map(str, [0, *lengths] if flat[0] else lengths))


def mask_element(label: str, part: np.ndarray, x: int, y: int, source: str) -> str:
    """Write a mask as CVAT does.

    Args:
        label: name of its class.
        part: (h, w) bool of its box.
        x, y: column and row of its upper left pixel.
        source: ``manual``, or ``auto`` of a network.
    """
    height, width = part.shape
    return (
        f'    <mask label={quoteattr(label)} source="{source}" occluded="0" rle="{encode_runs(part)}" left="{x}" top="{y}"'
        f' width="{width}" height="{height}" z_order="0">\n    </mask>\n'
    )


def head(labels: Sequence[tuple[str, str]], images: int) -> str:
    """Write what comes before the images: labels are name and colour, as ``#ff0000``."""
    listed = "".join(
        f"        <label>\n          <name>{escape(name)}</name>\n          <color>{colour}</color>\n"
        "          <type>any</type>\n          <attributes>\n          </attributes>\n        </label>\n"
        for name, colour in labels
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <size>{images}</size>\n      <mode>annotation</mode>\n      <labels>\n{listed}      </labels>\n"
        "    </task>\n  </meta>\n"
    )


def image_element(number: int, name: str, height: int, width: int, shapes: Iterator[str]) -> str:
    """Write an image with its shapes, each an element."""
    return f'  <image id="{number}" name={quoteattr(name)} width="{width}" height="{height}">\n{"".join(shapes)}  </image>\n'
