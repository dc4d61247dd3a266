"""8-bit integers: the converted network that ``Export_model.py -int8`` leaves beside a weights file, and its proof.

It lies there as ``NAME-int8.xml`` and ``NAME-int8.bin`` with ``NAME-int8-parity.json``, which says what it costs on images.
The file names the network that it was made of by its hash, so that one of earlier weights is never taken.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.inference.backends.store import Store, network_fingerprint
from utils.weights.weights_file import WeightsFile

SUFFIX = "-int8"
MOST_LOST = 0.002  # of the mean Dice, above which ``-backend auto`` leaves it
LEAST_SAME = 0.998  # Dice between the masks of any class and the original's, where the images have no labels
LABELS_APART = 0.01  # between probabilities of whole images


@dataclass(frozen=True)
class Int8File:
    """An 8-bit network beside a weights file.

    Attributes:
        path: of its ``.xml``.
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
            return core.read_model(self.path)
        except RuntimeError:
            raise InputError(f"{self.path}: damaged; {_again(self.path)}") from None


def find_int8(weights: WeightsFile, store: Store | None = None) -> Int8File | None:
    """Find the 8-bit network of a weights file.

    Args:
        weights: the network.
        store: of its hash, where somebody has computed it.

    Returns:
        What lies beside the file; None where nothing does.

    Raises:
        InputError: what lies there was made of other weights, or its report cannot be read.
    """
    if weights.source is None:
        return None
    stem = weights.source.name.removesuffix(".pth")
    path = weights.source.with_name(f"{stem}{SUFFIX}.xml")
    if not path.is_file():
        return None
    proof = path.with_name(f"{path.stem}-parity.json")
    try:
        report = json.loads(proof.read_text("utf-8"))
        named = report.get("network")
        _check(report)
    except (OSError, ValueError, AttributeError, TypeError, KeyError, IndexError):
        raise InputError(f"{proof}: no report of an export, or a damaged one; {_again(path)}") from None
    mine = store.root.name if store is not None and store.root is not None else network_fingerprint(weights)
    if named != mine:
        raise InputError(f"{path}: was not made of the weights {weights.source.name}; {_again(path)}")
    return Int8File(path, report)


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


def _check(report: dict[str, Any]) -> None:
    """Raise where a report lacks the numbers that a proof is made of."""
    scores, dice, labels = report["scores"], report["dice"], report["labels"]
    if scores is not None:
        float(scores[0]), float(scores[1])
    for value in dice.values():
        float(value)
    if labels is not None:
        float(labels)
    int(report["images"])


def _again(path: Path) -> str:
    return f"remove {path.name} or make it anew with Export_model.py -format openvino -int8"
