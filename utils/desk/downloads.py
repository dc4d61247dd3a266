"""Tables and pictures of a visit to take along, byte for byte those of ``Predict_masks.py``, made while they are sent."""

import datetime
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from config import VERSION
from utils.data.tables import TableWriter
from utils.desk.findings import Finding
from utils.desk.session import Judged
from utils.desk.visits import Visit
from utils.inference.inspected import Inspected
from utils.inference.outputs import (
    CsvTable,
    Defects,
    LabelTable,
    Submission,
    encode_png,
    index_mask_of,
    overlay_of,
    picture_names,
)
from utils.inspection.about import About

TABLES = ("submission.csv", "defects.csv", "labels.csv")
ZIPS = ("overlays.zip", "masks.zip")

# Columns of results.csv; fields of context come before the last one.
RESULTS = (
    *("image", "sha256", "verdict", "network", "classes", "area_px", "probability", "review", "who", "time", "remark"),
    *("weights", "sha8", "settings", "version", "meta"),
)

# Name and what was found of each image, in the order that they came.
Found = Iterator[tuple[str, Finding]]


def table(name: str, about: About, found: Found) -> Iterator[bytes]:
    """Write a table of ``TABLES``; it comes in pieces."""
    sink: CsvTable
    if name == "submission.csv":
        sink = Submission(Path(name), about.class_ids)
    elif name == "defects.csv":
        sink = Defects(Path(name), about.class_names, about.class_ids)
    else:
        sink = LabelTable(Path(name), about.label_names)
    text = io.StringIO()
    sink.into(text)
    for image, finding in found:
        _collect(sink, image, finding)
        yield text.getvalue().encode("utf-8")
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode("utf-8")


def _collect(sink: CsvTable, image: str, finding: Finding) -> None:
    """Append an image's rows; what the database holds is what ``render`` would make of the masks."""
    if isinstance(sink, Submission):
        sink.collect(image, list(finding.codes))
    elif isinstance(sink, Defects):
        sink.collect(image, finding.defects.tolist())
    elif isinstance(sink, LabelTable) and finding.labels is not None:
        sink.collect(image, [f"{probability:.4f}" for probability in finding.labels])


def results(visit: Visit, judged: Iterator[Judged]) -> Iterator[bytes]:
    """Write a table with a row for each image: how it was left, by whom, its context, and what decided; in pieces."""
    text = io.StringIO()
    writer = TableWriter(text)
    first = True
    names: list[str] = []
    for one in judged:
        if first:  # fields of context that come later in a visit stand in the last column
            first, names = False, list(dict.fromkeys([*visit.meta, *one.meta]))
            writer.writerow([*RESULTS[:-1], *(f"meta.{name}" for name in names), RESULTS[-1]])
        classes = " ".join(one.classes)
        area = sum(pixels for _, pixels in one.classes.values())
        when = datetime.datetime.fromtimestamp(one.time).astimezone().isoformat(timespec="seconds")
        other = {name: value for name, value in one.meta.items() if name not in names}
        decided = (visit.about.file, visit.about.sha8, visit.settings, VERSION)
        head = [one.name, one.sha256, one.verdict, one.proposed, classes, area, f"{one.probability:.4f}"]
        tail = [one.review, one.who, when, one.comment, *decided, *(one.meta.get(name, "") for name in names)]
        writer.writerow([*head, *tail, json.dumps(other) if other else ""])
        yield text.getvalue().encode("utf-8")
        text.seek(0)
        text.truncate()
    if first:
        writer.writerow(RESULTS)
        yield text.getvalue().encode("utf-8")


def zipped(name: str, names: list[str], pictures: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    """Write a zip of ``ZIPS``; it comes in pieces.

    Args:
        name: of the zip.
        names: of all images, which those of the pictures follow from.
        pictures: image name and PNG.
    """
    folder, called, pipe = name.removesuffix(".zip"), picture_names(names), _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # PNGs are packed already
        for image, png in pictures:
            packed.writestr(f"{folder}/{called.get(image, f'{image}.png')}", png)
            yield pipe.take()
    yield pipe.take()


def overlay_png(inspected: Inspected, about: About, truth: object) -> bytes:
    """Draw an image's defects as ``Predict_masks.py -save overlays`` does."""
    return encode_png(overlay_of(inspected, about.class_names or about.label_names, truth))  # type: ignore[arg-type]


def mask_png(inspected: Inspected, about: About) -> bytes:
    """Draw an image's index mask as ``Predict_masks.py -save masks`` does."""
    return encode_png(index_mask_of(inspected, about.task, about.class_ids))


class _Pipe(io.RawIOBase):
    """A file that is only written to; what came in since can be taken out."""

    def __init__(self) -> None:
        self._new = bytearray()

    def writable(self) -> bool:
        """Return True: it can be written to."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take bytes in."""
        self._new += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken, self._new = bytes(self._new), bytearray()
        return taken
