"""8-bit integers: the converted network that ``Export_model.py -int8`` leaves beside a weights file, and its proof.

It is one file, ``NAME-int8.zip``: OpenVINO's two files and the report, which says what 8 bits cost on images, and names the
network that they were made of by its hash. So it is found under any name, and one of earlier weights is never taken.
"""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.files import replacing
from utils.inference.backends.store import Store, network_fingerprint
from utils.weights.index import INT8_SUFFIX
from utils.weights.weights_file import WeightsFile

GRAPH, NUMBERS, REPORT = "network.xml", "network.bin", "report.json"
MOST_BYTES = 2**30  # of a part; a damaged file may say anything
MOST_LOST = 0.002  # of the mean Dice, above which ``-backend auto`` leaves it
LEAST_SAME = 0.998  # Dice between the masks of any class and the original's, where the images have no labels
LABELS_APART = 0.01  # between probabilities of whole images
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Int8File:
    """An 8-bit network beside a weights file.

    Attributes:
        path: of the file.
        report: what was found when it was compared with the original.
    """

    path: Path
    report: dict[str, Any]

    @property
    def objection(self) -> str:
        """Return why nobody should take it unasked, in words; empty where its proof is good enough."""
        images, scores = self.report.get("images"), self.report.get("scores")
        if scores is not None:
            lost = scores[0] - scores[1]
            if not lost <= MOST_LOST:
                return f"the mean Dice falls by {lost:.4f} on {images} labelled images"
        else:
            least = min(self.report.get("dice", {}).values(), default=1.0)
            if not least >= LEAST_SAME:
                return f"its masks differ from the original's on {images} images (Dice {least:.4f})"
        apart = self.report.get("labels") or 0.0
        if not apart <= LABELS_APART:
            return f"probabilities of whole images move by up to {apart:.3f} on {images} images"
        return ""

    def read(self, core: Any) -> Any:
        """Return its ``openvino.Model``.

        Raises:
            InputError: damaged.
        """
        try:
            return core.read_model(_part(self.path, GRAPH), _part(self.path, NUMBERS))
        except (*_UNREADABLE, KeyError, ValueError):  # OpenVINO's are RuntimeErrors
            raise InputError(f"{self.path}: damaged; {_again(self.path)}") from None


def pack(target: Path, graph: Path, numbers: Path, report: str) -> None:
    """Write an 8-bit network and its report as one file; the same content gives the same bytes.

    Raises:
        OSError: the disk's fault.
    """
    parts = {GRAPH: graph.read_bytes(), NUMBERS: numbers.read_bytes(), REPORT: report.encode()}
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        for name, content in parts.items():
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)


def find_int8(weights: WeightsFile, store: Store | None = None) -> Int8File | None:
    """Find the 8-bit network of a weights file: by its name, else by the hash among all that lie beside it.

    Args:
        weights: the network.
        store: of its hash, where somebody has computed it.

    Returns:
        What lies beside the file; None where nothing does.

    Raises:
        InputError: what lies there under its name was made of other weights, or its report cannot be read.
    """
    if weights.source is None:
        return None
    named = weights.source.with_name(f"{weights.source.name.removesuffix('.pth')}{INT8_SUFFIX}")
    there = sorted(named.parent.glob(f"[!.]*{INT8_SUFFIX}"), key=lambda path: (path != named, path))
    if not there:
        return None
    mine = store.root.name if store is not None and store.root is not None else network_fingerprint(weights)
    for path in there:
        report = read_report(path)
        if report is not None and report["network"] == mine:
            return Int8File(path, report)
    if named not in there:
        return None
    if read_report(named) is None:
        raise InputError(f"{named}: no 8-bit network with its report, or a damaged one; {_again(named)}")
    raise InputError(f"{named}: was not made of the weights {weights.source.name}; {_again(named)}")


def need_int8(weights: WeightsFile, store: Store | None = None) -> Int8File:
    """Find the 8-bit network of a weights file, see ``find_int8``; where there is none, ``InputError`` says how to make it."""
    found = find_int8(weights, store)
    if found is None:
        source = weights.source or Path("the weights file")
        raise InputError(
            f"-precision int8: {source.name} has no 8-bit network beside it; make it from images of your camera: python"
            f" Export_model.py -format openvino -int8 -weights_dir {source} -dir DATA"
        )
    return found


def _part(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as packed:
        found = packed.getinfo(name)
        if found.file_size > MOST_BYTES:
            raise ValueError(f"{name} is too large")
        return packed.read(found)


def read_report(path: Path) -> dict[str, Any] | None:
    """Return the report of a file; None where it has none or lacks the numbers that a proof is made of."""
    try:
        report = json.loads(_part(path, REPORT))
        scores, labels = report["scores"], report["labels"]
        if scores is not None:
            float(scores[0]), float(scores[1])
        for value in report["dice"].values():
            float(value)
        if labels is not None:
            float(labels)
        int(report["images"]), str(report["network"])
    except (*_UNREADABLE, ValueError, AttributeError, TypeError, KeyError, IndexError):
        return None
    return report


def _again(path: Path) -> str:
    return f"remove {path.name} or make it anew with Export_model.py -format openvino -int8"
